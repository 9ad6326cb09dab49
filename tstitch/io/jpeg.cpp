// As with libpng (png.cpp), libjpeg's errors are longjmps: every call of it sits in a function of plain
// pointers, and the C++ objects live in the caller.
#include "tstitch/io/jpeg.h"

#include <cstdio>
// First: the library's header needs size_t and FILE.
#include <jerror.h>
#include <jpeglib.h>

#include <algorithm>
#include <csetjmp>
#include <cstdint>
#include <vector>

#include "tstitch/io/exif.h"
#include "tstitch/io/refuse.h"

namespace tstitch {
namespace {

constexpr int64_t kMaxPixels = 16 << 20;
constexpr int kMostScans = 64;  // real ones have about ten, and each passes over the whole picture

constexpr int kTooManyScans = -1;

struct Failure {
  jmp_buf jump;
  int code = 0;  // of the library's messages, or kTooManyScans
  char message[JMSG_LENGTH_MAX] = "";
};

[[noreturn]] void on_error(j_common_ptr info) {
  auto* failure = static_cast<Failure*>(info->client_data);
  failure->code = info->err->msg_code;
  info->err->format_message(info, failure->message);
  std::longjmp(failure->jump, 1);
}

// What the library would paper over, half a picture for one, is an error.
void on_message(j_common_ptr info, int level) {
  const int code = info->err->msg_code;
  const bool harmless = code == JWRN_EXTRANEOUS_DATA || code == JWRN_JFIF_MAJOR || code == JWRN_ADOBE_XFORM;
  if (level < 0 && !harmless) on_error(info);
}

void on_progress(j_common_ptr info) {
  if (reinterpret_cast<j_decompress_ptr>(info)->input_scan_number <= kMostScans) return;
  auto* failure = static_cast<Failure*>(info->client_data);
  failure->code = kTooManyScans;
  std::snprintf(failure->message, sizeof failure->message, "more than %d scans", kMostScans);
  std::longjmp(failure->jump, 1);
}

struct Reader {
  Reader() {
    info.err = jpeg_std_error(&errors);
    info.client_data = &failure;
    errors.error_exit = on_error;
    errors.emit_message = on_message;
    progress.progress_monitor = on_progress;
  }
  ~Reader() { jpeg_destroy_decompress(&info); }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  Failure failure;
  jpeg_error_mgr errors{};
  jpeg_progress_mgr progress{};
  jpeg_decompress_struct info{};
};

bool read_header(Reader& reader, const unsigned char* bytes, unsigned long size) {
  if (setjmp(reader.failure.jump)) return false;
  jpeg_create_decompress(&reader.info);
  reader.info.progress = &reader.progress;
  jpeg_mem_src(&reader.info, bytes, size);
  jpeg_read_header(&reader.info, TRUE);
  return true;
}

bool read_rows(Reader& reader, unsigned char* pixels, size_t stride) {
  if (setjmp(reader.failure.jump)) return false;
  jpeg_start_decompress(&reader.info);
  while (reader.info.output_scanline < reader.info.output_height) {
    JSAMPROW row = pixels + reader.info.output_scanline * stride;
    jpeg_read_scanlines(&reader.info, &row, 1);
  }
  jpeg_finish_decompress(&reader.info);
  return true;
}

// code: for what has none of its own.
[[noreturn]] void refuse_jpeg(const Reader& reader, const std::string& name, const char* code) {
  const Failure& failure = reader.failure;
  check(failure.code != JERR_OUT_OF_MEMORY, ErrorKind::device, "no memory for a JPEG image");
  switch (failure.code) {
    case JWRN_JPEG_EOF:
    case JWRN_HIT_MARKER:
    case JERR_INPUT_EOF:
    case JERR_INPUT_EMPTY:
      code = "JPEG_TRUNCATED";
      break;
    case JERR_BAD_PRECISION:
    case JERR_SOF_UNSUPPORTED:
    case JERR_ARITH_NOTIMPL:
      code = "JPEG_UNSUPPORTED";
      break;
    case kTooManyScans:
      code = "RES_LIMIT";
  }
  refuse(name, code, printable(failure.message, sizeof failure.message));
}

}  // namespace

bool is_jpeg(std::span<const std::byte> bytes) {
  return bytes.size() >= 2 && bytes[0] == std::byte{0xff} && bytes[1] == std::byte{0xd8};
}

Image decode_jpeg(std::span<const std::byte> bytes, const std::string& name) {
  if (!is_jpeg(bytes)) refuse(name, "JPEG_HEADER", "not a JPEG image");
  Reader reader;
  if (!read_header(reader, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()))
    refuse_jpeg(reader, name, "JPEG_HEADER");

  const int64_t width = reader.info.image_width, height = reader.info.image_height;
  if (width * height > kMaxPixels)
    refuse(name, "RES_LIMIT", width, " x ", height, " pixels, expected at most ", kMaxPixels, " in all");
  const J_COLOR_SPACE colours = reader.info.jpeg_color_space;
  if (colours != JCS_GRAYSCALE && colours != JCS_YCbCr && colours != JCS_RGB)
    refuse(name, "JPEG_UNSUPPORTED", reader.info.num_components == 4 ? "CMYK" : "unknown colours",
           ", expected gray or RGB: save it so first");
  reader.info.out_color_space = colours == JCS_GRAYSCALE ? JCS_GRAYSCALE : JCS_RGB;

  Image image{.width = static_cast<int>(width),
              .height = static_cast<int>(height),
              .channels = colours == JCS_GRAYSCALE ? 1 : 3,
              .pixels = {}};
  const size_t stride = static_cast<size_t>(image.width) * image.channels;
  image.pixels.resize(stride * image.height);
  if (!read_rows(reader, image.pixels.data(), stride)) refuse_jpeg(reader, name, "JPEG_DATA");
  return oriented(std::move(image), exif_orientation(bytes));
}

}  // namespace tstitch
