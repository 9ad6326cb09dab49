#include "tstitch/io/zip.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>
#include <utility>

#include "tstitch/base/ascii.h"
#include "tstitch/base/utf8.h"
#include "tstitch/io/refuse.h"

namespace tstitch {
namespace {

static_assert(std::endian::native == std::endian::little, "zip is little-endian and read as it is");

// The structures of PKWARE's APPNOTE.TXT 6.3.10 (sections in brackets), by their signature and fixed size.
struct Structure {
  uint32_t signature;
  size_t size;
};
constexpr Structure kLocalHeader = {0x04034b50, 30};    // [4.3.7]
constexpr Structure kCentralHeader = {0x02014b50, 46};  // [4.3.12]
constexpr Structure kEnd64 = {0x06064b50, 56};          // [4.3.14]
constexpr Structure kLocator64 = {0x07064b50, 20};      // [4.3.15]
constexpr Structure kEnd = {0x06054b50, 22};            // [4.3.16]
constexpr uint32_t kDescriptorSignature = 0x08074b50;   // [4.3.9]
constexpr uint16_t kZip64Extra = 1;                     // [4.5.3]
constexpr uint16_t kSaturated16 = 0xffff;
constexpr uint32_t kSaturated32 = 0xffffffff;

// General purpose flags [4.4.4].
constexpr uint16_t kEncrypted = 0x0001 | 0x0040 | 0x2000, kDescriptor = 0x0008, kUtf8 = 0x0800;
constexpr uint16_t kCompressionOptions = 0x0006;  // how hard the writer tried
constexpr uint16_t kDeflated = 8;                 // [4.4.5]

constexpr uint64_t kMaxEntries = 200'000;
constexpr size_t kMaxNameBytes = 1024;

// What both headers say about an entry.
struct Header {
  uint16_t flags, method;
  uint32_t crc32;
  uint64_t compressed, size;
  std::string_view name;
};

struct Entry : Header {
  uint64_t offset;  // of the local header
};

// Where the central directory lies.
struct Directory {
  uint64_t entries, bytes, offset;
};

class ZipReader {
 public:
  ZipReader(std::span<const std::byte> archive, const std::string& where, ZipMethods methods)
      : bytes_(archive), where_(where), methods_(methods), size_(archive.size()) {}

  std::vector<ZipEntry> read() {
    const auto [directory, end] = find_directory();
    std::vector<Entry> entries = read_entries(directory, end);
    std::ranges::sort(entries, {}, &Entry::offset);
    const uint64_t first = entries.empty() ? directory.offset : entries.front().offset;
    if (first) refuse_zip("ZIP_PREFIX", first, " bytes before the first entry");
    if (!entries.empty() && entries.back().offset >= directory.offset)
      refuse_entry("ZIP_DIRECTORY", entries.back().name, "at byte ", entries.back().offset,
                   ", behind the beginning of the central directory at ", directory.offset);

    std::vector<ZipEntry> result;
    result.reserve(entries.size());
    for (size_t i = 0; i < entries.size(); ++i)
      result.push_back(locate(entries[i], i + 1 < entries.size() ? entries[i + 1].offset : directory.offset));
    sort_names(result);
    return result;
  }

 private:
  template <class... Parts>
  [[noreturn]] void refuse_zip(const char* code, const Parts&... parts) const {
    refuse(where_, code, parts...);
  }
  template <class... Parts>
  [[noreturn]] void refuse_entry(const char* code, std::string_view name, const Parts&... parts) const {
    refuse_zip(code, "entry \"", printable(std::string(name.substr(0, 120))), "\": ", parts...);
  }

  // The caller has checked that they lie in the file.
  template <class T>
  T get(uint64_t offset) const {
    T value;
    std::memcpy(&value, bytes_.data() + offset, sizeof value);
    return value;
  }
  std::string_view text(uint64_t offset, size_t length) const {
    return {reinterpret_cast<const char*>(bytes_.data()) + offset, length};
  }
  bool is(const Structure& structure, uint64_t offset, uint64_t limit) const {
    return offset <= limit && limit - offset >= structure.size &&
           get<uint32_t>(offset) == structure.signature;
  }

