// Every kernel that is launched, for those who instantiate launch.h.
#pragma once

#include "tstitch/backend/cuda/kernels/elementwise.h"

#define TSTITCH_INDEX_KERNELS(X) X(Cast)
#define TSTITCH_BLOCK_KERNELS(X)
