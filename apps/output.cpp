#include "apps/output.h"

#include <unistd.h>

#include <cstdio>
#include <filesystem>

#include "tstitch/base/error.h"
#include "tstitch/pipeline/images.h"
#include "tstitch/pipeline/report.h"

namespace tstitch {
namespace fs = std::filesystem;

namespace {

bool is_folder(const std::string& path) {
  std::error_code ignored;
  return path.ends_with('/') || fs::is_directory(path, ignored);
}

void check_writable_folder(const fs::path& folder, const std::string& path) {
  std::error_code ignored;
  check(fs::is_directory(folder, ignored), ErrorKind::device, "cannot write \"", printable(path),
        "\": there is no folder \"", printable(folder.string()), "\"");
  check(access(folder.c_str(), W_OK | X_OK) == 0, ErrorKind::device, "cannot write \"", printable(path),
        "\": the folder \"", printable(folder.string()), "\" is not writable");
}

fs::path parent_of(const std::string& path) {
  const fs::path parent = fs::path(path).parent_path();
  return parent.empty() ? "." : parent;
}

}  // namespace

void check_output_file(const std::string& path) {
  check(!is_folder(path), ErrorKind::usage, "\"", printable(path), "\" is a folder, expected a file name");
  check_writable_folder(parent_of(path), path);
}

void check_output(const std::string& path) {
  if (is_folder(path)) {
    // What is missing is made later; what is there must be a folder to write to.
    fs::path existing = fs::absolute(path);
    std::error_code ignored;
    while (!fs::exists(existing, ignored) && existing.has_relative_path()) existing = existing.parent_path();
    return check_writable_folder(existing, path);
  }
  check(path.ends_with(".png"), ErrorKind::usage, "--output is \"", printable(path),
        "\", expected a name that ends in .png, or a folder/");
  check_output_file(path);
}

std::vector<std::string> write_images(const std::string& path, const Tensor& pictures, const Plan& plan,
                                      const std::vector<ModelInfo>& models, int64_t images_per_class) {
  const std::vector<Image> images = decode_pixels(pictures);
  if (!is_folder(path)) {
    const bool single = images.size() == 1;
    const Image picture =
        single ? images[0] : make_grid(images, grid_columns(plan.images(), images_per_class));
    write_png(path, picture, png_text(plan, models, single ? 0 : -1));
    return {path};
  }
  std::error_code error;
  fs::create_directories(path, error);
  check(!error, ErrorKind::device, "cannot make the folder \"", printable(path), "\": ", error.message());
  std::vector<std::string> written;
  for (size_t i = 0; i < images.size(); ++i) {
    char name[32];
    std::snprintf(name, sizeof name, "%06zu.png", i);
    written.push_back((fs::path(path) / name).string());
    write_png(written.back(), images[i], png_text(plan, models, static_cast<int64_t>(i)));
  }
  return written;
}

}  // namespace tstitch
