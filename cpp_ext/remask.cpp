// Host driver of remask: samples shared out over threads.
#include "remask.h"

#include <vector>

#include "host_team.h"
#include "parallel.h"

namespace adagen {
namespace {

ADAGEN_CLONES void remask_samples(const Remask& op, std::int64_t begin, std::int64_t end,
                                  float* scratch) {
  for (std::int64_t sample = begin; sample < end; ++sample) {
    remask_sample(HostTeam{}, op, sample, scratch);
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
