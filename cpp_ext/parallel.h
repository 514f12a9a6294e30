// Fork and join over standard threads. Nothing stays behind between calls, so an idle process
// costs nothing and a fork of it is safe.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <system_error>
#include <thread>
#include <vector>

namespace adagen {

inline int worker_count(std::int64_t count, std::int64_t grain, int threads) {
  const std::int64_t chunks = (count + grain - 1) / grain;
  return static_cast<int>(std::max<std::int64_t>(1, std::min<std::int64_t>(threads, chunks)));
}

// Calls body(worker, begin, end) over chunks of `grain` items until `count` are done. A
// `grain` should be worth more than a thread's start (some 20 us): work of one grain, and the
// first share of any work, runs on the calling thread. `body` must not throw.
template <class Body>
void parallel_for(std::int64_t count, std::int64_t grain, int workers, const Body& body) {
  if (workers <= 1) return body(0, std::int64_t{0}, count);
  std::atomic<std::int64_t> next{0};
  const auto work = [&](int worker) {
    for (;;) {
      const std::int64_t begin = next.fetch_add(grain, std::memory_order_relaxed);
      if (begin >= count) return;
      body(worker, begin, std::min(begin + grain, count));
    }
  };
  std::vector<std::thread> helpers;
  helpers.reserve(static_cast<std::size_t>(workers) - 1);
  try {
    for (int worker = 1; worker < workers; ++worker) helpers.emplace_back(work, worker);
  } catch (const std::system_error&) {
    // No more threads to be had: those that started, and this one, do all of it.
  }
  work(0);
  for (std::thread& helper : helpers) helper.join();
}

}  // namespace adagen
