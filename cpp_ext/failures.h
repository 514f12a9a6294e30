// How a sample that met a non-finite number is marked.
#pragma once

#include "ops.h"

namespace adagen {

ADAGEN_HD inline bool is_finite(float value) { return value * 0.0f == 0.0f; }

// The first mark stays. Threads that mark one sample in one step all write the same number.
ADAGEN_HD inline void mark_failed(const Failures& failures, std::int64_t sample) {
  if (failures.at == nullptr || failures.at[sample] != 0) return;
  failures.at[sample] = failures.step[sample] + 1;
}

}  // namespace adagen
