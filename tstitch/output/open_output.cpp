#include "tstitch/output/open_output.h"

#include "tstitch/base/error.h"
#include "tstitch/engine/command_files.h"
#include "tstitch/engine/engine.h"
#include "tstitch/output/picture_archive.h"
#include "tstitch/output/picture_folder.h"
#include "tstitch/output/picture_grid.h"

namespace tstitch {

bool is_resumable(const std::string& path) { return is_folder(path) || path.ends_with(".npz"); }

std::unique_ptr<PictureOutput> open_output(const OutputOptions& options, const RunSpec& spec,
                                           const std::vector<ModelInfo>& models, const std::string& vae,
                                           const Backend& backend) {
  const auto& [path, rank, resume, metadata, between] = options;
  if (!is_resumable(path)) {
    check(!resume, ErrorKind::usage, "--resume continues runs into a .npz or a folder/, but \"",
          printable(path), "\" is one picture, which is written at the end");
    check(rank.count == 1, ErrorKind::usage, rank.count, " ranks (", rank.source, ") cannot share \"",
          printable(path),
          "\", which is one picture: use a .npz or a folder/, or say --rank 0 --world-size 1");
    return std::make_unique<PictureGrid>(path, spec, models, metadata);
  }
  const RunContents contents(models, models.back().pixels ? "" : autoencoder_path(models.back(), vae),
                             between);
  const RunManifest manifest(spec, models, contents, backend);
  if (is_folder(path))
    return std::make_unique<PictureFolder>(path, spec, models, manifest, rank, resume, metadata);
  return std::make_unique<PictureArchive>(path, spec, manifest, rank, resume);
}

}  // namespace tstitch
