#include "tstitch/output/run_folder.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <functional>
#include <utility>

#include "tstitch/base/error.h"
#include "tstitch/io/atomic_file.h"
#include "tstitch/io/file.h"
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

struct Door {
  FileLock lock;
  bool made;  // the folder, just now
};

// Makes the folder where there is none, and takes its lock.
Door open_door(const std::string& path) {
  for (int tries = 0;; ++tries) {
    std::error_code error;
    const bool made = fs::create_directory(path, error);
    if (error) fail_writing(path, error.value());
    try {
      return {FileLock::wait(in(path, kDoor)), made};
    } catch (const Error&) {
      if (made) {
        fs::remove(in(path, kDoor), error);
        fs::remove(path, error);
      }
      // A process that finished the run may have removed the folder meanwhile.
      else if (!fs::exists(path, error) && tries < 10)
        continue;
      throw;
    }
  }
}

// Of those whose file's name ends so, or does not.
void check_at_work(const std::string& folder, const std::function<bool(const std::string&)>& counts) {
  for (const std::string& path : list_folder(folder)) {
    const std::string name = fs::path(path).filename().string();
    if (!name.starts_with("rank-") || !name.ends_with(".lock") || !counts(name)) continue;
    check(FileLock::attempt(path).has_value(), ErrorKind::usage, "\"", printable(folder),
          "\": ", printable(fs::path(name).stem().string()), " is at work there (", lock_holder(path), ")");
  }
}

// What runs leave in their folder, by the names they give; anything else is somebody's and stays.
void remove_remains(const std::string& path) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(path, ignored)) {
    const std::string name = entry.path().filename().string();
    const bool of_rank = name.starts_with("rank-") && (name.ends_with(".shard") || name.ends_with(".lock"));
    if (of_rank || (name.starts_with(".tstitch-") && name.ends_with(".tmp")))
      fs::remove(entry.path(), ignored);
  }
}

}  // namespace

RunFolder::RunFolder(const std::string& path, const RunManifest& manifest, const Rank& rank)
    : path_(path), alone_(rank.count == 1) {
  const Door door = open_door(path_);
  try {
    join(manifest, rank);
  } catch (const Error&) {
    at_work_.reset();  // its descriptor may be the one that was lacking
    if (door.made) remove_run(path_);
    throw;
  }
}

void RunFolder::join(const RunManifest& manifest, const Rank& rank) {
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
  if (continued_) return;
  AtomicFile file(in(path_, kManifest), path_);
  file.write(std::as_bytes(std::span(manifest.text())));
  file.commit();
  sync_folder(path_);
  sync_folder(parent_folder(path_));
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
  const Door door = open_door(path_);
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
  check(holds_run(folder), ErrorKind::input, "\"", printable(folder),
        "\" holds no unfinished run: there is no ", kManifest);
  const MappedFile file(in(folder, kManifest));
  return file.parsed([&](std::span<const std::byte> bytes) {
    return RunManifest(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()), file.path());
  });
}

FileLock close_run(const std::string& folder) {
  const auto check_there = [&] {
    check(holds_run(folder), ErrorKind::input, "\"", printable(folder),
          "\" holds no unfinished run: there is no ", kManifest);
  };
  check_there();
  try {
    FileLock door = FileLock::wait(in(folder, kDoor));
    check_there();
    check_at_work(folder, [](const std::string&) { return true; });
    return door;
  } catch (const Error&) {
    check_there();  // another process may have packed and removed it meanwhile
    throw;
  }
}

void remove_run(const std::string& folder) {
  std::error_code ignored;
  fs::remove(in(folder, kManifest), ignored);  // first: from now on the rest is waste
  remove_remains(folder);
  fs::remove(in(folder, kDoor), ignored);
  fs::remove(folder, ignored);
}

}  // namespace tstitch
