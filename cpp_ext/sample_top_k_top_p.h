// VAR's sampling for one token; adagen_rt/ops/reference.py is the specification.
#pragma once

#include "row.h"
#include "select.h"
#include "whole.h"

namespace adagen {

struct Truncation {
  float top_k, top_p;
};

// The value that the top_k largest logits reach.
template <class Team>
ADAGEN_TEAM float top_k_threshold(const Team& team, const float* values, int size, float top_k,
                                const Extent& extent) {
  const float count = whole(top_k);
  if (!(count >= 1.0f) || count >= static_cast<float>(size)) return extent.least;
  return reached_by(team, values, size, static_cast<int>(count), extent);
}

// Returns the token, or -1 if a logit or a parameter is not finite. `scratch` holds twice
// padded_size(vocabulary) floats.
template <class Team, class T>
ADAGEN_TEAM int sample_top_k_top_p(const Team& team, const Row<T>& row, const Truncation& head,
                                   float temperature, const TokenNoise& noise, float* scratch) {
  const int size = row.vocabulary;
  float* values = scratch + padded_size(size);
  float* weights = scratch + lead(noise);
  const Extent extent = team.extent(size, [=](int i) { return values[i] = row.guided(i); });
  if (!extent.finite || !is_finite(head.top_k + head.top_p + temperature)) return -1;
  const float least = top_k_threshold(team, values, size, head.top_k, extent);
  const float largest = extent.largest, sharpness = inverse_temperature(temperature);
  const float total = team.sum(size, [=](int i) {
    return weights[i] = values[i] >= least ? exp_nonpositive(values[i] - largest) : 0.0f;
  });
  const float top_p = head.top_p < 0.0f ? 0.0f : (head.top_p > 1.0f ? 1.0f : head.top_p);
  const Cut cut = cut_weight(team, values, weights, size, (1.0f - top_p) * total, least, largest);
  if (noise.injected != nullptr) {
    const float* injected = noise.injected;
    return team.argmax(size, [=](int i) {
      return cut.keeps(values[i], i) ? values[i] * sharpness + injected[i] : -INFINITY;
    });
  }
  team.each(size, [=](int i) {
    const float weight = exp_nonpositive((values[i] - largest) * sharpness);
    weights[i] = cut.keeps(values[i], i) ? weight : 0.0f;
  });
  return draw(team, scratch, size, noise);
}

// Writes the token of row `index` of the batch.
template <class Team>
ADAGEN_TEAM void sample_row(const Team& team, const SampleTopKTopP& op, std::int64_t index,
                            float* scratch) {
  const std::int64_t sample = index / op.logits.tokens;
  const Truncation head{op.top_k[sample], op.top_p[sample]};
  const int token = with_type(op.logits.cond, op.logits.dtype, [&](const auto* cond) {
    return sample_top_k_top_p(team, row_of(op.logits, cond, index), head, op.temperature[sample],
                              noise_of(op.noise, op.logits, index), scratch);
  });
  if (!team.leads()) return;
  const bool marks = op.failures.at != nullptr && token < 0;
  if (marks) mark_failed(op.failures, sample);
  op.sampled[index] = marks ? 0 : token;
}

}  // namespace adagen
