// Philox 4x32-10 (Salmon et al., SC 2011): adagen_rt/ops/philox.py is the specification.
#pragma once

#include "platform.h"

namespace adagen {

enum class Purpose : std::uint32_t { kToken = 0, kConfidence = 1, kNormal = 2 };

struct Words {
  std::uint32_t w0, w1, w2, w3;
};

// The random numbers of one sample, for one purpose, at one step.
struct Stream {
  std::uint64_t seed;
  std::uint32_t step;
  Purpose purpose;
};

ADAGEN_HD inline std::uint32_t high_product(std::uint32_t a, std::uint32_t b) {
  return static_cast<std::uint32_t>((static_cast<std::uint64_t>(a) * b) >> 32);
}

ADAGEN_HD inline Words philox(Words counter, std::uint32_t key0, std::uint32_t key1) {
  constexpr std::uint32_t kMultiplier0 = 0xD2511F53u, kMultiplier1 = 0xCD9E8D57u;
  for (int round = 0; round < 10; ++round) {
    const std::uint32_t high0 = high_product(kMultiplier0, counter.w0);
    const std::uint32_t high1 = high_product(kMultiplier1, counter.w2);
    counter = {high1 ^ counter.w1 ^ key0, kMultiplier1 * counter.w2, high0 ^ counter.w3 ^ key1,
               kMultiplier0 * counter.w0};
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return counter;
}

// The words of positions 4 * block .. 4 * block + 3.
ADAGEN_HD inline Words random_words(const Stream& stream, std::uint32_t block) {
  return philox({block, static_cast<std::uint32_t>(stream.purpose), stream.step, 0},
                static_cast<std::uint32_t>(stream.seed),
                static_cast<std::uint32_t>(stream.seed >> 32));
}

// Written without indexing, so that the words can stay in registers.
ADAGEN_HD inline std::uint32_t word_of(const Words& words, int lane) {
  return lane < 2 ? (lane == 0 ? words.w0 : words.w1) : (lane == 2 ? words.w2 : words.w3);
}

// Exact in float32 and strictly inside (0, 1): the top 23 bits and a half.
ADAGEN_HD inline float uniform(std::uint32_t word) {
  return (static_cast<float>(static_cast<std::int32_t>(word >> 9)) + 0.5f) * 0x1p-23f;
}

}  // namespace adagen
