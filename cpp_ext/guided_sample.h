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
template <class Team>
ADAGEN_HD Draw guided_sample(const Team& team, const Row& row, float temperature,
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
      total = team.sum(size, [=](int i) { return values[i] = exp_nonpositive(values[i] - largest); });
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

}  // namespace adagen
