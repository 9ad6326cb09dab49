#include "tstitch/io/jpeg.h"

#include <cstdio>
// After it: the header needs FILE.
#include <jpeglib.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <vector>

#include "tests/io/io_support.h"
#include "tests/support/golden.h"
#include "tstitch/io/json.h"
#include "tstitch/io/picture.h"

namespace tstitch {
namespace {

std::string file(const std::string& name) {
  std::ifstream stream(golden_path("jpeg/" + name + ".jpg"), std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

Image decode(const std::string& bytes) { return decode_jpeg(bytes_of(bytes), "x.jpg"); }

void expect_bad(const std::string& bytes, const std::string& code, const std::string& part = "") {
  expect_refused([&] { decode(bytes); }, code, part);
}

void expect_pixels(const Image& image, const std::string& name) {
  const nlohmann::json pixels = parse_json_file(golden_path("jpeg/pixels.json"));
  const auto rows = pixels.at(name).get<std::vector<std::vector<int>>>();
  ASSERT_EQ(image.height, std::ssize(rows)) << name;
  ASSERT_EQ(image.width * image.channels, std::ssize(rows[0])) << name;
  size_t i = 0;
  for (const auto& row : rows)
    for (const int pixel : row) EXPECT_NEAR(image.pixels[i++], pixel, 1) << name;
}

// Where the frame's header begins: its height stands 5 bytes behind, its width 7.
size_t frame(const std::string& bytes) {
  const size_t at = bytes.find("\xff\xc0");
  EXPECT_NE(at, bytes.npos);
  return at;
}

// A gray picture that is passed over 65 times: twice for its means, once for each of the other coefficients.
std::string scanned() {
  std::vector<jpeg_scan_info> scans = {{1, {0}, 0, 0, 0, 1}, {1, {0}, 0, 0, 1, 0}};
  for (int k = 1; k < 64; ++k) scans.push_back({1, {0}, k, k, 0, 0});
  jpeg_error_mgr errors;
  jpeg_compress_struct info{};
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&info, &bytes, &size);
  info.image_width = info.image_height = 8;
  info.input_components = 1;
  info.in_color_space = JCS_GRAYSCALE;
  jpeg_set_defaults(&info);
  info.scan_info = scans.data();
  info.num_scans = static_cast<int>(scans.size());
  jpeg_start_compress(&info, TRUE);
  for (int y = 0; y < 8; ++y) {
    JSAMPLE pixels[8] = {0, 9, 200, 3, 77, 250, 31, static_cast<JSAMPLE>(30 * y)};
    JSAMPROW row = pixels;
    jpeg_write_scanlines(&info, &row, 1);
  }
  jpeg_finish_compress(&info);
  jpeg_destroy_compress(&info);
  const std::string file(reinterpret_cast<const char*>(bytes), size);
  free(bytes);
  return file;
}

// As Pillow, whose decoder may be a newer version (tools/goldens/make_jpeg_goldens.py).
TEST(Jpeg, IsWhatPillowSees) {
  for (const std::string name : {"gray", "colours", "progressive"}) expect_pixels(decode(file(name)), name);
  EXPECT_EQ(decode(file("gray")).channels, 1);
  EXPECT_EQ(decode(file("colours")).channels, 3);
}

TEST(Jpeg, IsTurnedAsItsOrientationSays) {
  std::string bytes = file("turned");
  const size_t entry = bytes.find(std::string("\x01\x12\x00\x03\x00\x00\x00\x01", 8));  // big-endian
  ASSERT_NE(entry, bytes.npos);
  for (char orientation = 1; orientation <= 8; ++orientation) {
    bytes[entry + 9] = orientation;
    expect_pixels(decode(bytes), "turned_" + std::to_string(orientation));
  }
  for (const char none : {'\0', '\x09'}) {
    bytes[entry + 9] = none;
    expect_pixels(decode(bytes), "turned_1");
  }
  // The directory behind the end of the segment, and a segment that ends within its head.
  bytes[entry + 9] = 6;
  std::string broken = bytes;
  broken.replace(bytes.find("MM") + 4, 4, "\xff\xff\xff\xf0");
  expect_pixels(decode(broken), "turned_1");
  broken = bytes;
  broken.replace(bytes.find("MM"), 2, "XX");
  expect_pixels(decode(broken), "turned_1");
}

TEST(Jpeg, LittleEndianOrientationsAreRead) {
  std::string bytes = file("turned");
  const size_t tiff = bytes.find("MM");
  const std::string little =
      std::string("II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0", 26);
  bytes.replace(tiff, little.size(), little);
  expect_pixels(decode(bytes), "turned_6");
}

TEST(Jpeg, OtherColoursAreRefused) { expect_bad(file("cmyk"), "JPEG_UNSUPPORTED", "CMYK"); }

// Before anything is allocated for them.
TEST(Jpeg, BombsAreRefused) {
  std::string bytes = file("gray");
  bytes.replace(frame(bytes) + 5, 4, "\xff\xdc\xff\xdc");
  expect_bad(bytes, "RES_LIMIT", "65500 x 65500 pixels");
  expect_bad(scanned(), "RES_LIMIT", "more than 64 scans");
}

TEST(Jpeg, TruncatedAnywhereIsRefused) {
  for (const std::string name : {"gray", "colours", "progressive", "turned"}) {
    const std::string bytes = file(name);
    for (size_t size = 0; size < bytes.size(); ++size) {
      // Within the first segments there is no header yet, within the last scan there is a picture in part.
      try {
        decode(bytes.substr(0, size));
        ADD_FAILURE() << name << " accepted with " << size << " bytes";
      } catch (const Error& error) {
        const std::string message = error.what();
        EXPECT_EQ(error.kind(), ErrorKind::input) << message;
        EXPECT_TRUE(message.find("[JPEG_TRUNCATED]") != message.npos ||
                    message.find("[JPEG_HEADER]") != message.npos)
            << message;
      }
    }
  }
}

TEST(Jpeg, WhatIsBrokenIsRefused) {
  std::string bytes = file("gray");
  bytes[frame(bytes) + 4] = 12;  // bits
  expect_bad(bytes, "JPEG_UNSUPPORTED");
  bytes = file("gray");
  bytes.replace(frame(bytes) + 5, 2, std::string(2, '\0'));  // no height
  expect_bad(bytes, "JPEG_HEADER");
  bytes = file("gray");
  bytes.replace(bytes.find("\xff\xdb"), 2, "\xff\xfe");  // the quantization table becomes a comment
  expect_bad(bytes, "JPEG_DATA");
  expect_bad("", "JPEG_HEADER");
  expect_bad("\x89PNG", "JPEG_HEADER");
}

// No change of a byte does more than change the picture or be refused.
TEST(Jpeg, AnyByteMayBeWrong) {
  const std::string good = file("colours");
  for (size_t at = 2; at < good.size(); ++at)
    for (const char flip : {'\x01', '\x80', '\xff'}) {
      std::string bytes = good;
      bytes[at] = static_cast<char>(bytes[at] ^ flip);
      try {
        decode(bytes);
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::input) << error.what();
      }
    }
}

TEST(Picture, IsKnownByItsFirstBytes) {
  EXPECT_EQ(read_picture(golden_path("jpeg/colours.jpg")).width, 19);
  expect_refused([] { read_picture(golden_path("jpeg/pixels.json")); }, "FMT_UNKNOWN");
}

}  // namespace
}  // namespace tstitch
