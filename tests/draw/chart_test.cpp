#include "tstitch/draw/chart.h"

#include <cmath>
#include <limits>
#include <regex>

#include "tests/io/io_support.h"
#include "tstitch/io/png.h"

namespace tstitch {
namespace {

Chart two_series() {
  return {.title = "FID",
          .x_label = "seconds",
          .y_label = "FID",
          .series = {{.name = "S then XL", .x = {1, 2, 4}, .y = {30, 12, 9}, .labels = {"1", "0.5", "0"}},
                     {.name = "B then XL", .x = {2, 3, 4}, .y = {13, 10, 9}, .error = {1, 0.5, 0.5}}}};
}

size_t count(const std::string& text, const std::string& part) {
  size_t n = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

// Elements nest, attributes are quoted, nothing follows the root.
void expect_well_formed(const std::string& xml) {
  static const std::regex tag(R"re(<(/?)([A-Za-z][\w:.-]*)((?:\s+[\w:.-]+="[^"<&]*")*)\s*(/?)>)re");
  std::vector<std::string> open;
  size_t at = xml.find('>') + 1;  // behind <?xml ...?>
  ASSERT_TRUE(xml.starts_with("<?xml "));
  int roots = 0;
  for (std::sregex_iterator i(xml.begin() + at, xml.end(), tag), end; i != end; ++i) {
    const std::string between = i->prefix();
    EXPECT_EQ(between.find_first_not_of(" \n"), std::string::npos) << between;
    if ((*i)[1].length()) {
      ASSERT_FALSE(open.empty());
      EXPECT_EQ(open.back(), (*i)[2]);
      open.pop_back();
    } else {
      roots += open.empty();
      if (!(*i)[4].length()) open.push_back((*i)[2]);
    }
  }
  EXPECT_TRUE(open.empty());
  EXPECT_EQ(roots, 1);
}

int pixels_of(const Image& image, int red, int green, int blue) {
  int n = 0;
  for (size_t i = 0; i < image.pixels.size(); i += 3)
    n += image.pixels[i] == red && image.pixels[i + 1] == green && image.pixels[i + 2] == blue;
  return n;
}

class ChartTest : public FolderTest {
 protected:
  std::string svg(const Chart& chart) {
    write_chart(path("chart.svg"), chart);
    return read_whole(path("chart.svg"));
  }
  Image png(const Chart& chart) {
    write_chart(path("chart.png"), chart);
    return read_png(path("chart.png"));
  }
  void expect_error(const Chart& chart, const std::string& part, ErrorKind kind = ErrorKind::input,
                    const std::string& name = "chart.svg") {
    try {
      write_chart(path(name), chart);
      ADD_FAILURE() << "accepted, expected " << part;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), kind) << error.what();
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
    }
  }
};

TEST_F(ChartTest, SvgIsWellFormedAndHasEveryLetter) {
  Chart chart = two_series();
  const std::string before = svg(chart);
  expect_well_formed(before);
  EXPECT_NE(before.find("width=\"640px\""), std::string::npos);
  chart.series[0].labels[1] = "<&>'\"0.5";  // five letters more
  const std::string after = svg(chart);
  expect_well_formed(after);
  EXPECT_EQ(count(after, "<use "), count(before, "<use ") + 5);
  chart.series[1].name = "";
  EXPECT_EQ(count(svg(chart), "<use ") + 9, count(after, "<use "));  // "B then XL"
}

TEST_F(ChartTest, PngHasTwiceThePixelsAndTheColours) {
  Chart chart = two_series();
  const Image image = png(chart);
  EXPECT_EQ(image.width, 2 * 640);
  EXPECT_EQ(image.channels, 3);
  EXPECT_GT(image.height, 2 * 340);
  EXPECT_GT(pixels_of(image, 0x00, 0x72, 0xb2), 500);
  EXPECT_GT(pixels_of(image, 0xd5, 0x5e, 0x00), 500);
  EXPECT_EQ(pixels_of(image, 0x00, 0x9e, 0x73), 0);
  EXPECT_NE(read_whole(path("chart.png")).find("Title"), std::string::npos);
  chart.title = "";
  EXPECT_LT(png(chart).height, image.height);
}

