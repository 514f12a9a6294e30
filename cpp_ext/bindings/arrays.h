// How NumPy arrays reach the kernels. The Python side has checked every shape.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>

#include <cstdint>
#include <optional>

#include "../ops.h"

namespace adagen {

namespace nb = nanobind;

template <class T>
using In = nb::ndarray<const T, nb::c_contig, nb::device::cpu>;
template <class T>
using Out = nb::ndarray<T, nb::c_contig, nb::device::cpu>;
template <class T>
using Maybe = std::optional<In<T>>;

template <class T>
const T* data_or_null(const Maybe<T>& array) {
  return array ? array->data() : nullptr;
}

inline Logits logits_of(const In<float>& cond, const In<float>& null, const In<float>& guidance) {
  return {cond.data(),
          null.data(),
          guidance.data(),
          1.0f,
          Dtype::kFloat32,
          static_cast<std::int64_t>(cond.shape(0)),
          static_cast<std::int64_t>(cond.shape(1)),
          static_cast<std::int64_t>(cond.shape(2))};
}

// Runs a kernel without the interpreter's lock.
template <class Op>
void run(void (*kernel)(const Op&, int), const Op& op, int threads) {
  nb::gil_scoped_release unlocked;
  kernel(op, threads);
}

void bind_sampling(nb::module_& module);
void bind_latents(nb::module_& module);
void bind_launch(nb::module_& module);

}  // namespace adagen
