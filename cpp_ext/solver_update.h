// The solver step of DiT and SiT; adagen_rt/ops/solver.py and the rows of
// adagen_rt/families/diffusion/solvers are the specification.
#pragma once

#include "failures.h"
#include "half.h"

namespace adagen {

// A noise scale below this is none: the step ends at data, where lambda says nothing any more.
constexpr double kNoNoise = 2e-7;

// How data turn into noise.
struct Path {
  Process process;
  const double* log_alpha;
};

ADAGEN_HD inline Path path_of(const SolverUpdate& op) { return {op.process, op.log_alpha}; }

// Signal scale, noise scale and log(alpha / sigma) at one time. In double: a few numbers a
// sample, whose differences feed expm1.
struct Scales {
  double alpha, sigma, lambda;
};

// So low that no time is moved that the network was asked at, but the ends, where the logarithm is
// not finite.
constexpr double kFloor = 1e-30, kSigmaFloor = 1e-7;

ADAGEN_HD inline double clamp_time(double time) {
  return time < kFloor ? kFloor : (time > 1.0 ? 1.0 : time);
}

ADAGEN_HD inline Scales scales_at(double time, const Path& path) {
  const double t = clamp_time(time);
  if (path.process == Process::kLinear) {
    const double sigma = 1.0 - t < kSigmaFloor ? kSigmaFloor : 1.0 - t;
    return {t, sigma, std::log(t) - std::log(sigma)};
  }
  double log_alpha = 0.0;
  for (int i = kDegree; i-- > 0;) log_alpha = (log_alpha + path.log_alpha[i]) * t;
  const double sigma = std::sqrt(-std::expm1(2 * log_alpha));
  return {std::exp(log_alpha), sigma, log_alpha - std::log(sigma)};
}

// One sample's step as numbers: D = data_x x + data_prediction prediction, then
// next = keep x_s - decay D_s + correct (D - D_s), with D_s = D in phase 0.
struct Step {
  float data_x, data_prediction, keep, decay, correct;
};

ADAGEN_HD inline double decay_between(const Scales& s, const Scales& end) {
  return end.alpha * std::expm1(-(end.lambda - s.lambda));
}

// From s to `end` along D_s alone, after an evaluation at `now`.
ADAGEN_HD inline Step first_order(const Scales& now, const Scales& s, const Scales& end,
                                  Process process) {
  const bool linear = process == Process::kLinear;
  return {static_cast<float>(linear ? 1.0 : 1.0 / now.alpha),
          static_cast<float>(linear ? now.sigma : -now.sigma / now.alpha),
          static_cast<float>(end.sigma / s.sigma), static_cast<float>(decay_between(s, end)), 0.0f};
}

ADAGEN_HD inline Step dpmpp_2s(const float* times, bool first, const Path& path) {
  constexpr double kMinHalfStep = 0.01;
  const Scales s = scales_at(times[0], path), s1 = scales_at(times[1], path);
  if (first) return first_order(s, s, s1, path.process);
  const Scales t = scales_at(times[2], path);
  const double half_step = s1.lambda - s.lambda, step = t.lambda - s.lambda;
  const double floored = half_step < kMinHalfStep ? kMinHalfStep : half_step;
  Step second = first_order(s1, s, t, path.process);
  if (t.sigma < kNoNoise) return second;
  second.correct = static_cast<float>(-0.5 * decay_between(s, t) * step / floored);
  return second;
}

// In the linear process keep = (1 - t) / (1 - s) and decay = (s - t) / (1 - s), which leaves
// x + (t - s) v.
ADAGEN_HD inline Step euler(const float* times, const Path& path) {
  const Scales s = scales_at(times[0], path);
  return first_order(s, s, scales_at(times[2], path), path.process);
}

// The middle time is that of the step before, and D_s its data prediction D_r: the weight of D is
// therefore in `correct`.
ADAGEN_HD inline Step dpmpp_2m(const float* times, bool first, const Path& path) {
  constexpr double kMinStep = 1e-4;
  const Scales s = scales_at(times[0], path), t = scales_at(times[2], path);
  Step next = first_order(s, s, t, path.process);
  if (first) return next;
  const double decay = decay_between(s, t);
  const double before = s.lambda - scales_at(times[1], path).lambda;
  const bool plain = t.sigma < kNoNoise || before < kMinStep;
  const double half = plain ? 0.0 : 0.5 * decay * (t.lambda - s.lambda) / before;
  next.decay = static_cast<float>(decay);
  next.correct = static_cast<float>(-decay - half);
  return next;
}

ADAGEN_HD inline Step step_of(const SolverUpdate& op, std::int64_t sample, bool first) {
  const float* times = op.times + 3 * sample;
  switch (op.solver) {
    case Solver::kEuler:
      return euler(times, path_of(op));
    case Solver::kDpmpp2m:
      return dpmpp_2m(times, first, path_of(op));
    case Solver::kDpmpp2s:
    default:
      return dpmpp_2s(times, first, path_of(op));
  }
}

ADAGEN_HD inline float data_of(const Step& step, float x, float prediction) {
  return step.data_x * x + step.data_prediction * prediction;
}

ADAGEN_HD inline float next_of(const Step& step, float anchor, float anchor_data, float data) {
  return step.keep * anchor - step.decay * anchor_data + step.correct * (data - anchor_data);
}

// Leaves one element of a sample that rests as it is.
ADAGEN_HD inline void keep_element(const SolverUpdate& op, std::int64_t i) {
  const std::int64_t size = op.batch * op.channels * op.pixels;
  const float kept = op.x[i];
  for (std::int64_t copy = 0; copy < op.copies; ++copy) op.next[copy * size + i] = kept;
  op.next_anchor[i] = op.anchor[i];
  op.next_data[i] = op.anchor_data[i];
}

// Writes one element of the three results; `guidance` is 0 for a channel without guidance.
// Says whether the element is finite.
template <class T>
ADAGEN_HD bool update_element(const SolverUpdate& op, const T* cond, const Step& step, bool first,
                              float guidance, std::int64_t i) {
  const float given = as_float(cond[i]);
  const float other = as_float(static_cast<const T*>(op.null)[i]);
  const float guided = guidance == 0.0f ? given : given + guidance * (given - other);
  const float data = data_of(step, op.x[i], guided);
  const bool moves = first || op.solver == Solver::kDpmpp2m;
  const float anchor = moves ? op.x[i] : op.anchor[i];
  const float anchor_data = first ? data : op.anchor_data[i];
  const float next = next_of(step, anchor, anchor_data, data);
  const std::int64_t size = op.batch * op.channels * op.pixels;
  for (std::int64_t copy = 0; copy < op.copies; ++copy) op.next[copy * size + i] = next;
  op.next_anchor[i] = anchor;
  op.next_data[i] = moves ? data : anchor_data;
  return is_finite(next);
}

}  // namespace adagen
