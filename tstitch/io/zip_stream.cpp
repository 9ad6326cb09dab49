#include "tstitch/io/zip_stream.h"

#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "tstitch/base/crc32.h"
#include "tstitch/io/refuse.h"

namespace tstitch {

struct ZipStream::Inflater {
  Inflater() {
    // Negative: the bare stream, as zip holds it.
    check(inflateInit2(&stream, -MAX_WBITS) == Z_OK, ErrorKind::device, "out of memory for zlib");
  }
  ~Inflater() { inflateEnd(&stream); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  z_stream stream{};
};

ZipStream::ZipStream(std::shared_ptr<const MappedFile> file, const ZipEntry& entry, std::string where)
    : file_(std::move(file)), entry_(entry), where_(std::move(where)), left_(entry.size) {
  if (entry.deflated) inflater_ = std::make_unique<Inflater>();
}

ZipStream::~ZipStream() = default;
ZipStream::ZipStream(ZipStream&&) noexcept = default;

void ZipStream::read(std::span<std::byte> to) {
  file_->parsed([&](std::span<const std::byte>) { take(to); });
}

void ZipStream::take(std::span<std::byte> to) {
  check_internal(to.size() <= left_, "reading ", to.size(), " of ", left_, " bytes of ", where_);
  const size_t before = taken_;
  if (inflater_) {
    inflate(to);
  } else if (!to.empty()) {
    std::memcpy(to.data(), entry_.bytes.data() + taken_, to.size());
    taken_ += to.size();
  }
  file_->release(entry_.bytes.subspan(before, taken_ - before));
  crc_ = crc32(to, crc_);
  left_ -= to.size();
  if (left_) return;
  if (taken_ != entry_.bytes.size())
    refuse(where_, "ZIP_DEFLATE", entry_.bytes.size() - taken_, " compressed bytes after the ", entry_.size,
           " that the archive announces");
  if (crc_ != entry_.crc32) refuse(where_, "ZIP_CRC", "its bytes do not have the checksum of the archive");
}

void ZipStream::inflate(std::span<std::byte> to) {
  constexpr size_t kMost = 1 << 24;  // zlib counts in 32 bits
  z_stream& stream = inflater_->stream;
  for (size_t done = 0;;) {
    const auto in = std::min(kMost, entry_.bytes.size() - taken_), out = std::min(kMost, to.size() - done);
    // zlib does not write to its input but lacks the const.
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(entry_.bytes.data() + taken_));
    stream.avail_in = static_cast<uInt>(in);
    stream.next_out = reinterpret_cast<Bytef*>(to.data() + done);
    stream.avail_out = static_cast<uInt>(out);
    const int result = ::inflate(&stream, Z_NO_FLUSH);
    taken_ += in - stream.avail_in;
    done += out - stream.avail_out;
    const bool last = done == left_;  // then the end of the stream has to come too, without any output
    if (result == Z_STREAM_END) {
      if (last) return;
      refuse(where_, "ZIP_DEFLATE", "the compressed data end ", left_ - done, " bytes before the ",
             entry_.size, " that the archive announces");
    }
    if (result == Z_OK && (done < to.size() || last)) continue;
    if (result == Z_OK || (result == Z_BUF_ERROR && done == to.size() && !last)) return;
    refuse(where_, "ZIP_DEFLATE",
           result == Z_BUF_ERROR && taken_ < entry_.bytes.size() ? "more data than the archive announces"
           : result == Z_BUF_ERROR                               ? "the compressed data are cut off"
                                                                 : "the compressed data are damaged");
  }
}

}  // namespace tstitch
