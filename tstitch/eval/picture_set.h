// Sets of pictures as files: archives of pictures, of statistics or of features, and folders of PNGs.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tstitch/eval/metrics.h"

namespace tstitch {

// Pictures of one size, front to back.
class PictureSource {
 public:
  virtual ~PictureSource() = default;
  virtual int64_t left() const = 0;
  virtual Shape picture() const = 0;       // (H, W, C)
  virtual Tensor next(int64_t count) = 0;  // (count, H, W, C) u8, count <= left()
};

// What a file holds. An archive may hold several: ADM's reference batches have pictures and their statistics.
struct PictureSet {
  std::string path;
  std::unique_ptr<PictureSource> pictures;  // or none
  SetStatistics stored;                     // what needs no network
  PicturePrompts prompts;                   // of the pictures, or none

  // Whether pictures must go through the network for these needs.
  bool asks_network(const FeatureNeeds& needs) const;
};

// An .npz with `arr_0` (N, H, W, C) u8, `mu` (D) and `sigma` (D, D) of features, `mu_s` and `sigma_s` of
// spatial ones, `features` (N, D), `spatial` (N, S), `logits` (N, K); or a folder whose .png files are the
// pictures, in the order of their names. Throws Error{input} when nothing of that is there, or its shape
// is another.
PictureSet open_picture_set(const std::string& path);

// All that is needed and can be had: what is stored, else from the pictures by the network (null: there is
// none). progress: told how many pictures have been seen.
SetStatistics measure(PictureSet& set, const FeatureExtractor* network, const FeatureNeeds& needs,
                      const std::function<void(int64_t)>& progress);

// `mu`, `sigma`, `mu_s`, `sigma_s` and `features`, as far as they are there, as an .npz.
void write_statistics(const std::string& path, const SetStatistics& set);

}  // namespace tstitch
