// Selection without sorting: bisection over the ordered bit patterns of floats. Every pass is
// one vectorised count, the number of passes is at most 32 whatever the values, and a device
// needs no scratch for it.
#pragma once

#include "fast_exp.h"
#include "team.h"

namespace adagen {

// Maps floats to integers of the same order (NaN apart), and back: the map is its own inverse.
ADAGEN_HD inline std::int32_t ordered(std::int32_t bits) {
  return bits ^ ((bits >> 31) & 0x7fffffff);
}
ADAGEN_HD inline std::int64_t order_key(float value) { return ordered(float_bits(value)); }
ADAGEN_HD inline float key_value(std::int64_t key) {
  return bits_float(ordered(static_cast<std::int32_t>(key)));
}

// A value that exactly `rank` of the values reach, or, where ties make that impossible, the
// rank-th largest value. 1 <= rank <= size; no value is NaN.
template <class Team>
ADAGEN_TEAM float reached_by(const Team& team, const float* values, int size, int rank,
                           const Extent& extent) {
  std::int64_t low = order_key(extent.least), high = order_key(extent.largest) + 1;
  while (high - low > 1) {
    const std::int64_t middle = low + (high - low) / 2;
    const float pivot = key_value(middle);
    const int reached = team.count(size, [=](int i) { return values[i] >= pivot; });
    if (reached == rank) return pivot;
    (reached > rank ? low : high) = middle;
  }
  return key_value(low);
}

// What stays of a row: values above `value`, and those equal to it from index `first_tied` on.
struct Cut {
  float value;
  int first_tied;

  ADAGEN_HD bool keeps(float candidate, int index) const {
    return candidate > value || (candidate == value && index >= first_tied);
  }
};

// The index of tied values before which `drop` of them lie.
template <class Team>
ADAGEN_TEAM int tied_index(const Team& team, const float* values, int size, float tied, int drop) {
  int low = 0, high = size;
  while (high - low > 1) {
    const int middle = low + (high - low) / 2;
    const int before =
        team.count(size, [=](int i) { return i < middle && values[i] == tied; });
    (before <= drop ? low : high) = middle;
  }
  return low;
}

// Where to cut so that values dropped, from the smallest up (equal ones by index), weigh at
// most `limit` together; one entry always stays. Weights grow with values, and are 0 for
// values below `least`.
template <class Team>
ADAGEN_TEAM Cut cut_weight(const Team& team, const float* values, const float* weights, int size,
                         float limit, float least, float largest) {
  const auto below = [&](float pivot) {
    return team.tally(size, weights, [=](int i) { return values[i] < pivot; });
  };
  std::int64_t low = order_key(least), high = order_key(largest);
  Tally at_low = below(least), at_high = below(largest);
  if (at_high.mass <= limit) {
    low = high;
    at_low = at_high;
  }
  while (high - low > 1 && at_high.count - at_low.count > 1) {
    const std::int64_t middle = low + (high - low) / 2;
    const Tally at_middle = below(key_value(middle));
    const bool dropped = at_middle.mass <= limit;
    (dropped ? low : high) = middle;
    (dropped ? at_low : at_high) = at_middle;
  }
  const float value = key_value(low);
  const int tied = team.count(size, [=](int i) { return values[i] == value; });
  if (tied <= 1) return {value, 0};
  const float each = exp_nonpositive(value - largest);
  const float room = each > 0.0f ? (limit - at_low.mass) / each : 0.0f;
  const int drop = room >= static_cast<float>(tied - 1) ? tied - 1 : static_cast<int>(room);
  return {value, drop > 0 ? tied_index(team, values, size, value, drop) : 0};
}

}  // namespace adagen
