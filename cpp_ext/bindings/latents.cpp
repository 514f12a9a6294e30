// Bindings of the ops that work on latents.
#include "arrays.h"

namespace adagen {

using namespace nb::literals;

static void bind_solver_update(nb::module_& module) {
  module.def(
      "solver_update",
      [](In<float> x, In<float> anchor, In<float> anchor_data, In<float> cond, In<float> null,
         In<float> guidance, In<float> times, In<std::int64_t> phase, bool linear,
         Out<float> next, Out<float> next_anchor, Out<float> next_data, int threads) {
        const auto size = [&](int axis) { return static_cast<std::int64_t>(x.shape(axis)); };
        const SolverUpdate op{x.data(),
                              anchor.data(),
                              anchor_data.data(),
                              cond.data(),
                              null.data(),
                              guidance.data(),
                              times.data(),
                              phase.data(),
                              linear ? Process::kLinear : Process::kVariancePreserving,
                              Dtype::kFloat32,
                              size(0),
                              size(1),
                              size(2) * size(3),
                              1,
                              next.data(),
                              next_anchor.data(),
                              next_data.data(),
                              {}};
        run(solver_update, op, threads);
      },
      "x"_a.noconvert(), "anchor"_a.noconvert(), "anchor_data"_a.noconvert(),
      "cond"_a.noconvert(), "null"_a.noconvert(), "guidance"_a.noconvert(),
      "times"_a.noconvert(), "phase"_a.noconvert(), "linear"_a, "next"_a.noconvert(),
      "next_anchor"_a.noconvert(), "next_data"_a.noconvert(), "threads"_a);
}

static void bind_normal(nb::module_& module) {
  module.def(
      "normal",
      [](In<std::int64_t> seeds, Out<float> values, int threads) {
        const auto batch = static_cast<std::int64_t>(seeds.shape(0));
        const auto count = batch > 0 ? static_cast<std::int64_t>(values.size()) / batch : 0;
        run(normal, Normal{seeds.data(), batch, count, 1, values.data()}, threads);
      },
      "seeds"_a.noconvert(), "values"_a.noconvert(), "threads"_a);
}

void bind_latents(nb::module_& module) {
  bind_solver_update(module);
  bind_normal(module);
}

}  // namespace adagen
