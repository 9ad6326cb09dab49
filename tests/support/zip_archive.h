// Zip archives made in memory, for tests and fuzzers.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tstitch/base/crc32.h"

namespace tstitch {

template <class T>
void append(std::string& to, T value) {
  to.append(reinterpret_cast<const char*>(&value), sizeof value);
}

// An archive of stored entries as PKWARE's APPNOTE.TXT describes it, with ZIP64 records where a number needs
// them.
class ZipArchive {
 public:
  void add(std::string_view name, std::string_view content) {
    begin_entry(name, content.size(), crc32(std::as_bytes(std::span(content))));
    archive_ += content;
    offset_ += content.size();
  }

  // The header of an entry whose content the caller leaves to a hole in the file, which begins at the end of
  // the string that comes back. What is added then goes behind it.
  std::string add_hole(std::string_view name, uint64_t size) {
    begin_entry(name, size, 0);
    offset_ += size;
    return std::exchange(archive_, {});
  }

  std::string finish() {
    const uint64_t size = directory_.size();
    std::string end = archive_ + directory_;
    end += "PK\6\6";
    append(end, uint64_t{44});
    end += std::string(12, '\0');  // versions and disks
    for (const uint64_t value : {entries_, entries_, size, offset_}) append(end, value);
    end += "PK\6\7";
    append(end, uint32_t{0});
    append(end, offset_ + size);
    append(end, uint32_t{1});
    end += "PK\5\6" + std::string(4, '\0');
    for (int i = 0; i < 2; ++i) append(end, static_cast<uint16_t>(entries_ < 0xffff ? entries_ : 0xffff));
    append(end, narrow(size));
    append(end, narrow(offset_));
    append(end, uint16_t{0});
    return end;
  }

 private:
  static uint32_t narrow(uint64_t value) {
    return static_cast<uint32_t>(value < 0xffffffff ? value : 0xffffffff);
  }

  // What both headers hold from the needed version on.
  static std::string header(std::string_view name, uint64_t size, uint32_t crc, size_t extra_bytes) {
    std::string fields;
    append(fields, uint16_t{45});
    fields += std::string(8, '\0');  // flags, method, time, date
    append(fields, crc);
    for (int i = 0; i < 2; ++i) append(fields, narrow(size));
    append(fields, static_cast<uint16_t>(name.size()));
    append(fields, static_cast<uint16_t>(extra_bytes));
    return fields;
  }

  static std::string zip64(std::initializer_list<uint64_t> values) {
    std::string field, wide;
    for (const uint64_t value : values) append(wide, value);
    append(field, uint16_t{1});
    append(field, static_cast<uint16_t>(wide.size()));
    return wide.empty() ? "" : field + wide;
  }

  void begin_entry(std::string_view name, uint64_t size, uint32_t crc) {
    const bool wide_size = size >= 0xffffffff, wide_offset = offset_ >= 0xffffffff;
    const std::string local = wide_size ? zip64({size, size}) : "";
    const std::string central = wide_size && wide_offset ? zip64({size, size, offset_})
                                : wide_size              ? local
                                : wide_offset            ? zip64({offset_})
                                                         : "";
    const size_t before = archive_.size();
    archive_ += "PK\3\4";
    archive_ += header(name, size, crc, local.size());
    archive_ += name;
    archive_ += local;
    directory_ += "PK\1\2";
    append(directory_, uint16_t{45});
    directory_ += header(name, size, crc, central.size());
    directory_ += std::string(10, '\0');  // comment, disk, attributes
    append(directory_, narrow(offset_));
    directory_ += name;
    directory_ += central;
    offset_ += archive_.size() - before;
    ++entries_;
  }

  std::string archive_, directory_;
  uint64_t offset_ = 0, entries_ = 0;
};

}  // namespace tstitch
