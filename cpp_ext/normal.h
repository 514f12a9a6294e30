// Standard normal noise; adagen_rt/ops/reference.py is the specification.
#pragma once

#include "ops.h"
#include "philox.h"

namespace adagen {

struct NormalPair {
  float first, second;
};

// Box-Muller: two independent normal numbers of two random words.
ADAGEN_HD inline NormalPair box_muller(std::uint32_t word0, std::uint32_t word1) {
  constexpr float kTwoPi = 6.28318530717958647692f;
  const float radius = std::sqrt(-2.0f * std::log(uniform(word0)));
  const float angle = kTwoPi * uniform(word1);
  return {radius * std::cos(angle), radius * std::sin(angle)};
}

// Writes a sample's values of positions 4 * block .. 4 * block + 3 that are below `count`.
ADAGEN_HD inline void normal_block(const Normal& op, std::int64_t sample, std::uint32_t block) {
  const auto seed = static_cast<std::uint64_t>(op.seeds[sample]);
  const Words words = random_words({seed, 0, Purpose::kNormal}, block);
  const NormalPair low = box_muller(words.w0, words.w1), high = box_muller(words.w2, words.w3);
  const float drawn[4] = {low.first, low.second, high.first, high.second};
  for (std::int64_t copy = 0; copy < op.copies; ++copy) {
    float* values = op.values + (copy * op.batch + sample) * op.count;
    std::int64_t i = 4 * std::int64_t{block};
    for (int lane = 0; lane < 4 && i < op.count; ++lane, ++i) values[i] = drawn[lane];
  }
}

}  // namespace adagen
