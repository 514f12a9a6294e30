// What the two sampling ops share: a row of logits, its noise, and the draw itself.
#pragma once

#include "failures.h"
#include "fast_exp.h"
#include "half.h"
#include "team.h"

namespace adagen {

// A smaller temperature counts as this one; see MIN_TEMPERATURE in the specification.
constexpr float kMinTemperature = 1e-6f;

// The logits of one token, with and without the class.
template <class T>
struct Row {
  const T* cond;
  const T* null;
  int vocabulary;
  float guidance;

  ADAGEN_HD float guided(int entry) const {
    const float given = as_float(cond[entry]);
    return given + guidance * (given - as_float(null[entry]));
  }
};

// The noise of one token: injected numbers if there are any, else a stream.
struct TokenNoise {
  const float* injected;
  Stream stream;
  std::uint64_t position;  // of the row's first entry
};

// Row `index` of logits whose first element is at `cond`.
template <class T>
ADAGEN_HD Row<T> row_of(const Logits& logits, const T* cond, std::int64_t index) {
  const std::int64_t start = index * logits.vocabulary;
  return {cond + start, static_cast<const T*>(logits.null) + start,
          static_cast<int>(logits.vocabulary),
          logits.guidance[index / logits.tokens] * logits.growth};
}

ADAGEN_HD inline Stream stream_of(const BatchNoise& noise, std::int64_t sample,
                                  Purpose purpose) {
  return {static_cast<std::uint64_t>(noise.seeds[sample]),
          static_cast<std::uint32_t>(noise.steps[sample]), purpose};
}

ADAGEN_HD inline TokenNoise noise_of(const BatchNoise& noise, const Logits& logits,
                                     std::int64_t index) {
  if (noise.token != nullptr) return {noise.token + index * logits.vocabulary, {}, 0};
  const std::int64_t sample = index / logits.tokens, token = index % logits.tokens;
  return {nullptr, stream_of(noise, sample, Purpose::kToken),
          static_cast<std::uint64_t>(token * logits.vocabulary)};
}

ADAGEN_HD inline float inverse_temperature(float temperature) {
  return 1.0f / (temperature < kMinTemperature ? kMinTemperature : temperature);
}

// Floats that a row of `vocabulary` entries needs beside its logits: weights begin where the
// row does inside a Philox block of four, and end with a race's last block.
ADAGEN_HD inline int padded_size(int vocabulary) {
  return (vocabulary + 3 + kRaceBlock - 1) / kRaceBlock * kRaceBlock;
}

// Entries of zero weight before a row's first, so that its weights line up with Philox blocks.
ADAGEN_HD inline int lead(const TokenNoise& noise) { return static_cast<int>(noise.position % 4); }

// Draws an entry in proportion to its weight, `padded[lead(noise) + entry]`.
template <class Team>
ADAGEN_TEAM int draw(const Team& team, float* padded, int vocabulary, const TokenNoise& noise) {
  const int before = lead(noise), used = before + vocabulary;
  team.each(before, [=](int i) { padded[i] = 0.0f; });
  team.each(padded_size(vocabulary) - used, [=](int i) { padded[used + i] = 0.0f; });
  team.sync();
  const auto block = static_cast<std::uint32_t>(noise.position / 4);
  return team.race(padded, used, noise.stream, block) - before;
}

}  // namespace adagen
