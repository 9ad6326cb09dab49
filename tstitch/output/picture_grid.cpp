#include "tstitch/output/picture_grid.h"

#include <utility>

#include "tstitch/engine/report.h"
#include "tstitch/output/grid.h"

namespace tstitch {

PictureGrid::PictureGrid(std::string path, const RunSpec& spec, const std::vector<ModelInfo>& models,
                         int64_t images_per_class)
    : path_(std::move(path)),
      spec_(spec),
      models_(models),
      images_per_class_(images_per_class),
      missing_({{0, spec.images()}}) {}

void PictureGrid::add(int64_t, const std::vector<Image>& pictures) {
  pictures_.insert(pictures_.end(), pictures.begin(), pictures.end());
}

std::vector<std::string> PictureGrid::finish() {
  const bool single = pictures_.size() == 1;
  const Image picture =
      single ? pictures_[0] : make_grid(pictures_, grid_columns(spec_.images(), images_per_class_));
  write_png(path_, picture, png_text(spec_, models_, single ? 0 : -1));
  return {path_};
}

}  // namespace tstitch
