// libpng reports errors by longjmp, which must not cross objects with destructors. So every call of it sits
// in a function of plain pointers, and the C++ objects live in the caller.
#include "tstitch/io/png.h"

#include <png.h>

#include <algorithm>
#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <new>

#include "tstitch/base/utf8.h"
#include "tstitch/io/atomic_file.h"
#include "tstitch/io/file.h"
#include "tstitch/io/foreign_format.h"
#include "tstitch/io/refuse.h"

namespace tstitch {
namespace {

constexpr int64_t kMaxPixels = 16 << 20;
constexpr png_uint_32 kMaxSide = 65535;
constexpr size_t kSignatureBytes = 8;

struct Failure {
  char message[200] = "";
};

[[noreturn]] void on_error(png_structp png, png_const_charp message) {
  auto* failure = static_cast<Failure*>(png_get_error_ptr(png));
  std::snprintf(failure->message, sizeof failure->message, "%s", message);
  png_longjmp(png, 1);
}

void on_warning(png_structp, png_const_charp) {}

// ---- Writing

class Writer {
 public:
  Writer() : png(png_create_write_struct(PNG_LIBPNG_VER_STRING, &failure, on_error, on_warning)) {
    if (png) info = png_create_info_struct(png);
    check(info, ErrorKind::device, "no memory for a PNG image");
  }
  ~Writer() { png_destroy_write_struct(&png, &info); }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  Failure failure;
  png_structp png;
  png_infop info = nullptr;
};

void append(png_structp png, png_bytep data, size_t size) {
  auto* bytes = static_cast<std::vector<std::byte>*>(png_get_io_ptr(png));
  bool done = true;
  try {
    bytes->insert(bytes->end(), reinterpret_cast<std::byte*>(data),
                  reinterpret_cast<std::byte*>(data) + size);
  } catch (const std::bad_alloc&) {
    done = false;
  }
  if (!done) png_error(png, "out of memory");
}

bool encode(Writer& writer, const Image& image, png_text* texts, int text_count,
            std::vector<std::byte>* bytes) {
  png_structp png = writer.png;
  if (setjmp(png_jmpbuf(png))) return false;
  png_set_write_fn(png, bytes, append, nullptr);
  png_set_IHDR(png, writer.info, static_cast<png_uint_32>(image.width),
               static_cast<png_uint_32>(image.height), 8,
               image.channels == 3 ? PNG_COLOR_TYPE_RGB : PNG_COLOR_TYPE_GRAY, PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_set_text(png, writer.info, texts, text_count);
  png_write_info(png, writer.info);
  const size_t stride = static_cast<size_t>(image.width) * image.channels;
  for (int y = 0; y < image.height; ++y) png_write_row(png, image.pixels.data() + y * stride);
  png_write_end(png, nullptr);
  return true;
}

// UTF-8 as Latin-1, when it can be. Bytes that are no UTF-8 pass for Latin-1.
bool to_latin1(const std::string& text, std::string& latin1) {
  if (valid_utf8_prefix(text) < text.size()) {
    latin1 = text;
    return true;
  }
  latin1.clear();
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte > 0xc3) return false;  // above U+00FF
    // C2 and C3 lead the two bytes of U+0080 ... U+00FF.
    latin1 += byte < 0x80 ? text[i] : static_cast<char>((byte & 3) << 6 | (text[++i] & 0x3f));
  }
  return true;
}

// ---- Reading

class Reader {
 public:
  Reader() : png(png_create_read_struct(PNG_LIBPNG_VER_STRING, &failure, on_error, on_warning)) {
    if (png) info = png_create_info_struct(png);
    check(info, ErrorKind::device, "no memory for a PNG image");
  }
  ~Reader() { png_destroy_read_struct(&png, &info, nullptr); }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  Failure failure;
  png_structp png;
  png_infop info = nullptr;
  std::span<const std::byte> rest;  // not yet read
  bool truncated = false;
};

void take(png_structp png, png_bytep data, size_t size) {
  auto* reader = static_cast<Reader*>(png_get_io_ptr(png));
  if (size > reader->rest.size()) {
    reader->truncated = true;
    png_error(png, "the file ends too early");
  }
  std::memcpy(data, reader->rest.data(), size);
  reader->rest = reader->rest.subspan(size);
}

bool read_header(Reader& reader) {
  png_structp png = reader.png;
  if (setjmp(png_jmpbuf(png))) return false;
  png_set_read_fn(png, &reader, take);
  png_set_user_limits(png, kMaxSide, kMaxSide);
  png_set_chunk_malloc_max(png, 8 << 20);
  png_set_benign_errors(png, 0);
  // Nothing that is compressed or long in the optional chunks is looked at.
  static const png_byte kSkipped[] = "iCCP\0zTXt\0iTXt\0tEXt\0eXIf\0sPLT\0hIST";
  png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, kSkipped, sizeof kSkipped / 5);
  png_read_info(png, reader.info);
  return true;
}

