#include "tstitch/io/record_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <optional>
#include <system_error>

#include "tstitch/base/crc32.h"
#include "tstitch/io/atomic_file.h"
#include "tstitch/io/refuse.h"

namespace tstitch {
namespace {

static_assert(std::endian::native == std::endian::little,
              "record files are little-endian and mapped as they are");

struct RecordHeader {
  char magic[8];
  uint64_t fingerprint;  // of the run
  int64_t first, count;  // items
  uint32_t payload_crc;
  uint32_t header_crc;  // of all before
};
static_assert(sizeof(RecordHeader) == 40);

constexpr size_t kCopyBytes = 1 << 20;
constexpr char kMagic[8] = {'T', 'S', 'T', 'S', 'H', 'A', 'R', '1'};

uint32_t crc_of(const RecordHeader& header) {
  return crc32(std::as_bytes(std::span(&header, 1)).first(offsetof(RecordHeader, header_crc)));
}

// Of a part of a file; nothing when it ends there.
std::optional<uint32_t> crc_of(const RecordReader& file, int64_t offset, int64_t bytes,
                               std::span<std::byte> buffer, const std::function<void()>& between) {
  uint32_t crc = 0;
  for (int64_t done = 0; done < bytes;) {
    between();
    const auto part = buffer.first(static_cast<size_t>(std::min(bytes - done, std::ssize(buffer))));
    if (!file.read(offset + done, part)) return std::nullopt;
    crc = crc32(part, crc);
    done += std::ssize(part);
  }
  return crc;
}

// Throws Error{device}; the caller takes back what was written.
void write_all(int descriptor, const std::string& path, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(descriptor, bytes.data(), std::min<size_t>(bytes.size(), 1 << 30));
    if (written < 0 && errno != EINTR) fail_writing(path, errno);
    if (written > 0) bytes = bytes.subspan(static_cast<size_t>(written));
  }
}

}  // namespace

RecordWriter::RecordWriter(const std::string& path, const RecordedRun& run) : path_(path), run_(run) {
  do descriptor_ = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  while (descriptor_ < 0 && errno == EINTR);
  if (descriptor_ < 0) fail_writing(path_, errno);
}

RecordWriter::~RecordWriter() { close(descriptor_); }

void RecordWriter::append(IndexRange items, std::span<const std::byte> payload) {
  check_internal(0 <= items.first && items.count > 0 && items.end() <= run_.items &&
                     std::ssize(payload) == items.count * run_.item_bytes,
                 payload.size(), " bytes for ", items.count, " items of ", run_.item_bytes);
  RecordHeader header{.magic = {},
                      .fingerprint = run_.fingerprint,
                      .first = items.first,
                      .count = items.count,
                      .payload_crc = crc32(payload),
                      .header_crc = 0};
  std::memcpy(header.magic, kMagic, sizeof kMagic);
  header.header_crc = crc_of(header);
  try {
    write_all(descriptor_, path_, std::as_bytes(std::span(&header, 1)));
    write_all(descriptor_, path_, payload);
    if (fdatasync(descriptor_) != 0) fail_writing(path_, errno);
  } catch (const Error&) {
    // Where it fails too, the torn record is found when the file is read.
    if (ftruncate(descriptor_, size_) == 0) lseek(descriptor_, size_, SEEK_SET);
    throw;
  }
  size_ += static_cast<int64_t>(sizeof header) + std::ssize(payload);
}

RecordReader::RecordReader(const std::string& path) : path_(path) {
  do descriptor_ = open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  while (descriptor_ < 0 && errno == EINTR);
  if (descriptor_ < 0 && (errno == EMFILE || errno == ENFILE))
    fail(ErrorKind::device, shown_path(path), ": [IO_OPEN] ", std::generic_category().message(errno));
  if (descriptor_ < 0) refuse(path, "IO_OPEN", "cannot be opened: ", std::generic_category().message(errno));
}

RecordReader::~RecordReader() { close(descriptor_); }

bool RecordReader::read(int64_t offset, std::span<std::byte> to) const {
  while (!to.empty()) {
    const ssize_t got = pread(descriptor_, to.data(), to.size(), offset);
    if (got < 0 && errno != EINTR)
      fail(ErrorKind::device, shown_path(path_), ": [IO_READ] ", std::generic_category().message(errno));
    if (got == 0) return false;
    if (got < 0) continue;
    to = to.subspan(static_cast<size_t>(got));
    offset += got;
  }
  return true;
}

std::vector<Record> read_records(const std::string& path, const RecordedRun& run, IndexRange verify,
                                 const std::function<void()>& between) {
  const RecordReader file(path);
  std::vector<Record> records;
  std::vector<std::byte> buffer(kCopyBytes);
  RecordHeader header;
  for (int64_t at = 0; file.read(at, std::as_writable_bytes(std::span(&header, 1)));) {
    if (std::memcmp(header.magic, kMagic, sizeof kMagic) != 0 || header.header_crc != crc_of(header)) break;
    if (header.fingerprint != run.fingerprint)
      refuse(path, "SHARD_RUN", "belongs to another run: take it away");
    if (header.first < 0 || header.count <= 0 || header.first > run.items ||
        header.count > run.items - header.first)
      break;
    at += static_cast<int64_t>(sizeof header);
    const IndexRange items{header.first, header.count};
    const int64_t bytes = items.count * run.item_bytes;
    if (items.first < verify.end() && verify.first < items.end()) {
      const std::optional<uint32_t> crc = crc_of(file, at, bytes, buffer, between);
      if (!crc) break;  // torn
      if (*crc == header.payload_crc) records.push_back({path, items, at});
    } else if (file.read(at + bytes - 1, std::span(buffer).first(1))) {
      records.push_back({path, items, at});
    }
    at += bytes;
  }
  return records;
}

}  // namespace tstitch