  // And where it must end.
  std::pair<Directory, uint64_t> find_directory() const {
    const uint64_t end = size_ < kEnd.size ? 0 : size_ - kEnd.size;
    if (!is(kEnd, end, size_)) refuse_without_end();
    if (const auto comment = get<uint16_t>(end + 20))
      refuse_zip("ZIP_EOCD", "the archive announces a comment of ", comment, " bytes at its end, but ends");
    Directory directory{get<uint16_t>(end + 10), get<uint32_t>(end + 12), get<uint32_t>(end + 16)};
    check_disks(get<uint16_t>(end + 4), get<uint16_t>(end + 6));
    check_counts(get<uint16_t>(end + 8), directory.entries);

    const bool saturated = directory.entries == kSaturated16 || directory.bytes == kSaturated32 ||
                           directory.offset == kSaturated32;
    const uint64_t locator = end < kLocator64.size ? 0 : end - kLocator64.size;
    if (!is(kLocator64, locator, end)) {
      if (saturated) refuse_zip("ZIP_ZIP64", "sizes beyond 32 bits, but no ZIP64 locator");
      return {directory, end};
    }
    const Directory large = read_end64(locator);
    const auto agrees = [](uint64_t narrow, uint64_t wide, uint64_t saturation) {
      return narrow == wide || narrow == saturation;
    };
    if (!agrees(directory.entries, large.entries, kSaturated16) ||
        !agrees(directory.bytes, large.bytes, kSaturated32) ||
        !agrees(directory.offset, large.offset, kSaturated32))
      refuse_zip("ZIP_ZIP64", "the two ends of the central directory differ: ", directory.entries,
                 " entries, ", directory.bytes, " bytes at ", directory.offset, "; ZIP64: ", large.entries,
                 ", ", large.bytes, " at ", large.offset);
    return {large, locator - kEnd64.size};
  }

  Directory read_end64(uint64_t locator) const {
    const uint64_t end = locator < kEnd64.size ? 0 : locator - kEnd64.size;
    const auto announced = get<uint64_t>(locator + 8);
    if (get<uint32_t>(locator + 4) != 0 || get<uint32_t>(locator + 16) != 1)
      refuse_zip("ZIP_DIRECTORY", "an archive of several disks");
    if (announced != end || !is(kEnd64, end, locator))
      refuse_zip("ZIP_ZIP64", "the locator points to byte ", announced,
                 ", expected the ZIP64 end of the directory right before it, at ", end);
    if (get<uint64_t>(end + 4) != kEnd64.size - 12)
      refuse_zip("ZIP_ZIP64", "a ZIP64 end of the directory of ", get<uint64_t>(end + 4), " bytes, expected ",
                 kEnd64.size - 12);
    check_disks(get<uint32_t>(end + 16), get<uint32_t>(end + 20));
    check_counts(get<uint64_t>(end + 24), get<uint64_t>(end + 32));
    return {get<uint64_t>(end + 32), get<uint64_t>(end + 40), get<uint64_t>(end + 48)};
  }

  [[noreturn]] void refuse_without_end() const {
    constexpr size_t kFarthest = kEnd.size + kSaturated16;  // with the longest comment
    const size_t tail = std::min<size_t>(size_, kFarthest);
    const size_t found = text(size_ - tail, tail).rfind("PK\5\6");
    if (found == std::string_view::npos)
      refuse_zip("ZIP_EOCD",
                 "a zip archive without the central directory at its end: an incomplete "
                 "download?");
    if (tail - found < kEnd.size) refuse_zip("ZIP_EOCD", "cut off in the end of its central directory");
    refuse_zip("ZIP_TRAILING", tail - found - kEnd.size, " bytes after the end of the archive");
  }

