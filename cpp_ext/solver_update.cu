// Device driver of solver_update: grid (channels, batch), any number of threads.
#include "solver_update.h"

extern "C" __global__ void adagen_solver_update(const adagen::SolverUpdate op) {
  const std::int64_t channel = blockIdx.x, sample = blockIdx.y;
  const std::int64_t start = (sample * op.channels + channel) * op.pixels;
  if (op.phase[sample] < 0) {  // the whole block: its threads have one sample
    for (std::int64_t i = threadIdx.x; i < op.pixels; i += blockDim.x) {
      adagen::keep_element(op, start + i);
    }
    return;
  }
  const bool first = op.phase[sample] == 0;
  __shared__ adagen::Step step;
  if (threadIdx.x == 0) step = adagen::step_of(op, sample, first);
  __syncthreads();
  const float guidance = channel < op.guided ? op.guidance[sample] : 0.0f;
  adagen::with_type(op.cond, op.dtype, [&](const auto* cond) {
    for (std::int64_t i = threadIdx.x; i < op.pixels; i += blockDim.x) {
      const bool finite = adagen::update_element(op, cond, step, first, guidance, start + i);
      if (!finite) adagen::mark_failed(op.failures, sample);
    }
  });
}
