#include "tstitch/io/zip_writer.h"

#include <bit>
#include <initializer_list>

#include "tstitch/base/crc32.h"
#include "tstitch/base/error.h"

namespace tstitch {
namespace {

static_assert(std::endian::native == std::endian::little, "zip is little-endian and written as it is");

// PKWARE's APPNOTE.TXT 6.3.10, sections in brackets.
constexpr uint16_t kVersion20 = 20, kVersion45 = 45;  // needed to read: plain, ZIP64 [4.4.3]
constexpr uint16_t kFirstDay = 1 << 5 | 1;            // 1980-01-01 [4.4.6]
constexpr int64_t kCrcInLocalHeader = 14;             // [4.3.7]

template <class T>
void put(std::string& to, T value) {
  to.append(reinterpret_cast<const char*>(&value), sizeof value);
}

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

// The ZIP64 extra field [4.5.3]; empty without values.
std::string zip64_field(const std::string& values) {
  std::string field;
  if (values.empty()) return field;
  put(field, uint16_t{1});
  put(field, static_cast<uint16_t>(values.size()));
  return field + values;
}

}  // namespace

void ZipWriter::begin(const std::string& name, uint64_t size, const std::string& extra) {
  end_entry();
  open_ = true;
  name_ = name;
  extra_ = extra;
  offset_ = static_cast<uint64_t>(file_.size());
  size_ = left_ = size;
  crc_ = 0;

  std::string sizes;
  if (wide(size))
    for (int i = 0; i < 2; ++i) put(sizes, size);
  const std::string fields = extra + zip64_field(sizes);
  std::string header = "PK\3\4";
  put(header, wide(size) ? kVersion45 : kVersion20);
  for (const uint16_t field :
       {uint16_t{0}, uint16_t{0}, uint16_t{0}, kFirstDay})  // flags, method, time, date
    put(header, field);
  put(header, uint32_t{0});  // end_entry() knows the checksum
  for (int i = 0; i < 2; ++i) put(header, narrow(size));
  put(header, static_cast<uint16_t>(name.size()));
  put(header, static_cast<uint16_t>(fields.size()));
  file_.write(bytes_of(header + name + fields));
}

void ZipWriter::write(std::span<const std::byte> bytes) {
  check_internal(open_ && bytes.size() <= left_, "more bytes than the zip entry ", name_, " has");
  left_ -= bytes.size();
  crc_ = crc32(bytes, crc_);
  file_.write(bytes);
}

void ZipWriter::end_entry() {
  if (!open_) return;
  check_internal(left_ == 0, left_, " bytes are missing in the zip entry ", name_);
  open_ = false;
  ++entries_;
  file_.write_at(static_cast<int64_t>(offset_) + kCrcInLocalHeader, std::as_bytes(std::span(&crc_, 1)));

  std::string values;
  if (wide(size_))
    for (int i = 0; i < 2; ++i) put(values, size_);
  if (wide(offset_)) put(values, offset_);
  const std::string fields = extra_ + zip64_field(values);
  const uint16_t version = values.empty() ? kVersion20 : kVersion45;
  directory_ += "PK\1\2";
  for (const uint16_t field : {version, version, uint16_t{0}, uint16_t{0}, uint16_t{0}, kFirstDay})
    put(directory_, field);
  put(directory_, crc_);
  for (int i = 0; i < 2; ++i) put(directory_, narrow(size_));
  put(directory_, static_cast<uint16_t>(name_.size()));
  put(directory_, static_cast<uint16_t>(fields.size()));
  directory_ += std::string(10, '\0');  // comment, disk, attributes
  put(directory_, narrow(offset_));
  directory_ += name_ + fields;
}

void ZipWriter::finish() {
  end_entry();
  const uint64_t offset = static_cast<uint64_t>(file_.size()), size = directory_.size();
  const bool many = entries_ >= 0xffff;
  std::string end = directory_;
  if (many || wide(size) || wide(offset)) {
    end += "PK\6\6";  // [4.3.14]
    put(end, uint64_t{44});
    for (int i = 0; i < 2; ++i) put(end, kVersion45);
    for (int i = 0; i < 2; ++i) put(end, uint32_t{0});  // disks
    for (const uint64_t value : {entries_, entries_, size, offset}) put(end, value);
    end += "PK\6\7";  // [4.3.15]
    put(end, uint32_t{0});
    put(end, offset + size);
    put(end, uint32_t{1});
  }
  end += "PK\5\6" + std::string(4, '\0');  // [4.3.16]
  for (int i = 0; i < 2; ++i) put(end, many ? uint16_t{0xffff} : static_cast<uint16_t>(entries_));
  put(end, narrow(size));
  put(end, narrow(offset));
  put(end, uint16_t{0});
  file_.write(bytes_of(end));
}

}  // namespace tstitch
