// Device driver of guided_sample: one block a row, grid (batch * tokens), kTeamThreads
// threads, dynamic shared memory for padded_size(vocabulary) floats.
#include "device_team.cuh"
#include "guided_sample.h"

extern "C" __global__ void adagen_guided_sample(const adagen::GuidedSample op) {
  extern __shared__ float scratch[];
  adagen::sample_row(adagen::DeviceTeam{}, op, blockIdx.x, scratch);
}
