// What every op is given, on the host and on a device: one plain struct an op, which is also
// the argument of its CUDA kernel. Pointers are to C-contiguous arrays;
// adagen_rt/ops/reference.py says what the ops mean, adagen_rt/ops/structs.py mirrors the
// structs. The functions are the host drivers.
#pragma once

#include "platform.h"

namespace adagen {

// How logits, predictions and images are stored; arithmetic is float32.
enum class Dtype : std::int32_t { kFloat32 = 0, kFloat16 = 1, kBFloat16 = 2 };

// Where a sample that met a non-finite number is marked: `at[sample]` becomes the number of the
// evaluation that it happened in, counted from 1, and stays. `at` is null if nobody asks.
struct Failures {
  std::int64_t* at;
  const std::int64_t* step;
};

// Injected Gumbel noise if `token` is set (`confidence` then too, where an op needs it),
// else Philox streams of these seeds and steps.
struct BatchNoise {
  const std::int64_t* seeds;
  const std::int64_t* steps;
  const float* token;
  const float* confidence;
};

// Logits of `batch` samples of `tokens` tokens each; `growth` multiplies the guidance.
struct Logits {
  const void* cond;
  const void* null;
  const float* guidance;
  float growth;
  Dtype dtype;
  std::int64_t batch, tokens, vocabulary;
};

struct GuidedSample {
  Logits logits;
  const float* temperature;
  const float* confidence_temperature;
  const std::int64_t* tokens;
  std::int64_t mask_id;
  BatchNoise noise;
  std::int64_t* sampled;
  float* confidence;
  Failures failures;
};
void guided_sample(const GuidedSample& op, int threads);

struct Remask {
  const std::int64_t* sampled;
  const float* confidence;
  const float* mask_ratio;
  std::int64_t mask_id;
  std::int64_t batch, tokens;
  std::int64_t copies;      // how often the result is written, one batch after the other
  std::int64_t* masked;     // (copies, batch, tokens)
  std::int64_t* remaining;  // masked tokens of each sample, or null
};
void remask(const Remask& op, int threads);

// With `failures`, an unusable position gives token 0 and a mark, else token -1.
struct SampleTopKTopP {
  Logits logits;
  const float* top_k;
  const float* top_p;
  const float* temperature;
  BatchNoise noise;
  std::int64_t* sampled;
  Failures failures;
};
void sample_top_k_top_p(const SampleTopKTopP& op, int threads);

enum class Process : std::int32_t { kVariancePreserving = 0, kLinear = 1 };

// Largest degree of the polynomial of log alpha in time.
constexpr int kDegree = 8;

// The rows of adagen_rt/families/diffusion/solvers.
enum class Solver : std::int32_t { kDpmpp2s = 0, kEuler = 1, kDpmpp2m = 2 };

// Each result may be written over its input.
struct SolverUpdate {
  const float *x, *anchor, *anchor_data;
  const void *cond, *null;
  const float *guidance, *times;
  const std::int64_t* phase;  // evaluations of the solver step so far; multistep: 0, then 1;
                              // -1: the sample rests
  Process process;
  Solver solver;
  Dtype dtype;               // of cond and null
  std::int32_t guided;       // channels with guidance, the first ones
  double log_alpha[kDegree];  // coefficients of t, t^2, ...
  std::int64_t batch, channels, pixels;
  std::int64_t copies;  // how often `next` is written, one batch after the other
  float *next, *next_anchor, *next_data;
  Failures failures;
};
void solver_update(const SolverUpdate& op, int threads);

struct Normal {
  const std::int64_t* seeds;
  std::int64_t batch, count;
  std::int64_t copies;  // how often the result is written, one batch after the other
  float* values;
};
void normal(const Normal& op, int threads);

// One policy call of every sample: adagen_rt/engine/schedule.py is the specification. It also
// moves the counters, so that nothing but `call` tells which step a sample is at.
struct Schedule {
  const float* raw;       // (batch, actions), or null for zeros
  const float* second;    // (batch, actions): what the fidelity policy says, or null
  const float* share;     // (batch): how far a sample follows it, from 0 to 1
  const float* residual;  // (calls, actions)
  const float* scales;    // (actions): upper end of a sigmoid's range, 0 for a softplus
  float smoothing, renewal;  // weights of the previous value and of the new one
  std::int32_t stop;         // the action that ends a sample above 1/2, not smoothed; -1 for none
  std::int32_t ended;        // the action that such a step's is given
  float ending;              // what it is given
  std::int64_t batch, actions, calls;
  std::int64_t ahead;    // calls before the first evaluation
  std::int64_t trained;  // calls that the policy was trained for
  std::int64_t* call;         // (batch): calls so far; one more afterwards
  std::int64_t* step;         // (batch): the evaluation that this call belongs to
  std::int64_t* policy_step;  // (batch): what the policy is to be told at its next call
  float* smoothed;  // (batch, actions)
  float* values;    // (actions, batch)
  float* trace;     // (calls, actions, batch); NaN once a sample needs no more calls
  const std::int64_t* remaining;  // what each sample has left, or null: 0 needs no more
  Failures failures;
};
void schedule(const Schedule& op, int threads);

// The family rule on times of DiT and SiT: adagen_rt/families/diffusion/rule.py is the
// specification.
struct SolverTimes {
  const float* chosen;       // (batch): what the policy chose
  const std::int64_t* step;  // (batch)
  Process process;
  std::int32_t first;      // whether this is the time of the first evaluation
  std::int32_t multistep;  // whether the solver steps from evaluation to evaluation
  float margin;            // distance of times from the ends and from each other
  std::int64_t batch, copies;
  std::int64_t evaluations;  // of a solver step
  float* time;          // (copies, batch): of the evaluation just made; of the next afterwards
  float* start_time;    // (batch)
  float* times;         // (batch, 3): of the solver step
  std::int64_t* phase;  // (batch); -1 of a sample that has reached the end, which rests
  std::int64_t* remaining;  // (batch): 0 once a sample has reached the end; null: none stops
};
void solver_times(const SolverTimes& op, int threads);

// From a decoder's image to bytes: adagen_rt/ops/reference.py is the specification.
struct Pixels {
  const void* image;  // (batch, channels, pixels)
  Dtype dtype;
  float low, factor;
  std::int64_t batch, channels, pixels;
  const std::int64_t* failed;  // (batch): samples marked there become black
  std::uint8_t* bytes;         // (batch, pixels, channels)
};
void pixels(const Pixels& op, int threads);

}  // namespace adagen
