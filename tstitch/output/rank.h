// Several processes that share the images of one run.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "tstitch/base/index_range.h"

namespace tstitch {

struct Rank {
  int64_t index = 0, count = 1;
  std::string source = {};  // who says so: "--rank, --world-size", the environment's two names, or ""
};

// By the options where they are given, else by the environment: Open MPI's, PMI's (MPICH, Intel MPI) or
// torchrun's variables, which must agree where there are several, else Slurm's, whose tasks may have started
// one of those. Neither: the one rank of one. `environment` looks a variable up, null when it is not set.
//
// Throws Error{usage} naming the options or variables that lack their other half, are no numbers, are out of
// range, or contradict each other. SLURM_NTASKS alone is no half: every shell of an allocation has it.
Rank find_rank(std::optional<int64_t> index, std::optional<int64_t> count,
               const std::function<const char*(const char*)>& environment);

// The images of a rank: the index-th of `count` blocks of almost equal size.
IndexRange block_of(const Rank& rank, int64_t images);

}  // namespace tstitch