TEST_F(ChartTest, LegendTakesTheRowsItNeeds) {
  Chart chart = two_series();
  const int one = png(chart).height;
  for (int i = 0; i < 8; ++i) chart.series.push_back({.name = "another series", .x = {1}, .y = {1}});
  const int more = png(chart).height;
  EXPECT_GT(more, one);
  chart.series[0].name = std::string(400, 'x');  // written smaller than a row
  expect_well_formed(svg(chart));
  EXPECT_GE(png(chart).height, more);
}

TEST_F(ChartTest, AnyRangeCanBeDrawn) {
  const std::vector<double> ys[] = {{3}, {0, 0, 0}, {-1e100, 1e100}, {1, 1 + 1e-15}, {1e-100, 2e-100}};
  for (const std::vector<double>& y : ys) {
    std::vector<double> x(y.size());
    for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<double>(i);
    expect_well_formed(
        svg({.series = {{.name = "a", .x = x, .y = y, .labels = std::vector<std::string>(y.size(), "p")}}}));
  }
  const Chart logarithmic = {.log_x = true,
                             .log_y = true,
                             .series = {{.name = "a", .x = {1e-3, 1e5}, .y = {2, 3e9}, .error = {5, 1}}}};
  expect_well_formed(svg(logarithmic));
}

TEST_F(ChartTest, ASeriesWithoutPointsIsLeftInTheLegend) {
  Chart chart = two_series();
  chart.series.push_back({.name = "none", .x = {}, .y = {}});
  expect_well_formed(svg(chart));
}

TEST_F(ChartTest, ShadesRunFromDarkToBright) {
  Chart chart{.series = {{.name = "", .x = {0, 1}, .y = {0, 1}, .shade = 0},
                         {.name = "", .x = {0, 1}, .y = {1, 0}, .shade = 1}}};
  const Image image = png(chart);
  EXPECT_GT(pixels_of(image, 0x44, 0x01, 0x54), 500);
  EXPECT_GT(pixels_of(image, 0x7f, 0xc9, 0x3f), 500);
}

TEST_F(ChartTest, RefusesWhatCannotBeDrawn) {
  expect_error({}, "no points");
  expect_error({.series = {{.name = "empty", .x = {}, .y = {}}}}, "no points");
  const double nan = std::nan(""), infinity = std::numeric_limits<double>::infinity();
  for (const double bad : {nan, infinity, -infinity, 1e101}) {
    Chart x = two_series(), y = two_series(), error = two_series();
    x.series[0].x[1] = bad;
    y.series[0].y[2] = bad;
    error.series[1].error[0] = bad;
    expect_error(x, "x axis cannot show");
    expect_error(y, "y axis cannot show");
    expect_error(error, "y axis cannot show");
  }
  for (const double bad : {0.0, -1.0}) {
    Chart chart = two_series();
    chart.series[0].x[0] = bad;
    write_chart(path("chart.svg"), chart);
    chart.log_x = true;
    expect_error(chart, "logarithmic x axis cannot show");
  }
  Chart chart = two_series();
  chart.series[0].labels[0] = "\xff";
  expect_error(chart, "not UTF-8");
  expect_error(two_series(), "expected one that ends in .svg or .png", ErrorKind::usage, "chart.pdf");
  expect_error(two_series(), "nowhere", ErrorKind::device, "nowhere/chart.svg");
  chart = two_series();
  chart.series[0].y.pop_back();
  expect_error(chart, "series of 3 x, 2 y", ErrorKind::internal);
}

TEST_F(ChartTest, AFailureLeavesTheOldFile) {
  for (const char* name : {"old.svg", "old.png"}) {
    write(name, "old");
    expect_error({}, "no points", ErrorKind::input, name);
    EXPECT_EQ(read_whole(path(name)), "old");
    write_chart(path(name), two_series());
    EXPECT_NE(read_whole(path(name)), "old");
  }
  EXPECT_EQ(files(), 2u);
}

}  // namespace
}  // namespace tstitch
