// A team of one host thread, whose loops compilers turn into vector instructions.
#pragma once

#include <limits>

#include "team.h"

namespace adagen {

struct HostTeam {
  void sync() const {}
  bool leads() const { return true; }

  template <class F>
  void each(int size, F f) const {
#pragma omp simd
    for (int i = 0; i < size; ++i) f(i);
  }

  template <class F>
  Extent extent(int size, F f) const {
    float least = std::numeric_limits<float>::infinity(), largest = -least, poison = 0.0f;
#pragma omp simd reduction(min : least) reduction(max : largest) reduction(+ : poison)
    for (int i = 0; i < size; ++i) {
      const float value = f(i);
      least = value < least ? value : least;
      largest = value > largest ? value : largest;
      poison += value * 0.0f;  // NaN once a value is not finite
    }
    return {least, largest, poison == 0.0f};
  }

  template <class F>
  float sum(int size, F f) const {
    float total = 0.0f;
#pragma omp simd reduction(+ : total)
    for (int i = 0; i < size; ++i) total += f(i);
    return total;
  }

  template <class F>
  int count(int size, F f) const {
    int total = 0;
#pragma omp simd reduction(+ : total)
    for (int i = 0; i < size; ++i) total += f(i) ? 1 : 0;
    return total;
  }

  // Sums values[i] and counts, where f(i) holds. The value is loaded either way: a masked load
  // would keep compilers from holding the sums in registers.
  template <class F>
  Tally tally(int size, const float* values, F f) const {
    float mass = 0.0f;
    int total = 0;
#pragma omp simd reduction(+ : mass, total)
    for (int i = 0; i < size; ++i) {
      const float value = values[i];
      const bool counted = f(i);
      mass += counted ? value : 0.0f;
      total += counted ? 1 : 0;
    }
    return {mass, total};
  }

  template <class F>
  int argmax(int size, F f) const {
    float best = -std::numeric_limits<float>::infinity();
    int winner = 0;
    for (int i = 0; i < size; ++i) {
      const float value = f(i);
      winner = value > best ? i : winner;
      best = value > best ? value : best;
    }
    return winner;
  }

  // Races `size` entries from the stream's position 4 * first_block on. Weights are readable,
  // and zero, up to the next multiple of kRaceBlock.
  int race(const float* weights, int size, const Stream& stream, std::uint32_t first_block) const {
    Race race;
    std::uint32_t words[kRaceBlock];
    for (int start = 0; start < size; start += kRaceBlock) {
      const float* block = weights + start;
      const float hopeless = kLeastBound * race.best;
      if (count(kRaceBlock, [=](int i) { return block[i] > hopeless; }) == 0) continue;
      fill(words, stream, first_block + static_cast<std::uint32_t>(start / 4));
      for (int lane = 0; lane < kRaceBlock; lane += kRaceLanes) {
        enter(race, block + lane, words + lane, start + lane);
      }
    }
    return race.winner;
  }

 private:
  static constexpr int kRaceLanes = 16;

  // Enters kRaceLanes entries, unless one look at them all shows that none can win.
  void enter(Race& race, const float* weights, const std::uint32_t* words, int first) const {
    const float best = race.best;
    const auto may_win = [=](int i) { return weights[i] > Race::bound(words[i]) * best; };
    if (count(kRaceLanes, may_win) == 0) return;
    for (int i = 0; i < kRaceLanes; ++i) race.enter(weights[i], words[i], first + i);
  }

  static void fill(std::uint32_t* words, const Stream& stream, std::uint32_t first_block) {
#pragma omp simd
    for (int i = 0; i < kRaceBlock / 4; ++i) {
      const Words w = random_words(stream, first_block + static_cast<std::uint32_t>(i));
      words[4 * i] = w.w0;
      words[4 * i + 1] = w.w1;
      words[4 * i + 2] = w.w2;
      words[4 * i + 3] = w.w3;
    }
  }
};

}  // namespace adagen
