// The rows PN1 ... PN6 of the table of bad inputs, then round trips.
#include "tstitch/io/png.h"

#include <png.h>

#include <random>

#include "tests/io/io_support.h"
#include "tests/support/expect_error.h"

namespace tstitch {
namespace {

Image noise(int width, int height, int channels) {
  Image image{.width = width, .height = height, .channels = channels, .pixels = {}};
  std::mt19937 random(1);
  image.pixels.resize(static_cast<size_t>(width) * height * channels);
  for (uint8_t& x : image.pixels) x = static_cast<uint8_t>(random());
  return image;
}

std::string encoded(const Image& image, const PngText& text = {}) {
  const std::vector<std::byte> bytes = encode_png(image, text);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

Image decode(const std::string& bytes) { return decode_png(bytes_of(bytes), "x.png"); }

void expect_bad(const std::string& bytes, const std::string& code, const std::string& part = "") {
  expect_refused([&] { decode(bytes); }, code, part);
}

std::string big_endian(uint32_t x) {
  return {static_cast<char>(x >> 24), static_cast<char>(x >> 16), static_cast<char>(x >> 8),
          static_cast<char>(x)};
}

uint32_t crc(const std::string& bytes) {  // PNG specification, annex D
  uint32_t c = ~0u;
  for (const unsigned char byte : bytes) {
    c ^= byte;
    for (int k = 0; k < 8; ++k) c = c & 1 ? 0xedb88320u ^ (c >> 1) : c >> 1;
  }
  return ~c;
}

std::string chunk(const std::string& type, const std::string& data) {
  return big_endian(static_cast<uint32_t>(data.size())) + type + data + big_endian(crc(type + data));
}

uint32_t adler(const std::string& bytes) {
  uint32_t a = 1, b = 0;
  for (const unsigned char byte : bytes) {
    a = (a + byte) % 65521;
    b = (b + a) % 65521;
  }
  return b << 16 | a;
}

// zlib without compression.
std::string stored(const std::string& data) {
  std::string out = "\x78\x01";
  for (size_t at = 0; at <= data.size(); at += 65535) {
    const auto n = static_cast<uint16_t>(std::min<size_t>(65535, data.size() - at));
    out += std::string{static_cast<char>(at + n == data.size())} + raw(n) + raw(static_cast<uint16_t>(~n)) +
           data.substr(at, n);
    if (at + n == data.size()) break;
  }
  return out + big_endian(adler(data));
}

const std::string kSignature = "\x89PNG\r\n\x1a\n";

std::string header(uint32_t width, uint32_t height, char depth, char colour, char interlace = 0) {
  return chunk("IHDR", big_endian(width) + big_endian(height) + std::string{depth, colour, 0, 0, interlace});
}

std::string picture(const std::string& header_and_more, const std::string& rows) {
  return kSignature + header_and_more + chunk("IDAT", stored(rows)) + chunk("IEND", "");
}

TEST(Png, RoundTrip) {
  for (const int channels : {1, 3})
    for (const auto& [width, height] : {std::pair{1, 1}, {28, 28}, {257, 3}, {1, 100}}) {
      const Image image = noise(width, height, channels);
      const Image again = decode(encoded(image));
      EXPECT_EQ(again.width, width);
      EXPECT_EQ(again.height, height);
      EXPECT_EQ(again.channels, channels);
      EXPECT_EQ(again.pixels, image.pixels);
    }
}

TEST(Png, SameBytesEveryTime) {
  const PngText text = {{"parameters", "a"}, {"Software", "tstitch"}};
  EXPECT_EQ(encoded(noise(64, 64, 3), text), encoded(noise(64, 64, 3), text));
}

TEST(Png, TextIsLatin1WherePossible) {
  const std::string bytes = encoded(noise(2, 2, 1), {{"parameters", "a cat\nSteps: 4"},
                                                     {"latin", "k\xc3\xa4se \xc2\xa0\xc3\xbf"},
                                                     {"japanese", "\xe7\x8c\xab"},
                                                     {"broken", "\xff\xfe"},
                                                     {"empty", ""}});
  const auto holds = [&](const std::string& type, const std::string& data) {
    return bytes.find(chunk(type, data)) != std::string::npos;
  };
  EXPECT_TRUE(holds("tEXt", std::string("parameters\0a cat\nSteps: 4", 25)));
  EXPECT_TRUE(holds("tEXt", std::string("latin\0k\xe4se \xa0\xff", 13)));
  EXPECT_TRUE(holds("iTXt", std::string("japanese\0\0\0\0\0\xe7\x8c\xab", 16)));
  EXPECT_TRUE(holds("tEXt", std::string("broken\0\xff\xfe", 9)));
  EXPECT_TRUE(holds("tEXt", std::string("empty\0", 6)));
  EXPECT_LT(bytes.find("parameters"), bytes.find("latin"));
  EXPECT_EQ(decode(bytes).width, 2);
}

TEST(Png, TextsAreReadAsUtf8) {
  const PngText texts = {{"parameters", "a cat\nSteps: 4"},
                         {"latin", "k\xc3\xa4se \xc2\xa0\xc3\xbf"},
                         {"japanese", "\xe7\x8c\xab"},
                         {"empty", ""}};
  const std::string bytes = encoded(noise(2, 2, 1), texts);
  EXPECT_EQ(png_texts(std::as_bytes(std::span(bytes)), "x"), texts);
  const auto expect_refused = [](const std::string& file, const char* part) {
    testing::expect_error(ErrorKind::input, part, [&] { png_texts(std::as_bytes(std::span(file)), "x"); });
  };
  expect_refused("GIF89a", "PNG_HEADER");
  expect_refused(bytes.substr(0, bytes.size() - 30), "PNG_TRUNCATED");
  expect_refused(kSignature + chunk("tEXt", std::string("a\0", 2) + std::string(2 << 20, 'x')), "RES_LIMIT");
  // What is compressed, or no text at all, is left aside.
  const std::string odd = kSignature + chunk("iTXt", std::string("a\0\1\0\0\0x", 7)) +
                          chunk("iTXt", std::string("a\0", 2)) + chunk("tEXt", "a") +
                          chunk("tEXt", std::string("b\0c", 3));
  EXPECT_EQ(png_texts(std::as_bytes(std::span(odd)), "x"), (PngText{{"b", "c"}}));
}

TEST(Png, ImpossibleImagesAreBugs) {
  EXPECT_THROW(encode_png({.width = 2, .height = 2, .channels = 1, .pixels = {1, 2, 3}}, {}), Error);
  EXPECT_THROW(encode_png({.width = 0, .height = 0, .channels = 1, .pixels = {}}, {}), Error);
  EXPECT_THROW(encode_png(noise(2, 2, 1), {{"", "x"}}), Error);
  EXPECT_THROW(encode_png(noise(2, 2, 1), {{std::string(80, 'k'), "x"}}), Error);
}

TEST(Png, PN1_Frame) {
  const std::string rows(2 * 3, '\0');  // 2 x 2 gray, a filter byte per row
  EXPECT_EQ(decode(picture(header(2, 2, 8, 0), rows)).pixels.size(), 4u);
  expect_bad("", "PNG_HEADER");
  expect_bad("\x89PNX\r\n\x1a\n", "PNG_HEADER");
  expect_bad(kSignature + chunk("IDAT", stored(rows)) + chunk("IEND", ""), "PNG_HEADER", "IHDR");
  expect_bad(kSignature + header(2, 2, 8, 0) + chunk("IEND", ""), "PNG_HEADER");
  expect_bad(
      kSignature + header(2, 2, 8, 0) + header(2, 2, 8, 0) + chunk("IDAT", stored(rows)) + chunk("IEND", ""),
      "PNG_HEADER");
  expect_bad(kSignature + header(2, 2, 8, 0) + big_endian(0x80000000) + "IDAT", "PNG_HEADER");
  expect_bad(kSignature + header(2, 2, 8, 0) + big_endian(0x7fffffff) + "IDAT", "PNG_HEADER", "too large");
  expect_bad(kSignature + header(2, 2, 8, 0) + big_endian(0x10000) + "IDAT", "PNG_TRUNCATED");
  std::string wrong_crc = picture(header(2, 2, 8, 0), rows);
  wrong_crc[kSignature.size() + 8 + 13] ^= 1;
  expect_bad(wrong_crc, "PNG_HEADER", "CRC");
}

TEST(Png, PN2_Header) {
  for (const auto& [width, height] : {std::pair{0u, 1u},
                                      {1u, 0u},
                                      {0x7fffffffu, 1u},
                                      {0x80000000u, 1u},
                                      {100'000u, 100'000u},
                                      {65536u, 1u}})
    expect_bad(picture(header(width, height, 8, 0), ""), "PNG_HEADER");
  expect_bad(picture(header(65535, 65535, 8, 2), ""), "RES_LIMIT", "65535 x 65535");
  for (const auto& [depth, colour] : {std::pair{3, 0}, {0, 0}, {4, 2}, {16, 3}, {8, 1}, {8, 7}})
    expect_bad(picture(header(1, 1, static_cast<char>(depth), static_cast<char>(colour)), "xx"),
               "PNG_HEADER");
  expect_bad(picture(header(1, 1, 8, 0, 2), std::string(2, '\0')), "PNG_HEADER");
  expect_bad(picture(header(1, 1, 8, 3), std::string(2, '\0')), "PNG_HEADER", "PLTE");
}

TEST(Png, PN3_Data) {
  const std::string rows(2 * 3, '\0');
  expect_bad(picture(header(2, 2, 8, 0), rows.substr(0, 4)), "PNG_DATA");
  expect_bad(picture(header(2, 2, 8, 0), rows + std::string(100'000, 'x')), "PNG_DATA");
  std::string wrong_adler = stored(rows);
  wrong_adler.back() = static_cast<char>(wrong_adler.back() ^ 1);
  expect_bad(kSignature + header(2, 2, 8, 0) + chunk("IDAT", wrong_adler) + chunk("IEND", ""), "PNG_DATA");
  expect_bad(kSignature + header(2, 2, 8, 0) + chunk("IDAT", "not zlib") + chunk("IEND", ""), "PNG_DATA");
  expect_bad(picture(header(1, 1, 8, 0), "\x05\x01"), "PNG_DATA");  // no such filter
  // Compressed text is stepped over, whatever it would become.
  const std::string text =
      chunk("zTXt", std::string("k\0\0not zlib", 11)) + chunk("iCCP", std::string("k\0\0not zlib", 11));
  EXPECT_EQ(decode(picture(header(2, 2, 8, 0) + text, rows)).pixels.size(), 4u);
}

TEST(Png, PN4_OtherKindsOfPixels) {
  using Pixels = std::vector<uint8_t>;
  const std::string palette = chunk("PLTE", "\x01\x02\x03\x0a\x14\x1e");
  EXPECT_EQ(decode(picture(header(2, 1, 8, 3) + palette, std::string("\0\1\0", 3))).pixels,
            (Pixels{10, 20, 30, 1, 2, 3}));
  EXPECT_EQ(decode(picture(header(2, 1, 1, 3) + palette, std::string("\0\x40", 2))).pixels,
            (Pixels{1, 2, 3, 10, 20, 30}));
  EXPECT_EQ(decode(picture(header(4, 1, 1, 0), std::string("\0\x50", 2))).pixels, (Pixels{0, 255, 0, 255}));
  EXPECT_EQ(decode(picture(header(2, 1, 4, 0), std::string("\0\x1f", 2))).pixels, (Pixels{17, 255}));
  EXPECT_EQ(decode(picture(header(2, 1, 16, 0), std::string("\0\x12\x34\xff\xff", 5))).pixels,
            (Pixels{18, 255}));
  EXPECT_EQ(decode(picture(header(1, 1, 16, 2), std::string("\0\x12\x34\0\0\xff\xff", 7))).pixels,
            (Pixels{18, 0, 255}));
  EXPECT_EQ(decode(picture(header(1, 1, 8, 0, 1), std::string("\0\x07", 2))).pixels,
            (Pixels{7}));  // interlaced
  const std::string gamma = chunk("gAMA", big_endian(10000));
  EXPECT_EQ(decode(picture(header(1, 1, 8, 0) + gamma, std::string("\0\x07", 2))).pixels,
            (Pixels{7}));  // as stored
  expect_bad(picture(header(1, 1, 8, 4), std::string("\0\1\2", 3)), "PNG_UNSUPPORTED", "transparent");
  expect_bad(picture(header(1, 1, 8, 6), std::string("\0\1\2\3\4", 5)), "PNG_UNSUPPORTED");
  expect_bad(picture(header(1, 1, 8, 3) + palette + chunk("tRNS", "\x10"), std::string("\0\1", 2)),
             "PNG_UNSUPPORTED");
  // An index beyond the palette is black, as in other readers.
  EXPECT_EQ(decode(picture(header(1, 1, 8, 3) + palette, std::string("\0\xff", 2))).pixels,
            (Pixels{0, 0, 0}));
}

TEST(Png, PN5_EveryPrefixIsRefused) {
  const std::string whole = encoded(noise(9, 7, 3), {{"parameters", "x"}});
  for (size_t n = 8; n < whole.size(); ++n) expect_bad(whole.substr(0, n), "PNG_TRUNCATED");
  for (size_t n = 0; n < 8; ++n) EXPECT_THROW(decode(whole.substr(0, n)), Error) << n;
}

TEST(Png, EveryBitFlipIsHandled) {
  const std::string whole = encoded(noise(5, 3, 1), {{"parameters", "x"}});
  for (size_t bit = 0; bit < 8 * whole.size(); ++bit) {
    std::string flipped = whole;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
    try {
      EXPECT_EQ(decode(flipped).pixels.size(), 15u);  // only flips in what is stepped over
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::input);
    }
  }
}

TEST(Png, PN6_OtherImagesAreNamed) {
  expect_bad("\xff\xd8\xff\xe0 JFIF", "FMT_MISMATCH", "JPEG");
  expect_bad("GIF89a...", "FMT_MISMATCH", "GIF");
  expect_bad("<svg xmlns", "FMT_MISMATCH", "SVG");
  expect_bad("<!DOCTYPE html>", "FMT_UNKNOWN", "HTML");
}

class PngFile : public FolderTest {};

TEST_F(PngFile, RoundTrip) {
  const Image image = noise(30, 20, 3);
  write_png(path("a.png"), image, {{"parameters", "x"}});
  EXPECT_EQ(read_png(path("a.png")).pixels, image.pixels);
  EXPECT_EQ(files(), 1u);
  expect_refused([&] { read_png(path("none.png")); }, "IO_NOT_FOUND");
  expect_refused([&] { write_png(path("none/a.png"), image, {}); }, "IO_WRITE", "no such folder",
                 ErrorKind::device);
}

}  // namespace
}  // namespace tstitch
