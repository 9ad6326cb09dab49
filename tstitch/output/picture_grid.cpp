#include "tstitch/output/picture_grid.h"

#include <utility>

#include "tstitch/engine/report.h"
#include "tstitch/output/grid.h"

namespace tstitch {

PictureGrid::PictureGrid(std::string path, const RunSpec& spec, const std::vector<ModelInfo>& models,
                         bool metadata)
    : path_(std::move(path)),
      spec_(spec),
      models_(models),
      metadata_(metadata),
      missing_({{0, spec.images()}}) {}

void PictureGrid::add(int64_t, const std::vector<Image>& pictures) {
  pictures_.insert(pictures_.end(), pictures.begin(), pictures.end());
}

std::vector<std::string> PictureGrid::finish() {
  const bool single = pictures_.size() == 1;
  const SampleOptions& options = spec_.options;
  const int columns = grid_columns(spec_.images(), options.random_classes ? 1 : options.batch_count);
  write_png(path_, single ? pictures_[0] : make_grid(pictures_, columns),
            metadata_ ? png_text(spec_, models_, single ? 0 : -1) : PngText());
  return {path_};
}

}  // namespace tstitch
