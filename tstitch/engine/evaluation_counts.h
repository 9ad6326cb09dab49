// How often a run asks its networks, known before it.
#pragma once

#include <cstdint>

#include "tstitch/engine/run_spec.h"

namespace tstitch {

// Evaluations of one model for one batch of a run.
struct EvaluationCounts {
  int64_t all = 0;
  int64_t whole = 0;  // of them (BlockCache)

  // Of a model that is not asked, as if it were often.
  double whole_share(const BlockCache& cache) const {
    return all > 0 ? static_cast<double>(whole) / static_cast<double>(all) : cache.whole_share();
  }
};

// Of the stage of that number along the trajectory, which begins anew whenever others have served. Throws
// Error{usage} where what is to be whole does not lie so (whole_evaluations).
EvaluationCounts evaluation_counts(const RunSpec& spec, int stage);

// The most before others serve, of the stage of that number; 0 where it serves nothing.
int64_t most_evaluations(const RunSpec& spec, int stage);

// Of the consecutive steps of the stage that this one is among; of all steps where others serve it.
int64_t evaluations_around(const RunSpec& spec, int stage, const Step& step);

}  // namespace tstitch
