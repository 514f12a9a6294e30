// Device driver of schedule: one thread a sample, grid (any), any number of threads.
#include "schedule.h"

extern "C" __global__ void adagen_schedule(const adagen::Schedule op) {
  const std::int64_t sample = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (sample < op.batch) adagen::schedule_sample(op, sample);
}
