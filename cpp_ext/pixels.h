// From a decoder's output to bytes; adagen_rt/ops/reference.py is the specification.
#pragma once

#include "half.h"

namespace adagen {

// NaN becomes black.
ADAGEN_HD inline std::uint8_t pixel(float value, float low, float factor) {
  const float scaled = (value - low) * factor;
  const float above = scaled > 0.0f ? scaled : 0.0f;
  return static_cast<std::uint8_t>(std::rint(above < 255.0f ? above : 255.0f));
}

// Writes byte `index` of the result's batch * pixels * channels.
template <class T>
ADAGEN_HD void write_pixel(const Pixels& op, const T* image, std::int64_t index) {
  const std::int64_t channel = index % op.channels, place = index / op.channels;
  const std::int64_t sample = place / op.pixels, offset = place % op.pixels;
  const float value = as_float(image[(sample * op.channels + channel) * op.pixels + offset]);
  op.bytes[index] = op.failed[sample] != 0 ? std::uint8_t{0} : pixel(value, op.low, op.factor);
}

}  // namespace adagen
