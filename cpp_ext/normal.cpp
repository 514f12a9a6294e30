// Host driver of normal: samples shared out over threads.
#include "normal.h"

#include "parallel.h"

namespace adagen {

void normal(const Normal& op, int threads) {
  constexpr std::int64_t kValuesPerChunk = 32768;
  const std::int64_t blocks = (op.count + 3) / 4;
  const std::int64_t grain =
      std::max<std::int64_t>(1, kValuesPerChunk / std::max<std::int64_t>(1, op.count));
  const int workers = worker_count(op.batch, grain, threads);
  parallel_for(op.batch, grain, workers, [&](int, std::int64_t begin, std::int64_t end) {
    for (std::int64_t sample = begin; sample < end; ++sample) {
      for (std::int64_t block = 0; block < blocks; ++block) {
        normal_block(op, sample, static_cast<std::uint32_t>(block));
      }
    }
  });
}

}  // namespace adagen
