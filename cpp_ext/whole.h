// Integers that are made of an activation; adagen_rt/ops/reference.py is the specification.
#pragma once

#include "platform.h"

namespace adagen {

// Rounded down, but a number that rounding left just below an integer is that integer.
ADAGEN_HD inline float whole(float value) { return std::floor(value * (1.0f + 0x1p-21f)); }

}  // namespace adagen
