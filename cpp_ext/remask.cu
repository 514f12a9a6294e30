// Device driver of remask: one block a sample, grid (batch), kTeamThreads threads, dynamic
// shared memory for one float a token.
#include "device_team.cuh"
#include "remask.h"

extern "C" __global__ void adagen_remask(const adagen::Remask op) {
  extern __shared__ float scratch[];
  adagen::remask_sample(adagen::DeviceTeam{}, op, blockIdx.x, scratch);
}
