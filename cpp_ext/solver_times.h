// The times of DiT and SiT; adagen_rt/families/diffusion/rule.py is the specification.
#pragma once

#include "ops.h"

namespace adagen {

// Without a margin, times this close to an end are the end.
constexpr float kSnap = 2e-6f;

// DiT's times fall to the margin, SiT's rise to one margin below 1. NaN stays NaN.
ADAGEN_HD inline float inside(float time, const SolverTimes& op) {
  if (op.margin == 0.0f) return time < kSnap ? 0.0f : (time > 1.0f - kSnap ? 1.0f : time);
  if (op.process == Process::kVariancePreserving) return time < op.margin ? op.margin : time;
  const float ceiling = 1.0f - op.margin;
  return time > ceiling ? ceiling : time;
}

// The time chosen, at least one margin further on than `time`.
ADAGEN_HD inline float after(float time, float chosen, const SolverTimes& op) {
  if (op.process == Process::kVariancePreserving) {
    const float latest = time - op.margin;
    return inside(chosen > latest ? latest : chosen, op);
  }
  const float earliest = time + op.margin;
  return inside(chosen < earliest ? earliest : chosen, op);
}

ADAGEN_HD inline void set_time(const SolverTimes& op, std::int64_t sample, float time) {
  for (std::int64_t copy = 0; copy < op.copies; ++copy) op.time[copy * op.batch + sample] = time;
}

// Where nothing is left to go.
ADAGEN_HD inline bool at_end(float time, const SolverTimes& op) {
  return time == inside(op.process == Process::kLinear ? 1.0f : 0.0f, op);
}

ADAGEN_HD inline void solver_times_sample(const SolverTimes& op, std::int64_t sample) {
  const float chosen = op.chosen[sample];
  if (op.first != 0) return set_time(op, sample, inside(chosen, op));
  if (op.remaining != nullptr && op.remaining[sample] == 0) {
    op.phase[sample] = -1;
    return;
  }
  const float now = op.time[sample], next = after(now, chosen, op);
  if (op.remaining != nullptr && at_end(next, op)) op.remaining[sample] = 0;
  float* times = op.times + 3 * sample;
  times[2] = next;
  set_time(op, sample, next);
  if (op.multistep != 0) {
    times[0] = now;
    times[1] = op.start_time[sample];
    op.start_time[sample] = now;
    op.phase[sample] = op.step[sample] == 0 ? 0 : 1;
    return;
  }
  const std::int64_t phase = op.step[sample] % op.evaluations;
  if (phase == 0) op.start_time[sample] = now;
  times[0] = op.start_time[sample];
  times[1] = phase == 0 ? next : now;
  op.phase[sample] = phase;
}

}  // namespace adagen