// From here on the rows have 8 bits and 1 or 3 channels, and opacity where there is any.
bool set_transformations(Reader& reader) {
  png_structp png = reader.png;
  if (setjmp(png_jmpbuf(png))) return false;
  png_set_scale_16(png);
  png_set_palette_to_rgb(png);
  png_set_expand_gray_1_2_4_to_8(png);
  if (png_get_valid(png, reader.info, PNG_INFO_tRNS)) png_set_tRNS_to_alpha(png);
  png_set_interlace_handling(png);
  png_read_update_info(png, reader.info);
  return true;
}

bool read_rows(Reader& reader, png_bytepp rows) {
  png_structp png = reader.png;
  if (setjmp(png_jmpbuf(png))) return false;
  png_read_image(png, rows);
  png_read_end(png, nullptr);
  return true;
}

[[noreturn]] void refuse_png(const Reader& reader, const std::string& name, const char* code) {
  refuse(name, reader.truncated ? "PNG_TRUNCATED" : code,
         "not a valid PNG image: ", printable(reader.failure.message));
}

}  // namespace

std::vector<std::byte> encode_png(const Image& image, const PngText& text) {
  check_internal(image.width > 0 && image.height > 0 && (image.channels == 1 || image.channels == 3) &&
                     image.pixels.size() == static_cast<size_t>(image.width) * image.height * image.channels,
                 image.pixels.size(), " bytes for an image of ", image.height, " x ", image.width, " x ",
                 image.channels);
  std::vector<std::string> latin1(text.size());
  std::vector<png_text> texts(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const auto& [key, value] = text[i];
    check_internal(!key.empty() && key.size() <= 79, "a PNG keyword of ", key.size(), " bytes");
    const bool plain = to_latin1(value, latin1[i]);
    texts[i].compression = plain ? PNG_TEXT_COMPRESSION_NONE : PNG_ITXT_COMPRESSION_NONE;
    texts[i].key = const_cast<char*>(key.c_str());
    texts[i].text = const_cast<char*>((plain ? latin1[i] : value).c_str());
  }
  Writer writer;
  std::vector<std::byte> bytes;
  check(encode(writer, image, texts.data(), static_cast<int>(texts.size()), &bytes), ErrorKind::device,
        "cannot encode a PNG image: ", writer.failure.message);
  return bytes;
}

void write_png(const std::string& path, const Image& image, const PngText& text) {
  write_file(path, encode_png(image, text));
}

namespace {

// With 2 or 4 channels where it is transparent, which may be refused.
Image decode(std::span<const std::byte> bytes, const std::string& name, bool may_be_transparent) {
  const auto* signature = reinterpret_cast<png_const_bytep>(bytes.data());
  const size_t compared = std::min(bytes.size(), kSignatureBytes);
  if (compared == 0 || png_sig_cmp(signature, 0, compared) != 0) {
    const ForeignFormat* format = recognise(bytes);
    refuse(name, format ? format->code : "PNG_HEADER", "not a PNG image",
           format ? concat(" but ", format->description) : "");
  }
  Reader reader;
  reader.rest = bytes;
  if (!read_header(reader)) refuse_png(reader, name, "PNG_HEADER");

  const png_uint_32 width = png_get_image_width(reader.png, reader.info);
  const png_uint_32 height = png_get_image_height(reader.png, reader.info);
  if (int64_t{width} * height > kMaxPixels)
    refuse(name, "RES_LIMIT", width, " x ", height, " pixels, expected at most ", kMaxPixels, " in all");
  const bool transparent = (png_get_color_type(reader.png, reader.info) & PNG_COLOR_MASK_ALPHA) ||
                           png_get_valid(reader.png, reader.info, PNG_INFO_tRNS);
  if (transparent && !may_be_transparent)
    refuse(name, "PNG_UNSUPPORTED", "a transparent image, expected gray or RGB: flatten it first");
  if (!set_transformations(reader)) refuse_png(reader, name, "PNG_HEADER");

  Image image{.width = static_cast<int>(width),
              .height = static_cast<int>(height),
              .channels = png_get_channels(reader.png, reader.info),
              .pixels = {}};
  const size_t stride = static_cast<size_t>(image.width) * image.channels;
  check_internal(png_get_rowbytes(reader.png, reader.info) == stride, "PNG rows of an unexpected length");
  image.pixels.resize(stride * height);
  std::vector<png_bytep> rows(height);
  for (size_t y = 0; y < height; ++y) rows[y] = image.pixels.data() + y * stride;
  if (!read_rows(reader, rows.data())) refuse_png(reader, name, "PNG_DATA");
  return image;
}

}  // namespace

