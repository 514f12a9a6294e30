// From a policy's output to one sample's parameters; adagen_rt/engine/schedule.py is the
// specification.
#pragma once

#include "failures.h"

namespace adagen {

// Without overflow for any finite x.
ADAGEN_HD inline float activate(float x, float scale) {
  const float e = std::exp(-std::fabs(x));
  if (scale > 0.0f) return scale * (x >= 0.0f ? 1.0f : e) / (1.0f + e);
  return std::log1p(e) + (x > 0.0f ? x : 0.0f);
}

// Which evaluation a call belongs to; calls before the first belong to it.
ADAGEN_HD inline std::int64_t step_of_call(const Schedule& op, std::int64_t call) {
  return call < op.ahead ? 0 : call - op.ahead;
}

// What the policy says of one action of one sample, moved towards what the second one does.
ADAGEN_HD inline float raw_output(const Schedule& op, std::int64_t sample, std::int64_t place) {
  if (op.raw == nullptr) return 0.0f;
  const float share = op.second != nullptr ? op.share[sample] : 0.0f;
  // What the second says to a sample that does not follow it may not be finite.
  if (!(share > 0.0f)) return op.raw[place];
  return (1.0f - share) * op.raw[place] + share * op.second[place];
}

// One action of one sample.
ADAGEN_HD inline void choose(const Schedule& op, std::int64_t sample, std::int64_t action,
                             std::int64_t call, bool needed) {
  const std::int64_t place = sample * op.actions + action;
  float value = raw_output(op, sample, place) + op.residual[call * op.actions + action];
  if (call > 0 && action != op.stop) value = op.smoothing * op.smoothed[place] + op.renewal * value;
  op.smoothed[place] = value;
  if (needed && !is_finite(value)) mark_failed(op.failures, sample);
  const float chosen = activate(value, op.scales[action]);
  op.values[action * op.batch + sample] = chosen;
  op.trace[(call * op.actions + action) * op.batch + sample] = needed ? chosen : NAN;
}

// Makes the step the last of a sample that stops; none does before its first evaluation.
ADAGEN_HD inline void end_if_stopped(const Schedule& op, std::int64_t sample, std::int64_t call) {
  if (op.stop < 0 || call < op.ahead || !(op.values[op.stop * op.batch + sample] > 0.5f)) return;
  op.values[op.ended * op.batch + sample] = op.ending;
  float& told = op.trace[(call * op.actions + op.ended) * op.batch + sample];
  if (told == told) told = op.ending;
}

ADAGEN_HD inline void schedule_sample(const Schedule& op, std::int64_t sample) {
  const std::int64_t call = op.call[sample];
  if (call >= op.calls) return;  // a finished sample's tables have no further row
  op.step[sample] = step_of_call(op, call);
  const bool needed = op.failures.at[sample] == 0 &&
                      (op.remaining == nullptr || op.remaining[sample] > 0);
  for (std::int64_t action = 0; action < op.actions; ++action) {
    choose(op, sample, action, call, needed);
  }
  end_if_stopped(op, sample, call);
  op.call[sample] = call + 1;
  op.policy_step[sample] = (call + 1) * op.trained / op.calls;
}

}  // namespace adagen
