// exp for non-positive arguments, in a form that compilers vectorise.
#pragma once

#include "platform.h"

namespace adagen {

// Cody-Waite reduction to |r| <= ln(2) / 2 and a polynomial: relative error below 2e-7.
// Zero below -87 (where float32 nears its smallest normal number); NaN stays NaN.
ADAGEN_HD inline float exp_nonpositive(float x) {
  constexpr float kLog2E = 1.44269504f;
  constexpr float kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;
  constexpr float kRounder = 0x1.8p23f;  // adding it rounds to an integer in the low bits
  const float clamped = x < -87.0f ? -87.0f : x;
  const float rounded = clamped * kLog2E + kRounder;
  const float n = rounded - kRounder;
  const float r = (clamped - n * kLn2High) - n * kLn2Low;
  float p = 1.0f / 5040;
  p = p * r + 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  const std::int32_t exponent = float_bits(rounded) - float_bits(kRounder) + 127;
  const float result = p * bits_float(static_cast<std::int32_t>(
                               static_cast<std::uint32_t>(exponent) << 23));
  return x < -87.0f ? 0.0f : result;
}

}  // namespace adagen
