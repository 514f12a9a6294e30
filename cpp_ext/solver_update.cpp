// Host driver of solver_update: channels of all samples, shared out over threads.
#include "solver_update.h"

#include "parallel.h"

namespace adagen {
namespace {

template <class T>
void update_channels(const SolverUpdate& op, const T* cond, std::int64_t begin,
                     std::int64_t end) {
  for (std::int64_t index = begin; index < end; ++index) {
    const std::int64_t sample = index / op.channels;
    const std::int64_t start = index * op.pixels, stop = start + op.pixels;
    if (op.phase[sample] < 0) {
      for (std::int64_t i = start; i < stop; ++i) keep_element(op, i);
      continue;
    }
    const bool first = op.phase[sample] == 0;
    const bool guided = index % op.channels < op.guided;
    const Step step = step_of(op, sample, first);
    const float guidance = guided ? op.guidance[sample] : 0.0f;
    bool finite = true;
#pragma omp simd reduction(&& : finite)
    for (std::int64_t i = start; i < stop; ++i) {
      const bool usable = update_element(op, cond, step, first, guidance, i);
      finite = finite && usable;
    }
    if (!finite) mark_failed(op.failures, sample);
  }
}

ADAGEN_CLONES void update_typed(const SolverUpdate& op, std::int64_t begin, std::int64_t end) {
  with_type(op.cond, op.dtype,
            [&](const auto* cond) { update_channels(op, cond, begin, end); });
}

}  // namespace

void solver_update(const SolverUpdate& op, int threads) {
  constexpr std::int64_t kElementsPerChunk = 65536;
  const std::int64_t count = op.batch * op.channels;
  const std::int64_t grain =
      op.pixels > 0 ? std::max<std::int64_t>(1, kElementsPerChunk / op.pixels) : count + 1;
  const int workers = worker_count(count, grain, threads);
  parallel_for(count, grain, workers, [&](int, std::int64_t begin, std::int64_t end) {
    update_typed(op, begin, end);
  });
}

}  // namespace adagen
