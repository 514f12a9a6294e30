// Device driver of solver_times: one thread a sample, grid (any), any number of threads.
#include "solver_times.h"

extern "C" __global__ void adagen_solver_times(const adagen::SolverTimes op) {
  const std::int64_t sample = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (sample < op.batch) adagen::solver_times_sample(op, sample);
}
