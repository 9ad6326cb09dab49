#include "tstitch/pipeline/run_folder.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <functional>

#include "tstitch/base/error.h"
#include "tstitch/io/atomic_file.h"
#include "tstitch/io/json.h"

namespace tstitch {
namespace {

namespace fs = std::filesystem;

constexpr const char* kManifest = "manifest.json";
constexpr const char* kDoor = "lock";  // held while joining and leaving

std::string in(const std::string& folder, const std::string& name) {
  return (fs::path(folder) / name).string();
}

std::string among(int64_t count) { return concat("-of-", count, ".lock"); }

// Makes the folder where there is none, and takes its lock.
FileLock open_door(const std::string& path) {
  for (int tries = 0;; ++tries) {
    std::error_code error;
    fs::create_directory(path, error);
    if (error) fail_writing(path, error.value());
    try {
      return FileLock::wait(in(path, kDoor));
    } catch (const Error&) {
      // A process that finished the run may have removed the folder meanwhile.
      if (fs::exists(path, error) || tries == 10) throw;
    }
  }
}

// Of those whose file's name ends so, or does not.
void check_at_work(const std::string& folder, const std::function<bool(const std::string&)>& counts) {
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with("rank-") || !name.ends_with(".lock") || !counts(name)) continue;
    check(FileLock::attempt(entry.path().string()).has_value(), ErrorKind::usage, "\"", printable(folder),
          "\": ", printable(fs::path(name).stem().string()), " is at work there (",
          lock_holder(entry.path().string()), ")");
  }
}

// What runs leave in their folder; anything else is somebody's and stays.
void remove_remains(const std::string& path) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(path, ignored)) {
    const fs::path extension = entry.path().extension();
    if (extension == ".shard" || extension == ".lock" || extension == ".tmp")
      fs::remove(entry.path(), ignored);
  }
}

}  // namespace

RunFolder::RunFolder(const std::string& path, const RunManifest& manifest, const Rank& rank)
    : path_(path), alone_(rank.count == 1) {
  const FileLock door = open_door(path_);
  std::error_code ignored;
  continued_ = holds_run(path_);
  if (continued_) {
    const std::string differences = manifest.differences(read_manifest(path_));
    check(differences.empty(), ErrorKind::usage, "\"", printable(path_),
          "\" is of another run: ", differences, ". Give the same options, or remove it to start over");
  } else {
    remove_remains(path_);
  }
  const std::string lock = in(path_, concat("rank-", rank.index, among(rank.count)));
  at_work_ = FileLock::attempt(lock);
  check(at_work_.has_value(), ErrorKind::usage, "\"", printable(path_), "\": rank ", rank.index, " of ",
        rank.count, " is already at work there (", lock_holder(lock), ")");
  check_at_work(path_, [&](const std::string& name) { return !name.ends_with(among(rank.count)); });
  if (!continued_) {
    AtomicFile file(in(path_, kManifest), path_);
    file.write(std::as_bytes(std::span(manifest.text())));
    file.commit();
    sync_folder(path_);
    sync_folder(fs::absolute(path_).parent_path().string());
  }
}

RunFolder::~RunFolder() {
  if (continued_ || kept_ || !alone_) return;
  try {
    remove();
  } catch (const Error&) {  // it stays, and the next run says so
  }
}

void RunFolder::remove() {
  kept_ = true;
  std::error_code ignored;
  if (!fs::exists(path_, ignored)) return;  // another rank has
  const FileLock door = open_door(path_);
  remove_run(path_);
}

void RunFolder::check_resume(bool resume, const Rank& rank, bool has_done) const {
  if (!continued_ || resume || (rank.count > 1 && !has_done)) return;
  fail(ErrorKind::usage, "\"", printable(path_),
       "\" holds an unfinished run: add --resume to continue it, or remove it to start over");
}

bool holds_run(const std::string& folder) {
  std::error_code ignored;
  return fs::exists(in(folder, kManifest), ignored);
}

RunManifest read_manifest(const std::string& folder) {
  const std::string path = in(folder, kManifest);
  std::ifstream file(path, std::ios::binary);
  check(file.good(), ErrorKind::input, "\"", printable(folder), "\" holds no unfinished run: there is no ",
        kManifest, " that can be read");
  std::error_code ignored;
  std::string text(std::min<uintmax_t>(fs::file_size(path, ignored), kMostJsonBytes + 1), '\0');
  file.read(text.data(), std::ssize(text));
  text.resize(static_cast<size_t>(file.gcount()));
  return RunManifest(text, path);
}

FileLock close_run(const std::string& folder) {
  FileLock door = open_door(folder);
  check_at_work(folder, [](const std::string&) { return true; });
  return door;
}

void remove_run(const std::string& folder) {
  std::error_code ignored;
  fs::remove(in(folder, kManifest), ignored);  // first: from now on the rest is waste
  remove_remains(folder);
  fs::remove(in(folder, kDoor), ignored);
  fs::remove(folder, ignored);
}

}  // namespace tstitch
