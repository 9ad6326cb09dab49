#include "tstitch/pipeline/picture_folder.h"

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string_view>

#include "tstitch/base/error.h"
#include "tstitch/io/atomic_file.h"
#include "tstitch/pipeline/report.h"

namespace tstitch {
namespace {

namespace fs = std::filesystem;

constexpr const char* kRunKeyword = "Run";
constexpr std::string_view kEndOfPng("\0\0\0\0IEND\xae\x42\x60\x82", 12);

// Makes the folder and those it lies in; whether it was missing.
bool make_folder(const std::string& path) {
  std::error_code error;
  const bool made = fs::create_directories(path, error);
  check(!error, ErrorKind::device, "cannot make the folder \"", printable(path), "\": ", error.message());
  return made;
}

std::string text_of_run(const std::string& run) { return std::string("tEXt") + kRunKeyword + '\0' + run; }

}  // namespace

PictureFolder::PictureFolder(const std::string& path, const Plan& plan, const std::vector<ModelInfo>& models,
                             const RunManifest& manifest, const Rank& rank, bool resume)
    : path_(path),
      plan_(plan),
      models_(models),
      run_(manifest.fingerprint_text()),
      block_(block_of(rank, plan.images())),
      made_(make_folder(path)) {
  const std::string run_folder = (fs::path(path) / ".tstitch-run").string();
  // Before the run begins: of several ranks none may leave a folder that the next takes for a run's.
  if (resume && !holds_run(run_folder))
    for (int64_t i = block_.first; i < block_.end(); ++i)
      check(
          !is_of_other_run(i), ErrorKind::usage, "--resume: \"", printable(file_of(i)),
          "\" is there and not of this run: expected its options or another --output; without --resume it is",
          " replaced");
  folder_ = std::make_unique<RunFolder>(run_folder, manifest, rank);
  std::vector<IndexRange> done;
  if (folder_->continued() || resume)
    for (int64_t i = block_.first; i < block_.end(); ++i)
      if (is_done(i)) done.push_back({i, 1});
  folder_->check_resume(resume, rank, !done.empty());
  missing_ = missing_from(block_, std::move(done));
}

PictureFolder::~PictureFolder() {
  folder_.reset();
  std::error_code ignored;
  if (made_ && written_.empty()) fs::remove(path_, ignored);  // where it is empty
}

std::string PictureFolder::file_of(int64_t image) const {
  char name[32];
  std::snprintf(name, sizeof name, "%06lld.png", static_cast<long long>(image));
  return (fs::path(path_) / name).string();
}

// The first bytes of the file, "" where there is none: they say the run, right behind PNG's header.
std::string PictureFolder::head_of(int64_t image) const {
  std::ifstream file(file_of(image), std::ios::binary);
  std::string head(256, '\0');
  file.read(head.data(), std::ssize(head));
  head.resize(static_cast<size_t>(file.gcount()));
  return head;
}

bool PictureFolder::is_of_other_run(int64_t image) const {
  const std::string head = head_of(image);
  return head.find(text_of_run("")) != head.npos && head.find(text_of_run(run_)) == head.npos;
}

// A file of this run, and not cut by whoever copied it.
bool PictureFolder::is_done(int64_t image) const {
  std::ifstream file(file_of(image), std::ios::binary);
  std::string end(kEndOfPng.size(), '\0');
  return head_of(image).find(text_of_run(run_)) != std::string::npos &&
         file.seekg(-std::ssize(end), std::ios::end) && file.read(end.data(), std::ssize(end)) &&
         end == kEndOfPng;
}

void PictureFolder::add(int64_t first, const std::vector<Image>& pictures) {
  for (size_t i = 0; i < pictures.size(); ++i) {
    const int64_t image = first + static_cast<int64_t>(i);
    PngText text = png_text(plan_, models_, image);
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
  sync_folder(path_);
  complete_ = true;
  for (int64_t i = 0; i < plan_.images() && complete_; ++i)
    complete_ = (block_.first <= i && i < block_.end()) || is_done(i);
  if (complete_) folder_->remove();
  return written_;
}

std::string PictureFolder::kept() const {
  const int64_t done = block_.count - total(missing_) + std::ssize(written_);
  if (done == 0) return "";
  return concat(done, " of ", block_.count, " images are in \"", printable(path_),
                "\": the same command with --resume continues");
}

std::string PictureFolder::next_step() const {
  return complete_ ? "" : "the other ranks' images are not all there yet";
}

}  // namespace tstitch
