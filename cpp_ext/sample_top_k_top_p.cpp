// Host driver of sample_top_k_top_p: rows of all samples, shared out over threads.
#include "sample_top_k_top_p.h"

#include "host_team.h"
#include "share_rows.h"

namespace adagen {
namespace {

ADAGEN_CLONES void sample_rows(const SampleTopKTopP& op, std::int64_t begin, std::int64_t end,
                               float* scratch) {
  for (std::int64_t index = begin; index < end; ++index) {
    sample_row(HostTeam{}, op, index, scratch);
  }
}

}  // namespace

void sample_top_k_top_p(const SampleTopKTopP& op, int threads) {
  share_rows(op.logits, threads, [&](std::int64_t begin, std::int64_t end, float* scratch) {
    sample_rows(op, begin, end, scratch);
  });
}

}  // namespace adagen
