// Host driver of guided_sample: rows of all samples, shared out over threads.
#include "guided_sample.h"

#include "host_team.h"
#include "share_rows.h"

namespace adagen {
namespace {

ADAGEN_CLONES void sample_rows(const GuidedSample& op, std::int64_t begin, std::int64_t end,
                               float* scratch) {
  for (std::int64_t index = begin; index < end; ++index) {
    sample_row(HostTeam{}, op, index, scratch);
  }
}

}  // namespace

void guided_sample(const GuidedSample& op, int threads) {
  share_rows(op.logits, threads, [&](std::int64_t begin, std::int64_t end, float* scratch) {
    sample_rows(op, begin, end, scratch);
  });
}

}  // namespace adagen
