// Host driver of schedule: a few numbers a sample, not worth a second thread.
#include "schedule.h"

namespace adagen {

void schedule(const Schedule& op, int) {
  for (std::int64_t sample = 0; sample < op.batch; ++sample) schedule_sample(op, sample);
}

}  // namespace adagen
