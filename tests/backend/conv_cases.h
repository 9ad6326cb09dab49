// Convolutions that every backend is tested with, whatever their numbers: a picture, a kernel, a path.
#pragma once

#include "tstitch/backend/backend.h"

namespace tstitch {

struct ConvCase {
  int64_t N, H, W, C, M;
  Extent2d k;
  Conv2dPath path;
};

inline const ConvCase kConvCases[] = {
    {1, 1, 1, 1, 1, 1, {}},
    {2, 3, 5, 3, 7, 1, {}},
    {1, 4, 4, 4, 4, 3, {.pad_before = 1, .pad_after = 1}},
    {2, 9, 7, 3, 33, 3, {.pad_before = 1, .pad_after = 1}},
    {1, 6, 17, 32, 3, 3, {.pad_before = 1, .pad_after = 1}},
    {1, 5, 6, 17, 40, 3, {}},
    {2, 8, 9, 20, 31, 3, {.stride = 2, .pad_after = 1}},
    {1, 9, 8, 6, 5, 3, {.stride = 2, .pad_before = 1, .pad_after = 1}},
    {1, 5, 3, 10, 34, 3, {.pad_before = 1, .pad_after = 1, .upsample = true}},
    {1, 11, 12, 8, 9, 5, {.stride = 3, .pad_before = 2, .pad_after = 1}},
    {1, 3, 4, 9, 12, 1, {.stride = 2}},
    {1, 6, 5, 512, 64, 3, {.pad_before = 1, .pad_after = 1}},
    {1, 2, 3, 1280, 33, 3, {.pad_before = 1, .pad_after = 1}},
    {1, 16, 16, 64, 320, 3, {.pad_before = 1, .pad_after = 1}},
    {2, 6, 9, 20, 33, {1, 7}, {.pad_before = {0, 3}, .pad_after = {0, 3}}},
    {2, 9, 6, 20, 33, {7, 1}, {.pad_before = {3, 0}, .pad_after = {3, 0}}},
    {1, 8, 8, 448, 40, {3, 1}, {.pad_before = {1, 0}, .pad_after = {1, 0}}},
    {1, 7, 10, 5, 9, {2, 5}, {.stride = 2, .pad_before = {1, 0}, .pad_after = {0, 3}}},
    {1, 5, 3, 10, 34, {3, 1}, {.pad_before = {1, 0}, .pad_after = {1, 0}, .upsample = true}},
    {2, 5, 3, 10, 34, 3, {.pad_before = 1, .pad_after = 1, .upsample = true, .cut = {1, 0}}},
    {1, 5, 18, 10, 34, 3, {.pad_before = 1, .pad_after = 1, .upsample = true, .cut = {0, 1}}},
    {1, 1, 1, 10, 5, 3, {.pad_before = 1, .pad_after = 1, .upsample = true, .cut = 1}},
    {2, 5, 3, 10, 34, 3, {.pad_before = 1, .pad_after = 1, .upsample = true, .cut = {1, 1}}},
    {2, 5, 3, 10, 34, 1, {.upsample = true}},
    {2, 16, 16, 64, 70, 3, {.pad_before = 1, .pad_after = 1}},
    {1, 16, 16, 128, 130, 1, {}},
    // More than a CPU computes at once: images, pixels, rows of 8-bit numbers.
    {5, 16, 16, 512, 5, 3, {.pad_before = 1, .pad_after = 1}},
    {1, 40, 40, 1024, 5, 1, {}},
    {1, 33, 34, 1024, 3, 3, {.pad_before = 1, .pad_after = 1}},
};

}  // namespace tstitch
