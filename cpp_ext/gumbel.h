// Gumbel noise, and sampling by it without taking two logarithms for every entry.
#pragma once

#include "philox.h"

namespace adagen {

ADAGEN_HD inline float gumbel(std::uint32_t word) { return -std::log(-std::log(uniform(word))); }

// The Gumbel noise of one position, for the few places that need a single number.
ADAGEN_HD inline float gumbel_at(const Stream& stream, std::uint64_t position) {
  const Words words = random_words(stream, static_cast<std::uint32_t>(position / 4));
  return gumbel(word_of(words, static_cast<int>(position % 4)));
}

// argmax(s + gumbel) is argmax(exp(s) / E) with E = -log u: the same order, one logarithm
// less. And since E >= 1 - u, an entry can only lead if weight > (1 - u) * best, which is a
// subtraction and a product: almost every entry is turned away before its logarithm.
struct Race {
  float best = 0.0f;
  int winner = 0;

  ADAGEN_HD static float bound(std::uint32_t word) { return 1.0f - uniform(word); }

  ADAGEN_HD void enter(float weight, std::uint32_t word, int entry) {
    if (!(weight > bound(word) * best)) return;
    const float score = weight / -std::log(uniform(word));
    if (score > best) {
      best = score;
      winner = entry;
    }
  }
};

// The smallest value of Race::bound: weights below this share of the best cannot win.
constexpr float kLeastBound = 0x1p-24f;

}  // namespace adagen
