// Device driver of sample_top_k_top_p: one block a row, grid (batch * tokens), kTeamThreads
// threads, dynamic shared memory for twice padded_size(vocabulary) floats.
#include "device_team.cuh"
#include "sample_top_k_top_p.h"

extern "C" __global__ void adagen_sample_top_k_top_p(const adagen::SampleTopKTopP op) {
  extern __shared__ float scratch[];
  adagen::sample_row(adagen::DeviceTeam{}, op, blockIdx.x, scratch);
}