  void check_disks(uint32_t disk, uint32_t directory_disk) const {
    if (disk || directory_disk) refuse_zip("ZIP_DIRECTORY", "an archive of several disks");
  }

  void check_counts(uint64_t on_disk, uint64_t all) const {
    if (on_disk != all) refuse_zip("ZIP_DIRECTORY", on_disk, " entries on this disk, ", all, " in all");
  }

  std::vector<Entry> read_entries(const Directory& directory, uint64_t end) const {
    if (directory.offset > end || directory.bytes != end - directory.offset)
      refuse_zip("ZIP_DIRECTORY", "a central directory of ", directory.bytes, " bytes at byte ",
                 directory.offset, ", expected one that ends at byte ", end);
    if (directory.entries > kMaxEntries)
      refuse_zip("RES_LIMIT", directory.entries, " entries, expected at most ", kMaxEntries);
    if (directory.entries > directory.bytes / kCentralHeader.size)
      refuse_zip("ZIP_DIRECTORY", directory.entries, " entries in a central directory of ", directory.bytes,
                 " bytes");
    std::vector<Entry> entries;
    entries.reserve(static_cast<size_t>(directory.entries));
    uint64_t at = directory.offset;
    while (entries.size() < directory.entries) {
      if (!is(kCentralHeader, at, end))
        refuse_zip("ZIP_DIRECTORY", "no header of entry ", entries.size(), " of ", directory.entries,
                   " at byte ", at);
      entries.push_back(read_central(at, end));
    }
    if (at != end)
      refuse_zip("ZIP_DIRECTORY", end - at, " bytes after the ", directory.entries,
                 " entries of the central directory");
    return entries;
  }

  // Leaves `at` behind it.
  Entry read_central(uint64_t& at, uint64_t end) const {
    const auto name_bytes = get<uint16_t>(at + 28), extra_bytes = get<uint16_t>(at + 30),
               comment_bytes = get<uint16_t>(at + 32), disk = get<uint16_t>(at + 34);
    const uint64_t header = at, name_at = at + kCentralHeader.size, extra_at = name_at + name_bytes;
    const uint64_t next = extra_at + extra_bytes + comment_bytes;
    if (next > end) refuse_zip("ZIP_DIRECTORY", "the header at byte ", header, " is cut off");
    Entry entry;
    entry.name = text(name_at, name_bytes);
    entry.flags = get<uint16_t>(header + 8);
    entry.method = get<uint16_t>(header + 10);
    entry.crc32 = get<uint32_t>(header + 16);
    entry.compressed = get<uint32_t>(header + 20);
    entry.size = get<uint32_t>(header + 24);
    entry.offset = get<uint32_t>(header + 42);
    check_name(entry.name);
    if (disk) refuse_entry("ZIP_DIRECTORY", entry.name, "on disk ", disk);
    uint64_t* const wide[] = {&entry.size, &entry.compressed, &entry.offset};
    widen(wide, extra_at, extra_bytes, entry.name);
    check_method(entry);
    at = next;
    return entry;
  }

  // Replaces what did not fit into 32 bits by what the ZIP64 field says, which holds just those, in order.
  void widen(std::span<uint64_t* const> values, uint64_t at, size_t bytes, std::string_view name) const {
    std::optional<std::pair<uint64_t, size_t>> zip64;
    while (bytes) {
      const size_t length = bytes < 4 ? bytes : get<uint16_t>(at + 2);
      if (bytes < 4 || length > bytes - 4) refuse_entry("ZIP_ZIP64", name, "an extra field is cut off");
      if (get<uint16_t>(at) == kZip64Extra) {
        if (zip64) refuse_entry("ZIP_ZIP64", name, "two ZIP64 fields");
        zip64 = {at + 4, length};
      }
      at += 4 + length;
      bytes -= 4 + length;
    }
    size_t used = 0;
    for (uint64_t* const value : values) {
      if (*value != kSaturated32) continue;
      if (!zip64 || zip64->second < used + 8)
        refuse_entry("ZIP_ZIP64", name, "a size or offset beyond 32 bits without its ZIP64 field");
      *value = get<uint64_t>(zip64->first + used);
      used += 8;
    }
  }

