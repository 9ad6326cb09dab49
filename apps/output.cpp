#include "apps/output.h"

#include "apps/session.h"
#include "tstitch/base/error.h"
#include "tstitch/engine/command_files.h"
#include "tstitch/output/picture_archive.h"
#include "tstitch/output/picture_folder.h"
#include "tstitch/output/picture_grid.h"

namespace tstitch {
bool is_resumable(const std::string& path) { return is_folder(path) || path.ends_with(".npz"); }

std::unique_ptr<PictureOutput> open_output(const std::string& path, const Arguments& a, const Rank& rank,
                                           const RunSpec& spec, const std::vector<ModelInfo>& models,
                                           const Backend& backend) {
  if (!is_resumable(path)) {
    check(!a.resume, ErrorKind::usage, "--resume continues runs into a .npz or a folder/, but \"",
          printable(path), "\" is one picture, which is written at the end");
    check(rank.count == 1, ErrorKind::usage, rank.count, " ranks (", rank.source, ") cannot share \"",
          printable(path),
          "\", which is one picture: use a .npz or a folder/, or say --rank 0 --world-size 1");
    return std::make_unique<PictureGrid>(path, spec, models,
                                         a.sample.random_classes ? 1 : a.sample.batch_count);
  }
  const RunContents contents(models, models.back().pixels ? "" : vae_path(a, models.back()));
  const RunManifest manifest(spec, models, contents, backend);
  if (is_folder(path)) return std::make_unique<PictureFolder>(path, spec, models, manifest, rank, a.resume);
  return std::make_unique<PictureArchive>(path, spec, manifest, rank, a.resume);
}

}  // namespace tstitch
