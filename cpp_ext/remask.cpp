// Host driver of remask: samples shared out over threads.
#include "remask.h"

#include <vector>

#include "ops.h"
#include "parallel.h"

namespace adagen {
namespace {

ADAGEN_CLONES void remask_samples(const Remask& op, std::int64_t begin, std::int64_t end,
                                  float* scratch) {
  const int tokens = static_cast<int>(op.tokens);
  for (std::int64_t sample = begin; sample < end; ++sample) {
    const std::int64_t start = sample * op.tokens;
    const float* confidence = op.confidence + start;
    const float threshold =
        remask_threshold(HostTeam{}, confidence, tokens, op.mask_ratio[sample], scratch);
    for (int i = 0; i < tokens; ++i) {
      op.masked[start + i] = confidence[i] < threshold ? op.mask_id : op.sampled[start + i];
    }
  }
}

}  // namespace

void remask(const Remask& op, int threads) {
  constexpr std::int64_t kTokensPerChunk = 32768;
  const std::int64_t grain = std::max<std::int64_t>(1, kTokensPerChunk / op.tokens);
  const int workers = worker_count(op.batch, grain, threads);
  const auto size = static_cast<std::size_t>(op.tokens);
  std::vector<float> scratch(size * static_cast<std::size_t>(workers));
  parallel_for(op.batch, grain, workers, [&](int worker, std::int64_t begin, std::int64_t end) {
    remask_samples(op, begin, end, scratch.data() + size * static_cast<std::size_t>(worker));
  });
}

}  // namespace adagen
