// Host driver of solver_times: a few numbers a sample, not worth a second thread.
#include "solver_times.h"

namespace adagen {

void solver_times(const SolverTimes& op, int) {
  for (std::int64_t sample = 0; sample < op.batch; ++sample) solver_times_sample(op, sample);
}

}  // namespace adagen
