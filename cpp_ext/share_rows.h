// Shares the rows of a sampling op over host threads.
#pragma once

#include <vector>

#include "parallel.h"
#include "row.h"

namespace adagen {

// Calls work(begin, end, scratch) over all rows; a chunk is some 30 us of work.
template <class Work>
void share_rows(const Logits& logits, int threads, const Work& work) {
  constexpr std::int64_t kEntriesPerChunk = 32768;
  const std::int64_t rows = logits.batch * logits.tokens;
  const std::int64_t grain = std::max<std::int64_t>(1, kEntriesPerChunk / logits.vocabulary);
  const int workers = worker_count(rows, grain, threads);
  const auto size = 2 * static_cast<std::size_t>(padded_size(static_cast<int>(logits.vocabulary)));
  std::vector<float> scratch(size * static_cast<std::size_t>(workers));
  parallel_for(rows, grain, workers, [&](int worker, std::int64_t begin, std::int64_t end) {
    work(begin, end, scratch.data() + size * static_cast<std::size_t>(worker));
  });
}

}  // namespace adagen
