// How one row of numbers is worked on: by one host thread with vector instructions
// (host_team.h), or by a block of device threads (device_team.cuh). The ops' headers are
// written once, over what both teams offer, f(i) being called for every i in [0, size):
//
//   each(size, f)             calls f
//   sum, count, extent        reduce f
//   tally(size, values, f)    sums and counts the values where f holds
//   argmax(size, f)           the first i of the largest f
//   race(weights, ...)        draws an entry in proportion to its weight
//   sync()                    makes what the team wrote visible to all of it
//   leads()                   true for the one thread that writes the result
#pragma once

#include "gumbel.h"

namespace adagen {

struct Extent {
  float least, largest;
  bool finite;  // whether every value is
};

struct Tally {
  float mass;  // sum of the values counted
  int count;
};

// Entries that one step of a race looks at: weights are padded with zeros to a multiple.
constexpr int kRaceBlock = 64;

}  // namespace adagen
