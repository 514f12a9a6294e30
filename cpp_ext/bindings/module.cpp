// The Python module adagen_rt._kernels: runs an op from its struct's bytes, as a device launch
// does, on the host. Private: adagen_rt/ops/cpu.py has checked what the pointers inside point to;
// adagen_rt/cuda/host.py executes device programs.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <cstring>
#include <string>

#include "../ops.h"

namespace adagen {
namespace {

namespace nb = nanobind;

struct Entry {
  const char* name;
  std::size_t size;
  void (*run)(const char* bytes, int threads);
};

template <class Op, void (*Driver)(const Op&, int)>
void unpack_and_run(const char* bytes, int threads) {
  Op op;
  std::memcpy(&op, bytes, sizeof op);
  Driver(op, threads);
}

template <class Op, void (*Driver)(const Op&, int)>
constexpr Entry entry(const char* name) {
  return {name, sizeof(Op), unpack_and_run<Op, Driver>};
}

constexpr Entry kEntries[] = {
    entry<GuidedSample, guided_sample>("guided_sample"),
    entry<Normal, normal>("normal"),
    entry<Pixels, pixels>("pixels"),
    entry<Remask, remask>("remask"),
    entry<SampleTopKTopP, sample_top_k_top_p>("sample_top_k_top_p"),
    entry<Schedule, schedule>("schedule"),
    entry<SolverTimes, solver_times>("solver_times"),
    entry<SolverUpdate, solver_update>("solver_update"),
};

const Entry& find(const std::string& name) {
  for (const Entry& candidate : kEntries) {
    if (name == candidate.name) return candidate;
  }
  throw nb::key_error(name.c_str());
}

std::size_t struct_size(const std::string& name) { return find(name).size; }

// Without the interpreter's lock while the kernel runs.
void launch(const std::string& name, nb::bytes op, int threads) {
  const Entry& called = find(name);
  if (op.size() != called.size) throw nb::value_error("the struct has another size");
  nb::gil_scoped_release unlocked;
  called.run(op.c_str(), threads);
}

}  // namespace
}  // namespace adagen

NB_MODULE(_kernels, module) {
  using namespace nanobind::literals;
  module.doc() = "Fused CPU kernels, each run from the bytes of its struct.";
  module.def("struct_size", &adagen::struct_size, "name"_a);
  module.def("launch", &adagen::launch, "name"_a, "op"_a, "threads"_a);
}
