// MaskGIT's sampling step for one token; adagen_rt/ops/reference.py is the specification.
#pragma once

#include "row.h"

namespace adagen {

struct Draw {
  int token;
  float log_probability;  // NaN if a logit or a parameter is not finite
};

// One pass over the logits leaves guided logits in scratch, a second turns them into weights.
// `scratch` holds padded_size(vocabulary) floats.
template <class Team, class T>
ADAGEN_TEAM Draw guided_sample(const Team& team, const Row<T>& row, float temperature,
                               const TokenNoise& noise, float* scratch) {
  const int size = row.vocabulary;
  float* values = scratch + lead(noise);
  const Extent extent = team.extent(size, [=](int i) { return values[i] = row.guided(i); });
  if (!extent.finite || !is_finite(temperature)) return {0, NAN};
  const float largest = extent.largest, sharpness = inverse_temperature(temperature);
  int token = 0;
  float total = 0.0f;
  if (noise.injected != nullptr) {
    const float* injected = noise.injected;
    token = team.argmax(size, [=](int i) { return values[i] * sharpness + injected[i]; });
    total = team.sum(size, [=](int i) { return exp_nonpositive(values[i] - largest); });
  } else {
    if (sharpness == 1.0f) {  // the weights are the softmax's own terms
      total = team.sum(
          size, [=](int i) { return values[i] = exp_nonpositive(values[i] - largest); });
    } else {
      total = team.sum(size, [=](int i) {
        const float below = values[i] - largest;
        values[i] = exp_nonpositive(below * sharpness);
        return exp_nonpositive(below);
      });
    }
    token = draw(team, scratch, size, noise);
  }
  return {token, row.guided(token) - largest - std::log(total)};
}

ADAGEN_HD inline float disturbance(const GuidedSample& op, std::int64_t index) {
  if (op.noise.confidence != nullptr) return op.noise.confidence[index];
  const std::int64_t sample = index / op.logits.tokens, token = index % op.logits.tokens;
  const Stream stream = stream_of(op.noise, sample, Purpose::kConfidence);
  return gumbel_at(stream, static_cast<std::uint64_t>(token));
}

// Writes the token and the confidence of row `index` of the batch.
template <class Team>
ADAGEN_TEAM void sample_row(const Team& team, const GuidedSample& op, std::int64_t index,
                            float* scratch) {
  const std::int64_t sample = index / op.logits.tokens;
  const bool masked = op.tokens[index] == op.mask_id;
  Draw draw{0, INFINITY};
  if (masked) {
    draw = with_type(op.logits.cond, op.logits.dtype, [&](const auto* cond) {
      return guided_sample(team, row_of(op.logits, cond, index), op.temperature[sample],
                           noise_of(op.noise, op.logits, index), scratch);
    });
    draw.log_probability += op.confidence_temperature[sample] * disturbance(op, index);
  }
  if (!team.leads()) return;
  op.sampled[index] = masked ? draw.token : op.tokens[index];
  op.confidence[index] = draw.log_probability;
  if (draw.log_probability != draw.log_probability) mark_failed(op.failures, sample);
}

}  // namespace adagen
