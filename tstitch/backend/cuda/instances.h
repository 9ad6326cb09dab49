// Every kernel that is launched, for those who instantiate launch.h.
#pragma once

#include "tstitch/backend/cuda/kernels/attention.h"
#include "tstitch/backend/cuda/kernels/convolution.h"
#include "tstitch/backend/cuda/kernels/elementwise.h"
#include "tstitch/backend/cuda/kernels/layout.h"
#include "tstitch/backend/cuda/kernels/norms.h"

#define TSTITCH_INDEX_KERNELS(X)                                                                             \
  X(Copy)                                                                                                    \
  X(Stack)                                                                                                   \
  X(Activate)                                                                                                \
  X(Clamp)                                                                                                   \
  X(SoftClamp)                                                                                               \
  X(Combine)                                                                                                 \
  X(AddNoise) X(Guide) X(Geglu) X(AddGated) X(AddRows) X(Gather) X(Scatter) X(TimestepEmbedding) X(Patchify) \
      X(Unpatchify) X(ToChannelsLast) X(ToChannelsFirst) X(ConvolutionInput) X(ConvolutionOutput)            \
          X(ImageBias) X(Pool)

#define TSTITCH_BLOCK_KERNELS(X) \
  X(RowNorm)                     \
  X(GroupMoments)                \
  X(GroupScaleShift)             \
  X(NearestRows) X(TiledAttention<2>) X(TiledAttention<4>) X(TiledAttention<8>) X(TiledAttention<16>)
