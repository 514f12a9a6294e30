// The times of DiT and SiT; adagen_rt/families/diffusion/rule.py is the specification.
#pragma once

#include "ops.h"

namespace adagen {

// Times stay this far from the ends of [0, 1] and from each other, as published.
constexpr float kTimeMargin = 0.01f;

// DiT's times fall to the margin, SiT's rise to one margin below 1. NaN stays NaN.
ADAGEN_HD inline float inside(float time, Process process) {
  if (process == Process::kVariancePreserving) return time < kTimeMargin ? kTimeMargin : time;
  constexpr float kCeiling = static_cast<float>(1 - 0.01);
  return time > kCeiling ? kCeiling : time;
}

// The time chosen, at least one margin further on than `time`.
ADAGEN_HD inline float after(float time, float chosen, Process process) {
  if (process == Process::kVariancePreserving) {
    const float latest = time - kTimeMargin;
    return inside(chosen > latest ? latest : chosen, process);
  }
  const float earliest = time + kTimeMargin;
  return inside(chosen < earliest ? earliest : chosen, process);
}

ADAGEN_HD inline void set_time(const SolverTimes& op, std::int64_t sample, float time) {
  for (std::int64_t copy = 0; copy < op.copies; ++copy) op.time[copy * op.batch + sample] = time;
}

ADAGEN_HD inline void solver_times_sample(const SolverTimes& op, std::int64_t sample) {
  const float chosen = op.chosen[sample];
  if (op.first != 0) return set_time(op, sample, inside(chosen, op.process));
  const float now = op.time[sample], next = after(now, chosen, op.process);
  const std::int64_t phase = op.step[sample] % op.evaluations;
  if (phase == 0) op.start_time[sample] = now;
  float* times = op.times + 3 * sample;
  times[0] = op.start_time[sample];
  times[1] = phase == 0 ? next : now;
  times[2] = next;
  op.phase[sample] = phase;
  set_time(op, sample, next);
}

}  // namespace adagen
