// Device driver of pixels: grid (any), any number of threads.
#include "pixels.h"

extern "C" __global__ void adagen_pixels(const adagen::Pixels op) {
  const std::int64_t count = op.batch * op.pixels * op.channels;
  const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  adagen::with_type(op.image, op.dtype, [&](const auto* image) {
    for (std::int64_t i = first; i < count; i += stride) adagen::write_pixel(op, image, i);
  });
}
