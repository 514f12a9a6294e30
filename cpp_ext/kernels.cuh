// Every kernel as one translation unit: one module to load.
#include "guided_sample.cu"
#include "normal.cu"
#include "pixels.cu"
#include "remask.cu"
#include "sample_top_k_top_p.cu"
#include "schedule.cu"
#include "solver_times.cu"
#include "solver_update.cu"
