// Host driver of pixels.
#include "pixels.h"

namespace adagen {

void pixels(const Pixels& op, int) {
  const std::int64_t count = op.batch * op.pixels * op.channels;
  with_type(op.image, op.dtype, [&](const auto* image) {
    for (std::int64_t i = 0; i < count; ++i) write_pixel(op, image, i);
  });
}

}  // namespace adagen
