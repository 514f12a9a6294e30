// The Python module adagen_rt._kernels. Private: adagen_rt/ops/cpu.py is its only caller.
#include "arrays.h"

NB_MODULE(_kernels, module) {
  module.doc() = "Fused CPU kernels; every function writes into arrays given by the caller.";
  adagen::bind_sampling(module);
  adagen::bind_latents(module);
  adagen::bind_launch(module);
}