  void check_name(std::string_view name) const {
    const auto climbs = [&] {
      for (size_t at = 0; at <= name.size();) {
        const size_t slash = std::min(name.find('/', at), name.size());
        if (name.substr(at, slash - at) == "..") return true;
        at = slash + 1;
      }
      return false;
    };
    const char* wrong = name.empty()                             ? "is empty"
                        : name.size() > kMaxNameBytes            ? "is too long"
                        : valid_utf8_prefix(name) != name.size() ? "is not UTF-8"
                        : name.find('\0') != name.npos           ? "holds a NUL byte"
                        : name.find('\\') != name.npos           ? "holds a backslash"
                        : name.front() == '/'                    ? "is absolute"
                        : climbs()                               ? "holds \"..\""
                                                                 : nullptr;
    if (wrong) refuse_entry("ZIP_NAME", name, "the name (", name.size(), " bytes) ", wrong);
  }

  void check_method(const Entry& entry) const {
    if (entry.flags & kEncrypted) refuse_entry("ZIP_ENCRYPTED", entry.name, "encrypted");
    if (entry.flags & ~(kDescriptor | kUtf8 | kCompressionOptions))
      refuse_entry("ZIP_FLAGS", entry.name, "unknown flags ", entry.flags);
    if (entry.method == kDeflated && methods_ == ZipMethods::stored_or_deflated) return;
    if (entry.method && methods_ == ZipMethods::stored_or_deflated)
      refuse_entry("ZIP_COMPRESSED", entry.name, "compressed by method ", entry.method,
                   ", expected stored (0) or deflated (8)");
    if (entry.method)
      refuse_entry("ZIP_COMPRESSED", entry.name, "compressed (method ", entry.method,
                   "), expected stored as torch.save does: load and save it with PyTorch");
    if (entry.compressed != entry.size)
      refuse_entry("ZIP_SIZE", entry.name, "stored, but of ", entry.compressed, " bytes inside and ",
                   entry.size, " outside the archive");
  }

  // Checks that the entry with all that belongs to it ends at `limit`, where the next structure begins.
  ZipEntry locate(const Entry& entry, uint64_t limit) const {
    const uint64_t begin = entry.offset;
    if (limit == begin)
      refuse_entry("ZIP_OVERLAP", entry.name, "another entry begins at byte ", limit, " like it");
    if (!is(kLocalHeader, begin, limit))
      refuse_entry("ZIP_LOCAL_MISMATCH", entry.name, "no header at byte ", begin);
    const auto name_bytes = get<uint16_t>(begin + 26), extra_bytes = get<uint16_t>(begin + 28);
    const uint64_t name_at = begin + kLocalHeader.size, extra_at = name_at + name_bytes;
    const uint64_t data = extra_at + extra_bytes;
    if (data > limit)
      refuse_entry("ZIP_OVERLAP", entry.name, "its header does not end before byte ", limit,
                   ", where the next structure begins");

    Header local{.flags = get<uint16_t>(begin + 6),
                 .method = get<uint16_t>(begin + 8),
                 .crc32 = get<uint32_t>(begin + 14),
                 .compressed = get<uint32_t>(begin + 18),
                 .size = get<uint32_t>(begin + 22),
                 .name = text(name_at, name_bytes)};
    uint64_t* const wide[] = {&local.size, &local.compressed};
    widen(wide, extra_at, extra_bytes, entry.name);
    compare(entry, local);
    if (entry.compressed > limit - data)
      refuse_entry("ZIP_OVERLAP", entry.name, entry.compressed, " bytes do not end before byte ", limit,
                   ", where the next structure begins");
    check_descriptor(entry, data + entry.compressed, limit);
    return {entry.name, bytes_.subspan(static_cast<size_t>(data), static_cast<size_t>(entry.compressed)),
            entry.crc32, entry.size, entry.method == kDeflated};
  }