Image decode_png(std::span<const std::byte> bytes, const std::string& name) {
  return decode(bytes, name, false);
}

TransparentImage decode_transparent_png(std::span<const std::byte> bytes, const std::string& name) {
  const Image image = decode(bytes, name, true);
  if (image.channels % 2 == 1) return {image, std::nullopt};
  const size_t channels = static_cast<size_t>(image.channels), pixels = image.pixels.size() / channels;
  Image colours{.width = image.width, .height = image.height, .channels = image.channels - 1, .pixels = {}};
  Image opacity{.width = image.width, .height = image.height, .channels = 1, .pixels = {}};
  for (size_t i = 0; i < pixels; ++i) {
    const auto pixel = image.pixels.begin() + static_cast<std::ptrdiff_t>(i * channels);
    colours.pixels.insert(colours.pixels.end(), pixel, pixel + colours.channels);
    opacity.pixels.push_back(pixel[colours.channels]);
  }
  return {std::move(colours), std::move(opacity)};
}

namespace {

// f(type, data) for every chunk, until it returns true.
template <class F>
void walk_chunks(std::span<const std::byte> bytes, const std::string& name, const F& f) {
  const std::string_view all(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (!all.starts_with("\x89PNG\r\n\x1a\n")) refuse(name, "PNG_HEADER", "not a PNG file");
  constexpr size_t kAround = 12;  // length, type and checksum of a chunk
  for (std::string_view rest = all.substr(kSignatureBytes); !rest.empty();) {
    const size_t length =
        rest.size() < kAround ? 0 : png_get_uint_32(reinterpret_cast<png_const_bytep>(rest.data()));
    if (rest.size() < kAround || length > rest.size() - kAround)
      refuse(name, "PNG_TRUNCATED", "the file ends too early");
    const std::string_view type = rest.substr(4, 4);
    if (type == "IEND" || f(type, rest.substr(8, length))) return;
    rest.remove_prefix(kAround + length);
  }
}

std::string utf8_of_latin1(std::string_view text) {
  std::string utf8;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80) {
      utf8 += c;
    } else {
      utf8 += static_cast<char>(0xc0 | byte >> 6);
      utf8 += static_cast<char>(0x80 | (byte & 0x3f));
    }
  }
  return utf8;
}

// Behind the next NUL of `text`, which loses what is up to it; nothing where there is none.
std::optional<std::string_view> up_to_nul(std::string_view& text) {
  const size_t nul = text.find('\0');
  if (nul == text.npos) return std::nullopt;
  const std::string_view part = text.substr(0, nul);
  text.remove_prefix(nul + 1);
  return part;
}

}  // namespace

std::optional<std::string> read_png_text(const std::string& path, std::string_view keyword) {
  const MappedFile file(path);
  return file.parsed([&](std::span<const std::byte> bytes) {
    std::optional<std::string> text;
    walk_chunks(bytes, path, [&](std::string_view type, std::string_view data) {
      const auto word = up_to_nul(data);
      if (type == "tEXt" && word == keyword) text = std::string(data);
      return text.has_value();
    });
    return text;
  });
}

PngText png_texts(std::span<const std::byte> bytes, const std::string& name) {
  constexpr size_t kMostBytes = 1 << 20;
  size_t read = 0;
  PngText texts;
  walk_chunks(bytes, name, [&](std::string_view type, std::string_view data) {
    if (type != "tEXt" && type != "iTXt") return false;
    read += data.size();
    if (read > kMostBytes) refuse(name, "RES_LIMIT", "more than ", kMostBytes, " bytes of text");
    const auto keyword = up_to_nul(data);
    if (!keyword) return false;
    if (type == "tEXt") {
      texts.emplace_back(*keyword, utf8_of_latin1(data));
      return false;
    }
    // A flag of compression, its method, the language and the keyword in it, and the text (PNG 11.3.3.4).
    if (data.size() < 2 || data[0] != 0) return false;
    data.remove_prefix(2);
    if (up_to_nul(data) && up_to_nul(data)) texts.emplace_back(*keyword, data);
    return false;
  });
  return texts;
}

Image read_png(const std::string& path) {
  const MappedFile file(path);
  return file.parsed([&](std::span<const std::byte> bytes) { return decode_png(bytes, path); });
}

}  // namespace tstitch
