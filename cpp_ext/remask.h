// MaskGIT's re-masking for one sample; adagen_rt/ops/reference.py is the specification.
#pragma once

#include "ops.h"
#include "select.h"
#include "whole.h"

namespace adagen {

// How many tokens become masked: one always stays. A NaN ratio masks nothing.
ADAGEN_HD inline int masked_count(float ratio, int tokens) {
  if (!(ratio > 0.0f)) return 0;
  const float wanted = whole((ratio < 1.0f ? ratio : 1.0f) * static_cast<float>(tokens));
  const int count = static_cast<int>(wanted);
  return count < tokens ? count : tokens - 1;
}

// The confidence below which tokens are masked. `scratch` holds one float a token.
template <class Team>
ADAGEN_TEAM float remask_threshold(const Team& team, const float* confidence, int tokens,
                                 float ratio, float* scratch) {
  const Extent extent = team.extent(tokens, [=](int i) {
    const float value = confidence[i];
    return scratch[i] = value == value ? value : INFINITY;
  });
  const int staying = tokens - masked_count(ratio, tokens);
  return reached_by(team, scratch, tokens, staying, extent);
}

// Writes the tokens of one sample.
template <class Team>
ADAGEN_TEAM void remask_sample(const Team& team, const Remask& op, std::int64_t sample,
                               float* scratch) {
  const std::int64_t start = sample * op.tokens;
  const float* confidence = op.confidence + start;
  const int tokens = static_cast<int>(op.tokens);
  const float threshold =
      remask_threshold(team, confidence, tokens, op.mask_ratio[sample], scratch);
  for (std::int64_t copy = 0; copy < op.copies; ++copy) {
    std::int64_t* masked = op.masked + (copy * op.batch + sample) * op.tokens;
    team.each(tokens, [=](int i) {
      masked[i] = confidence[i] < threshold ? op.mask_id : op.sampled[start + i];
    });
  }
  if (op.remaining == nullptr) return;
  const int remaining = team.count(tokens, [=](int i) { return confidence[i] < threshold; });
  if (team.leads()) op.remaining[sample] = remaining;
}

}  // namespace adagen
