#include "tstitch/output/run_folder.h"

#include <algorithm>
#include <filesystem>
#include <functional>
#include <utility>

#include "tstitch/base/error.h"
#include "tstitch/io/atomic_file.h"
#include "tstitch/io/file.h"
#include "tstitch/io/json.h"
#include "tstitch/output/work_folder.h"

namespace tstitch {
namespace {

namespace fs = std::filesystem;

constexpr const char* kManifest = "manifest.json";

std::string in(const std::string& folder, const std::string& name) {
  return (fs::path(folder) / name).string();
}

std::string among(int64_t count) { return concat("-of-", count, ".lock"); }

// Of those whose file's name ends so, or does not.
void check_at_work(const std::string& folder, const std::function<bool(const std::string&)>& counts) {
  for (const std::string& path : list_folder(folder)) {
    const std::string name = fs::path(path).filename().string();
    if (!name.starts_with("rank-") || !name.ends_with(".lock") || !counts(name)) continue;
    check(FileLock::attempt(path).has_value(), ErrorKind::usage, "\"", printable(folder),
          "\": ", printable(fs::path(name).stem().string()), " is at work there (", lock_holder(path), ")");
  }
}

bool is_of_run(const std::string& name) {
  return name.starts_with("rank-") && (name.ends_with(".shard") || name.ends_with(".lock"));
}

}  // namespace

RunFolder::RunFolder(const std::string& path, const RunManifest& manifest, const Rank& rank)
    : path_(path), alone_(rank.count == 1) {
  const WorkFolder folder(path_, true);
  try {
    join(manifest, rank);
  } catch (const Error&) {
    at_work_.reset();  // its descriptor may be the one that was lacking
    // Between the two another process may have begun its run there.
    if (folder.made && !continued_) remove_run(path_);
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
    clear_work(path_, is_of_run);
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
  const WorkFolder folder(path_, true);
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
    WorkFolder work(folder, true);
    if (work.made) leave_work(folder);
    check_there();
    check_at_work(folder, [](const std::string&) { return true; });
    return std::move(work.lock);
  } catch (const Error&) {
    check_there();  // another process may have packed and removed it meanwhile
    throw;
  }
}

void remove_run(const std::string& folder) {
  std::error_code ignored;
  fs::remove(in(folder, kManifest), ignored);  // first: from now on the rest is waste
  clear_work(folder, is_of_run);
  leave_work(folder);
}

}  // namespace tstitch
