#include "apps/output.h"

#include <unistd.h>

#include <filesystem>

#include "apps/session.h"
#include "tstitch/base/error.h"
#include "tstitch/pipeline/picture_archive.h"
#include "tstitch/pipeline/picture_folder.h"
#include "tstitch/pipeline/picture_grid.h"

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

void check_output_file(const std::string& path, const std::vector<std::string>& inputs) {
  check(!is_folder(path), ErrorKind::usage, "\"", printable(path), "\" is a folder, expected a file name");
  check_writable_folder(parent_of(path), path);
  std::error_code ignored;
  for (const std::string& input : inputs)
    check(!fs::equivalent(path, input, ignored), ErrorKind::usage, "\"", printable(path),
          "\" is the input itself: expected another output");
}

void check_output(const std::string& path, const std::vector<std::string>& inputs) {
  if (is_folder(path)) {
    // What is missing is made later; what is there must be a folder to write to.
    fs::path existing = fs::absolute(path);
    std::error_code ignored;
    while (!fs::exists(existing, ignored) && existing.has_relative_path()) existing = existing.parent_path();
    return check_writable_folder(existing, path);
  }
  check(path.ends_with(".png") || path.ends_with(".npz"), ErrorKind::usage, "--output is \"", printable(path),
        "\", expected a name that ends in .png or .npz, or a folder/");
  check_output_file(path, inputs);
}

bool is_resumable(const std::string& path) { return is_folder(path) || path.ends_with(".npz"); }

std::unique_ptr<PictureOutput> open_output(const std::string& path, const Arguments& a, const Rank& rank,
                                           const Plan& plan, const std::vector<ModelInfo>& models,
                                           const Backend& backend) {
  if (!is_resumable(path)) {
    check(!a.resume, ErrorKind::usage, "--resume continues runs into a .npz or a folder/, but \"",
          printable(path), "\" is one picture, which is written at the end");
    check(rank.count == 1, ErrorKind::usage, rank.count, " ranks (", rank.source, ") cannot share \"",
          printable(path),
          "\", which is one picture: use a .npz or a folder/, or say --rank 0 --world-size 1");
    return std::make_unique<PictureGrid>(path, plan, models,
                                         a.sample.random_classes ? 1 : a.sample.batch_count);
  }
  const RunContents contents(models, models.back().pixels ? "" : vae_path(a, models.back()));
  const RunManifest manifest(plan, models, contents, backend);
  if (is_folder(path)) return std::make_unique<PictureFolder>(path, plan, models, manifest, rank, a.resume);
  return std::make_unique<PictureArchive>(path, plan, manifest, rank, a.resume);
}

}  // namespace tstitch
