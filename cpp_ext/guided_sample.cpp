// Host driver of guided_sample: rows of all samples, shared out over threads.
#include "guided_sample.h"

#include <cmath>
#include <limits>
#include <vector>

#include "ops.h"
#include "parallel.h"
#include "rows.h"

namespace adagen {
namespace {

float disturbance(const GuidedSample& op, std::int64_t sample, std::int64_t token) {
  if (op.noise.confidence != nullptr) {
    return op.noise.confidence[sample * op.logits.tokens + token];
  }
  const Stream stream = stream_of(op.noise, sample, Purpose::kConfidence);
  return gumbel_at(stream, static_cast<std::uint64_t>(token));
}

ADAGEN_CLONES void sample_rows(const GuidedSample& op, std::int64_t begin, std::int64_t end,
                               float* scratch) {
  for (std::int64_t index = begin; index < end; ++index) {
    op.sampled[index] = op.tokens[index];
    op.confidence[index] = std::numeric_limits<float>::infinity();
    if (op.tokens[index] != op.mask_id) continue;
    const std::int64_t sample = index / op.logits.tokens;
    const Draw draw = guided_sample(HostTeam{}, row_of(op.logits, index), op.temperature[sample],
                                    noise_of(op.noise, op.logits, index), scratch);
    op.sampled[index] = draw.token;
    op.confidence[index] =
        draw.log_probability + op.confidence_temperature[sample] *
                                   disturbance(op, sample, index % op.logits.tokens);
  }
}

}  // namespace

void guided_sample(const GuidedSample& op, int threads) {
  share_rows(op.logits, threads, [&](std::int64_t begin, std::int64_t end, float* scratch) {
    sample_rows(op, begin, end, scratch);
  });
}

}  // namespace adagen
