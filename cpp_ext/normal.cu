// Device driver of normal: grid (any, batch), any number of threads.
#include "normal.h"

extern "C" __global__ void adagen_normal(const adagen::Normal op) {
  const std::int64_t blocks = (op.count + 3) / 4;
  const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  for (std::int64_t block = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
       block < blocks; block += stride) {
    adagen::normal_block(op, blockIdx.y, static_cast<std::uint32_t>(block));
  }
}
