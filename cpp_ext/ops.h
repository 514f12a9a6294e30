// The host drivers of the ops, as the bindings call them. Pointers are to C-contiguous
// arrays; adagen_rt/ops/cpu.py checks shapes, adagen_rt/ops/reference.py says what they mean.
#pragma once

#include <cstdint>

namespace adagen {

// Injected Gumbel noise if `token` is set (`confidence` then too, where an op needs it),
// else Philox streams of these seeds and steps.
struct BatchNoise {
  const std::int64_t* seeds;
  const std::int64_t* steps;
  const float* token;
  const float* confidence;
};

// Logits of `batch` samples of `tokens` tokens each.
struct Logits {
  const float* cond;
  const float* null;
  const float* guidance;
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
};
void guided_sample(const GuidedSample& op, int threads);

struct Remask {
  const std::int64_t* sampled;
  const float* confidence;
  const float* mask_ratio;
  std::int64_t mask_id;
  std::int64_t batch, tokens;
  std::int64_t* masked;
};
void remask(const Remask& op, int threads);

struct SampleTopKTopP {
  Logits logits;
  const float* top_k;
  const float* top_p;
  const float* temperature;
  BatchNoise noise;
  std::int64_t* sampled;
};
void sample_top_k_top_p(const SampleTopKTopP& op, int threads);

enum class Process { kVariancePreserving, kLinear };

struct SolverUpdate {
  const float *x, *anchor, *anchor_data, *cond, *null, *guidance, *times;
  const std::int64_t* phase;
  Process process;
  std::int64_t batch, channels, pixels;
  float *next, *next_anchor, *next_data;
};
void solver_update(const SolverUpdate& op, int threads);

struct Normal {
  const std::int64_t* seeds;
  std::int64_t batch, count;
  float* values;
};
void normal(const Normal& op, int threads);

}  // namespace adagen
