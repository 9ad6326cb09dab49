#include "tstitch/output/picture_folder.h"

#include <cstdio>
#include <filesystem>
#include <string_view>

#include "tstitch/base/error.h"
#include "tstitch/engine/report.h"
#include "tstitch/io/atomic_file.h"
#include "tstitch/io/file.h"

namespace tstitch {
namespace {

namespace fs = std::filesystem;

constexpr const char* kRunKeyword = "Run";
constexpr std::string_view kEndOfPng("\0\0\0\0IEND\xae\x42\x60\x82", 12);

// 000000.png, with more digits from a million images on.
bool is_picture_name(const std::string& name) {
  constexpr size_t kFewestDigits = 6;
  const size_t digits = name.find_first_not_of("0123456789");
  return digits >= kFewestDigits && digits != name.npos && name.substr(digits) == ".png";
}

}  // namespace

PictureFolder::Folder::Folder(const std::string& folder) : path(folder) {
  std::error_code error;
  for (fs::path missing = path; !missing.empty() && !fs::exists(missing, error);
       missing = missing.parent_path())
    if (missing.has_filename()) made.push_back(missing.string());
  fs::create_directories(path, error);
  if (error) fail_writing(path, error.value());
}

PictureFolder::Folder::~Folder() {
  std::error_code ignored;
  for (const std::string& one : made) fs::remove(one, ignored);  // where it is empty
}

PictureFolder::PictureFolder(const std::string& path, const RunSpec& spec,
                             const std::vector<ModelInfo>& models, const RunManifest& manifest,
                             const Rank& rank, bool resume, bool metadata)
    : picture_folder_(path),
      spec_(spec),
      models_(models),
      run_(manifest.fingerprint_text()),
      block_(block_of(rank, spec.images())),
      metadata_(metadata) {
  const std::string run_folder = (fs::path(path) / ".tstitch-run").string();
  // Before the run begins: of several ranks none may leave a folder that the next takes for a run's.
  if (!holds_run(run_folder)) check_no_others();
  folder_ = std::make_unique<RunFolder>(run_folder, manifest, rank);
  check_no_others();  // another process may have begun and ended meanwhile
  std::vector<IndexRange> done;
  if (folder_->continued() || resume)
    for (int64_t i = block_.first; i < block_.end(); ++i)
      if (is_done(i)) done.push_back({i, 1});
  folder_->check_resume(resume, rank, !done.empty());
  missing_ = missing_from(block_, std::move(done));
}

std::string PictureFolder::file_of(int64_t image) const {
  char name[32];
  std::snprintf(name, sizeof name, "%06lld.png", static_cast<long long>(image));
  return (fs::path(picture_folder_.path) / name).string();
}

// The file's first bytes say it, right behind PNG's header.
bool PictureFolder::is_of_run(const std::string& file) const {
  return read_part(file, 0, 256).find(concat("tEXt", kRunKeyword, '\0', run_)) != std::string::npos;
}

// A file of this run, and not cut by whoever copied it.
bool PictureFolder::is_done(int64_t image) const {
  const std::string file = file_of(image);
  return is_of_run(file) && read_part(file, -std::ssize(kEndOfPng), kEndOfPng.size()) == kEndOfPng;
}

void PictureFolder::check_no_others() const {
  std::vector<std::string> others;
  for (const std::string& file : list_folder(picture_folder_.path))
    if (is_picture_name(fs::path(file).filename().string()) && !is_of_run(file)) others.push_back(file);
  if (others.empty()) return;
  fail(ErrorKind::usage, "\"", printable(others[0]), "\"",
       others.size() > 1 ? concat(" and ", others.size() - 1, " more are there and") : " is there and",
       " not of this run: move away what you want to keep, or name another folder");
}

void PictureFolder::add(int64_t first, const std::vector<Image>& pictures) {
  for (size_t i = 0; i < pictures.size(); ++i) {
    const int64_t image = first + static_cast<int64_t>(i);
    PngText text = metadata_ ? png_text(spec_, models_, image) : PngText();
    text.insert(text.begin(), {kRunKeyword, run_});
    const std::vector<std::byte> bytes = encode_png(pictures[i], text);
    AtomicFile file(file_of(image), folder_->path());
    file.write(bytes);
    file.commit();
    folder_->keep();
    written_.push_back(file_of(image));
  }
}

std::vector<std::string> PictureFolder::finish() {
  sync_folder(picture_folder_.path);
  complete_ = true;
  for (int64_t i = 0; i < spec_.images() && complete_; ++i)
    complete_ = (block_.first <= i && i < block_.end()) || is_done(i);
  if (complete_) folder_->remove();
  return written_;
}

std::string PictureFolder::kept() const {
  const int64_t done = block_.count - total(missing_) + std::ssize(written_);
  if (done == 0) return "";
  return concat(done, " of ", block_.count, " images are in \"", printable(picture_folder_.path),
                "\": the same command with --resume continues");
}

std::string PictureFolder::next_step() const {
  return complete_ ? "" : "the other ranks' images are not all there yet";
}

}  // namespace tstitch