  void compare(const Entry& entry, const Header& local) const {
    const auto differs = [&](const char* what) {
      refuse_entry("ZIP_LOCAL_MISMATCH", entry.name, "its header and the central directory differ in ", what);
    };
    if (local.name != entry.name) differs("its name");
    if (local.flags != entry.flags) differs("its flags");
    if (local.method != entry.method) differs("its compression");
    // A writer that learns them last leaves zeros here and adds a descriptor behind the content.
    const bool later = entry.flags & kDescriptor;
    if (local.crc32 != entry.crc32 && !(later && local.crc32 == 0)) differs("its CRC-32");
    const bool sized = local.size == entry.size && local.compressed == entry.compressed;
    const bool unsized = later && local.size == 0 && local.compressed == 0;
    if (!sized && !unsized) differs("its size");
  }

  // What follows the content at `at`: nothing, or a descriptor with or without signature, with sizes of 32
  // or 64 bits.
  void check_descriptor(const Entry& entry, uint64_t at, uint64_t limit) const {
    const uint64_t rest = limit - at;
    if (!(entry.flags & kDescriptor)) {
      if (rest) refuse_entry("ZIP_HOLE", entry.name, rest, " bytes after it that belong to nothing");
      return;
    }
    const uint64_t signature = rest % 8 == 0 ? 4 : 0;  // 16 or 24 bytes, else 12 or 20
    if (rest < 12 || rest > 24 || rest % 4)
      refuse_entry(rest < 12 ? "ZIP_SIZE" : "ZIP_HOLE", entry.name, rest,
                   " bytes after it, expected a data descriptor");
    if (signature && get<uint32_t>(at) != kDescriptorSignature)
      refuse_entry("ZIP_SIZE", entry.name, "no data descriptor after it");
    const bool wide = rest - signature == 20;
    const uint64_t crc_at = at + signature, sizes_at = crc_at + 4;
    const uint64_t compressed = wide ? get<uint64_t>(sizes_at) : get<uint32_t>(sizes_at);
    const uint64_t size = wide ? get<uint64_t>(sizes_at + 8) : get<uint32_t>(sizes_at + 4);
    if (get<uint32_t>(crc_at) != entry.crc32)
      refuse_entry("ZIP_LOCAL_MISMATCH", entry.name,
                   "its data descriptor and the central directory differ in its CRC-32");
    if (compressed != entry.compressed || size != entry.size)
      refuse_entry("ZIP_SIZE", entry.name, "its data descriptor says ", size,
                   " bytes, the central directory ", entry.size);
  }

  void sort_names(std::vector<ZipEntry>& entries) const {
    const auto ignoring_case = [](const ZipEntry& a, const ZipEntry& b) {
      return std::ranges::lexicographical_compare(a.name, b.name, {}, ascii_lower, ascii_lower);
    };
    std::ranges::sort(entries, ignoring_case);
    for (size_t i = 1; i < entries.size(); ++i)
      if (!ignoring_case(entries[i - 1], entries[i]))
        refuse_entry("ZIP_DUPLICATE", entries[i].name, "there is another of this name",
                     entries[i].name == entries[i - 1].name ? "" : " but for its case");
    std::ranges::sort(entries, {}, &ZipEntry::name);
  }

  std::span<const std::byte> bytes_;
  const std::string& where_;
  ZipMethods methods_;
  uint64_t size_;
};

}  // namespace

std::vector<ZipEntry> read_zip(std::span<const std::byte> archive, const std::string& where,
                               ZipMethods methods) {
  return ZipReader(archive, where, methods).read();
}

const ZipEntry* find_entry(const std::vector<ZipEntry>& entries, std::string_view name) {
  const auto found = std::ranges::lower_bound(entries, name, {}, &ZipEntry::name);
  return found != entries.end() && found->name == name ? &*found : nullptr;
}

}  // namespace tstitch
