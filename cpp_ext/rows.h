// Host side of the sampling ops: finds a row's logits and noise, and shares rows over threads.
#pragma once

#include <vector>

#include "ops.h"
#include "parallel.h"
#include "row.h"

namespace adagen {

inline Row row_of(const Logits& logits, std::int64_t index) {
  const std::int64_t start = index * logits.vocabulary;
  return {logits.cond + start, logits.null + start, static_cast<int>(logits.vocabulary),
          logits.guidance[index / logits.tokens]};
}

inline Stream stream_of(const BatchNoise& noise, std::int64_t sample, Purpose purpose) {
  return {static_cast<std::uint64_t>(noise.seeds[sample]),
          static_cast<std::uint32_t>(noise.steps[sample]), purpose};
}

inline TokenNoise noise_of(const BatchNoise& noise, const Logits& logits, std::int64_t index) {
  if (noise.token != nullptr) return {noise.token + index * logits.vocabulary, {}, 0};
  const std::int64_t sample = index / logits.tokens, token = index % logits.tokens;
  return {nullptr, stream_of(noise, sample, Purpose::kToken),
          static_cast<std::uint64_t>(token * logits.vocabulary)};
}

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
