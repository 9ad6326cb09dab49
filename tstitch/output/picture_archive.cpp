#include "tstitch/output/picture_archive.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <utility>

#include "tstitch/base/error.h"
#include "tstitch/io/file.h"
#include "tstitch/io/npz.h"
#include "tstitch/io/refuse.h"
#include "tstitch/output/work_folder.h"

namespace tstitch {
namespace {

namespace fs = std::filesystem;

// A record holds the classes of its images, int64, then their pictures.
constexpr int64_t kLabelBytes = sizeof(int64_t);

RecordedRun recorded_run(const RunManifest& manifest) {
  return {.fingerprint = manifest.fingerprint(),
          .items = manifest.images(),
          .item_bytes = kLabelBytes + manifest.picture_bytes()};
}

std::vector<Record> read_record_files(
    const std::string& folder, const RunManifest& manifest, IndexRange verify,
    const std::function<void()>& between = [] {}) {
  std::vector<Record> records;
  for (const std::string& path : list_folder(folder)) {
    if (!path.ends_with(".shard")) continue;
    const auto found = read_records(path, recorded_run(manifest), verify, between);
    records.insert(records.end(), found.begin(), found.end());
  }
  return records;
}

std::vector<IndexRange> missing_of(const std::vector<Record>& records, IndexRange block) {
  std::vector<IndexRange> items;
  for (const Record& record : records) items.push_back(record.items);
  return missing_from(block, std::move(items));
}

int64_t archive_bytes(const RunManifest& manifest) {
  return manifest.images() * (manifest.picture_bytes() + (manifest.labelled() ? kLabelBytes : 0)) + 4096;
}

void check_space(const std::string& path, int64_t bytes) {
  std::error_code error;
  const fs::space_info space = fs::space(parent_folder(path), error);
  if (error) return;
  check(static_cast<uint64_t>(bytes) <= space.available, ErrorKind::device, "\"", printable(path),
        "\": [IO_NO_SPACE] needs ", bytes, " bytes of disk, ", space.available, " are free");
}

// The fingerprint lies in the archive where zip keeps what only its writer understands [APPNOTE 4.5]; readers
// skip it. So a finished archive is known to be this run's.
constexpr uint16_t kRunExtra = 0x5354;  // "TS"

std::string run_extra(const RunManifest& manifest) {
  const uint64_t fingerprint = manifest.fingerprint();
  const uint16_t fields[] = {kRunExtra, sizeof fingerprint};
  return std::string(reinterpret_cast<const char*>(fields), sizeof fields) +
         std::string(reinterpret_cast<const char*>(&fingerprint), sizeof fingerprint);
}

bool is_archive_of(const std::string& path, const RunManifest& manifest) {
  constexpr size_t kLocalHeader = 30;
  const std::string name = "arr_0.npy", extra = run_extra(manifest);
  const std::string begin = read_part(path, 0, kLocalHeader + name.size() + extra.size());
  return begin.starts_with("PK\3\4") && begin.ends_with(name + extra);
}

// Which part of which record has the next images.
struct Piece {
  const Record* record;
  IndexRange items;
};

// One piece after the other, all images once. The records have them all, some perhaps twice.
std::vector<Piece> pieces_of(std::vector<Record>& records, int64_t images) {
  std::ranges::sort(records, {}, [](const Record& record) { return record.items.first; });
  std::vector<Piece> pieces;
  int64_t at = 0;
  for (const Record& record : records) {
    const int64_t end = record.items.end();
    if (end <= at) continue;
    pieces.push_back({&record, {at, end - at}});
    at = end;
  }
  check_internal(at == images, "the records end at image ", at, " of ", images);
  return pieces;
}

// Copies of every piece a part of each item's bytes: `bytes` each, `skip` bytes per item of the record before
// them.
void copy_pieces(NpzWriter& npz, const std::vector<Piece>& pieces, int64_t skip, int64_t bytes,
                 const std::function<void()>& between) {
  std::vector<std::byte> buffer(1 << 20);
  std::unique_ptr<RecordReader> reader;
  const std::string* open = nullptr;
  for (const auto& [record, items] : pieces) {
    if (!open || *open != record->path) {
      reader = std::make_unique<RecordReader>(record->path);
      open = &record->path;
    }
    const int64_t begin =
        record->offset + record->items.count * skip + (items.first - record->items.first) * bytes;
    for (int64_t done = 0, all = items.count * bytes; done < all;) {
      between();
      const auto part =
          std::span(buffer).first(static_cast<size_t>(std::min(all - done, std::ssize(buffer))));
      if (!reader->read(begin + done, part)) refuse(record->path, "SHARD_TORN", "it was cut meanwhile");
      npz.write(part);
      done += std::ssize(part);
    }
  }
}

}  // namespace

std::string parts_of(const std::string& archive) { return archive + ".parts"; }

void pack_archive(const std::string& folder, const RunManifest& manifest, const std::string& path,
                  const std::function<void()>& between) {
  const int64_t N = manifest.images();
  std::vector<Record> records = read_record_files(folder, manifest, {0, N}, between);
  const std::vector<IndexRange> missing = missing_of(records, {0, N});
  if (!missing.empty())
    refuse(folder, "NPZ_MISSING_IMAGES", total(missing), " of ", N,
           " images are missing: ", to_string(missing));
  clear_work(folder, [](const std::string&) { return false; });  // large ones of a killed run
  check_space(path, archive_bytes(manifest));
  const std::vector<Piece> pieces = pieces_of(records, N);

  std::error_code ignored;
  // Elsewhere, or behind a symbolic link, may be another file system.
  const bool beside =
      !fs::is_symlink(path, ignored) && fs::equivalent(parent_folder(path), fs::path(folder) / "..", ignored);
  AtomicFile file(path, beside ? folder : "");
  NpzWriter npz(file);
  npz.begin("arr_0", "|u1", 1,
            std::vector<int64_t>{N, manifest.height(), manifest.width(), manifest.channels()},
            run_extra(manifest));
  copy_pieces(npz, pieces, kLabelBytes, manifest.picture_bytes(), between);
  if (manifest.labelled()) {
    npz.begin("arr_1", "<i8", kLabelBytes, std::vector<int64_t>{N});
    copy_pieces(npz, pieces, 0, kLabelBytes, between);
  }
  npz.finish();
  file.commit();
  sync_folder(parent_folder(path));
}

RunManifest pack_finished_run(const std::string& folder, const std::string& path,
                              const std::function<void()>& between) {
  const FileLock door = close_run(folder);
  const RunManifest manifest = read_manifest(folder);
  pack_archive(folder, manifest, path, between);
  remove_run(folder);
  return manifest;
}

PictureArchive::PictureArchive(const std::string& path, const RunSpec& spec, const RunManifest& manifest,
                               const Rank& rank, bool resume)
    : path_(path), spec_(spec), manifest_(manifest), rank_(rank), block_(block_of(rank, spec.images())) {
  const std::string parts = parts_of(path);
  // Before the run begins: of several ranks none may leave a folder that the next takes for a run's.
  std::error_code ignored;
  check(!resume || holds_run(parts) || !fs::exists(path, ignored) || is_archive_of(path, manifest),
        ErrorKind::usage, "--resume: \"", printable(path),
        "\" is there and not of this run: expected its options or another --output; without --resume it is",
        " replaced");
  folder_ = std::make_unique<RunFolder>(parts, manifest, rank);
  if (resume && is_archive_of(path, manifest)) {  // killed between the last rename and the exit
    complete_ = true;
    return;
  }
  missing_ = missing_of(read_record_files(parts, manifest, block_), block_);
  const int64_t left = total(missing_);
  folder_->check_resume(resume, rank, left < block_.count);
  check_space(path,
              left * recorded_run(manifest).item_bytes + (rank.count == 1 ? archive_bytes(manifest) : 0));
}

void PictureArchive::add(int64_t first, const std::vector<Image>& pictures) {
  const auto count = std::ssize(pictures);
  std::vector<std::byte> payload(static_cast<size_t>(count * recorded_run(manifest_).item_bytes));
  std::byte* to = payload.data();
  std::memcpy(to, spec_.subjects.data() + first, static_cast<size_t>(count * kLabelBytes));
  to += count * kLabelBytes;
  for (const Image& picture : pictures) {
    check_internal(picture.height == manifest_.height() && picture.width == manifest_.width() &&
                       picture.channels == manifest_.channels(),
                   "a picture of ", picture.height, " x ", picture.width, " x ", picture.channels);
    std::memcpy(to, picture.pixels.data(), picture.pixels.size());
    to += picture.pixels.size();
  }
  for (int number = 0; !writer_; ++number) {
    const std::string file =
        (fs::path(folder_->path()) / concat("rank-", rank_.index, "-of-", rank_.count, "-", number, ".shard"))
            .string();
    std::error_code ignored;
    if (!fs::exists(file, ignored)) writer_ = std::make_unique<RecordWriter>(file, recorded_run(manifest_));
  }
  writer_->append({first, count}, payload);
  folder_->keep();
  added_ += count;
}

std::vector<std::string> PictureArchive::finish() {
  if (!complete_ && rank_.count > 1) return {};
  if (!complete_) pack_archive(folder_->path(), manifest_, path_, [] {});
  folder_->remove();
  complete_ = true;
  return {path_};
}

std::string PictureArchive::kept() const {
  const int64_t done = block_.count - total(missing_) + added_;
  if (complete_ || done == 0) return "";
  return concat(done, " of ", block_.count, " images are in \"", printable(folder_->path()),
                "\": the same command with --resume continues");
}

std::string PictureArchive::next_step() const {
  if (complete_) return "";
  return concat("images ", to_string({block_}), " of ", spec_.images(), " are in \"",
                printable(folder_->path()), "\"; when all ranks are done: tstitch pack ",
                printable(folder_->path()));
}

}  // namespace tstitch
