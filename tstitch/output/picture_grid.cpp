#include "tstitch/output/picture_grid.h"

#include <utility>

#include "tstitch/engine/report.h"
#include "tstitch/output/grid.h"

namespace tstitch {

PictureGrid::PictureGrid(std::string path, const Plan& plan, const std::vector<ModelInfo>& models,
                         int64_t images_per_class)
    : path_(std::move(path)),
      plan_(plan),
      models_(models),
      images_per_class_(images_per_class),
      missing_({{0, plan.images()}}) {}

void PictureGrid::add(int64_t, const std::vector<Image>& pictures) {
  pictures_.insert(pictures_.end(), pictures.begin(), pictures.end());
}

std::vector<std::string> PictureGrid::finish() {
  const bool single = pictures_.size() == 1;
  const Image picture =
      single ? pictures_[0] : make_grid(pictures_, grid_columns(plan_.images(), images_per_class_));
  write_png(path_, picture, png_text(plan_, models_, single ? 0 : -1));
  return {path_};
}

}  // namespace tstitch
