// A team of one block of device threads. Every thread gets a reduction's result.
#pragma once

#include "team.h"

namespace adagen {

constexpr int kTeamThreads = 256;

struct DeviceTeam {
  __device__ void sync() const { __syncthreads(); }
  __device__ bool leads() const { return threadIdx.x == 0; }

  template <class F>
  __device__ void each(int size, F f) const {
    for (int i = static_cast<int>(threadIdx.x); i < size; i += kTeamThreads) f(i);
  }

  template <class F>
  __device__ Extent extent(int size, F f) const {
    Extent mine{INFINITY, -INFINITY, true};
    each(size, [&](int i) {
      const float value = f(i);
      mine = joined(mine, {value, value, value * 0.0f == 0.0f});
    });
    return reduce(mine, joined);
  }

  template <class F>
  __device__ float sum(int size, F f) const {
    float mine = 0.0f;
    each(size, [&](int i) { mine += f(i); });
    return reduce(mine, [](float a, float b) { return a + b; });
  }

  template <class F>
  __device__ int count(int size, F f) const {
    int mine = 0;
    each(size, [&](int i) { mine += f(i) ? 1 : 0; });
    return reduce(mine, [](int a, int b) { return a + b; });
  }

  template <class F>
  __device__ Tally tally(int size, const float* values, F f) const {
    Tally mine{0.0f, 0};
    each(size, [&](int i) {
      if (f(i)) mine = {mine.mass + values[i], mine.count + 1};
    });
    return reduce(mine, [](Tally a, Tally b) { return Tally{a.mass + b.mass, a.count + b.count}; });
  }

  template <class F>
  __device__ int argmax(int size, F f) const {
    Race mine{-INFINITY, 0};
    each(size, [&](int i) {
      const float value = f(i);
      if (value > mine.best) mine = {value, i};
    });
    return reduce(mine, ahead).winner;
  }

  // Weights are zero from `size` to the end of its block of four.
  __device__ int race(const float* weights, int size, const Stream& stream,
                      std::uint32_t first_block) const {
    Race mine;
    each((size + 3) / 4, [&](int i) {
      const Words words = random_words(stream, first_block + static_cast<std::uint32_t>(i));
      mine.enter(weights[4 * i], words.w0, 4 * i);
      mine.enter(weights[4 * i + 1], words.w1, 4 * i + 1);
      mine.enter(weights[4 * i + 2], words.w2, 4 * i + 2);
      mine.enter(weights[4 * i + 3], words.w3, 4 * i + 3);
    });
    return reduce(mine, ahead).winner;
  }

 private:
  __device__ static Extent joined(Extent a, Extent b) {
    return {b.least < a.least ? b.least : a.least, b.largest > a.largest ? b.largest : a.largest,
            a.finite && b.finite};
  }

  // The better score; the lower entry where they are equal, as one thread would find it.
  __device__ static Race ahead(Race a, Race b) {
    const bool second = b.best > a.best || (b.best == a.best && b.winner < a.winner);
    return second ? b : a;
  }

  // First inside every warp, then over the warps' results, in a fixed order: the same input
  // gives the same sum, and every thread has it.
  template <class T, class Join>
  __device__ T reduce(T mine, Join join) const {
    static_assert(sizeof(T) <= kPartialBytes, "a partial result is larger than its place");
    for (int distance = kWarp / 2; distance > 0; distance /= 2) {
      mine = join(mine, exchanged(mine, distance));
    }
    T* parts = reinterpret_cast<T*>(partials());
    __syncthreads();  // the previous reduction's result has been read
    if (threadIdx.x % kWarp == 0) parts[threadIdx.x / kWarp] = mine;
    __syncthreads();
    T result = parts[0];
    for (int warp = 1; warp < kTeamThreads / kWarp; ++warp) result = join(result, parts[warp]);
    return result;
  }

  // What the lane whose number differs by `distance` has.
  template <class T>
  __device__ static T exchanged(T value, int distance) {
    static_assert(sizeof(T) % sizeof(unsigned) == 0, "values move word by word");
    unsigned words[sizeof(T) / sizeof(unsigned)];
    memcpy(words, &value, sizeof value);
    for (unsigned& word : words) word = __shfl_xor_sync(0xffffffffu, word, distance);
    memcpy(&value, words, sizeof value);
    return value;
  }

  // One place for the partial results of every reduction.
  __device__ static unsigned char* partials() {
    __shared__ alignas(16) unsigned char storage[kTeamThreads / kWarp * kPartialBytes];
    return storage;
  }

  static constexpr int kWarp = 32;
  static constexpr int kPartialBytes = 16;
};

}  // namespace adagen
