// Edges against OpenCV's (tools/goldens/make_control_goldens.py).
#include "tstitch/condition/canny.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/support/golden.h"
#include "tstitch/io/json.h"

namespace tstitch {
namespace {

TEST(Canny, FindsTheEdgesThatOpenCvFinds) {
  const nlohmann::json golden = parse_json_file(golden_path("control/edges.json"));
  size_t found = 0;
  for (const nlohmann::json& one : golden.at("cases")) {
    const int channels = one.at("channels");
    const Image image{
        .width = golden.at("width"),
        .height = golden.at("height"),
        .channels = channels,
        .pixels = golden.at("pictures").at(std::to_string(channels)).get<std::vector<uint8_t>>()};
    const Image edges = canny_edges(image, {one.at("low"), one.at("high")});
    ASSERT_EQ(edges.channels, 1);
    ASSERT_EQ(edges.width, image.width);
    ASSERT_EQ(edges.height, image.height);
    for (int y = 0; y < edges.height; ++y) {
      std::string row;
      for (int x = 0; x < edges.width; ++x) {
        const uint8_t pixel = edges.pixels[static_cast<size_t>(y * edges.width + x)];
        ASSERT_TRUE(pixel == 0 || pixel == 255);
        row += pixel ? '#' : '.';
        found += pixel > 0;
      }
      EXPECT_EQ(row, one.at("edges").at(static_cast<size_t>(y)).get<std::string>())
          << channels << " channels, " << one.at("low") << " ... " << one.at("high") << ", row " << y;
    }
  }
  EXPECT_GT(found, 1000u);
}

TEST(Canny, OfPicturesOfOneLine) {
  for (const auto& [width, height] : {std::pair{1, 1}, {1, 7}, {7, 1}}) {
    Image image{.width = width, .height = height, .channels = 1, .pixels = {}};
    for (int i = 0; i < width * height; ++i) image.pixels.push_back(i < width * height / 2 ? 0 : 255);
    size_t edges = 0;
    for (const uint8_t pixel : canny_edges(image, {100, 200}).pixels) edges += pixel > 0;
    EXPECT_EQ(edges, width * height == 1 ? 0u : 1u);
  }
}

}  // namespace
}  // namespace tstitch
