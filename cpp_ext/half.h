// Reading float16 and bfloat16 as float32, by bit arithmetic that host and devices share.
#pragma once

#include "ops.h"

namespace adagen {

struct Half {
  std::uint16_t bits;
};

struct Brain {
  std::uint16_t bits;
};

ADAGEN_HD inline float as_float(float value) { return value; }

// Exact, subnormal numbers, infinities and NaN included: the exponent is moved to its place,
// and a product with 2^112 rebiases it.
ADAGEN_HD inline float as_float(Half value) {
  const std::int32_t magnitude = (value.bits & 0x7fff) << 13;
  const std::int32_t sign = (value.bits & 0x8000) << 16;
  const std::int32_t scaled = float_bits(bits_float(magnitude) * 0x1p112f);
  const bool special = magnitude >= 0x0f800000;  // an exponent of all ones
  return bits_float(sign | (special ? magnitude | 0x7f800000 : scaled));
}

ADAGEN_HD inline float as_float(Brain value) {
  return bits_float(static_cast<std::int32_t>(static_cast<std::uint32_t>(value.bits) << 16));
}

// Calls use(p) with `data` as a pointer to its elements' type.
template <class Use>
ADAGEN_TEAM auto with_type(const void* data, Dtype dtype, Use use) {
  switch (dtype) {
    case Dtype::kFloat16:
      return use(static_cast<const Half*>(data));
    case Dtype::kBFloat16:
      return use(static_cast<const Brain*>(data));
    default:
      return use(static_cast<const float*>(data));
  }
}

}  // namespace adagen
