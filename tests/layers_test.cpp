// The include table of docs/architecture.md, checked: declared layers that nothing checks decay.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <string>

namespace {

namespace fs = std::filesystem;

using Folders = std::set<std::string>;

Folders operator+(Folders a, const Folders& b) {
  a.insert(b.begin(), b.end());
  return a;
}

// Which folders each folder of tstitch/ may include, beside itself.
const Folders kBytes = {"base", "tensor"};
const Folders kNetworks = kBytes + Folders{"backend", "ops", "nn"};
const Folders kZoo = kNetworks + Folders{"text", "io", "models", "diffusion"};
const Folders kEngine = kZoo + Folders{"zoo", "condition"};
const std::map<std::string, Folders> kAllowed = {
    {"base", {}},
    {"tensor", {"base"}},
    {"text", {"base"}},
    {"io", kBytes},
    {"draw", kBytes + Folders{"io"}},
    {"backend", kBytes},
    {"ops", kBytes + Folders{"backend"}},
    {"nn", kBytes + Folders{"backend", "ops"}},
    {"models", kNetworks},
    {"diffusion", kBytes + Folders{"backend", "ops"}},
    {"zoo", kZoo},
    {"condition", kZoo + Folders{"zoo"}},
    {"engine", kEngine},
    {"output", kEngine + Folders{"engine", "draw"}},
    {"eval", kNetworks + Folders{"text", "io", "models", "draw"}},
    {"tune", kEngine + Folders{"engine", "draw", "output", "eval"}},
    {"serve", kEngine + Folders{"engine"}},
};

// Foreign headers that belong to one place.
const std::map<std::string, Folders> kOnlyIn = {
    {"png.h", {"io"}},
    {"jpeglib.h", {"io"}},
    {"jerror.h", {"io"}},
    {"unicode/normalizer2.h", {"text"}},
    {"unicode/uchar.h", {"text"}},
    {"unicode/utf8.h", {"text"}},
    {"zlib.h", {"io"}},
    {"cairo.h", {"draw"}},
    {"cairo-svg.h", {"draw"}},
    {"Eigen/Cholesky", {"eval"}},
    {"Eigen/Eigenvalues", {"eval"}},
    {"unsupported/Eigen/FFT", {"tune"}},
    {"cuda_runtime_api.h", {"backend/cuda"}},
    {"cublasLt.h", {"backend/cuda"}},
    {"cudnn_graph.h", {"backend/cuda"}},
    {"nlohmann/json.hpp", {"io", "zoo", "condition", "engine", "output", "tune", "serve"}},
    {"boost/asio.hpp", {"serve"}},
    {"boost/beast/core.hpp", {"serve"}},
    {"boost/beast/http.hpp", {"serve"}},
};

void check_file(const fs::path& file, const std::string& relative) {
  static const std::regex include(R"re(^\s*#\s*include\s*[<"]([^>"]+)[>"])re");
  const std::string folder = relative.substr(0, relative.find('/'));
  ASSERT_TRUE(kAllowed.contains(folder)) << relative << ": a folder without a line in the include table";
  std::ifstream lines(file);
  std::smatch match;
  for (std::string line; std::getline(lines, line);) {
    if (!std::regex_search(line, match, include)) continue;
    const std::string header = match[1];
    if (header.starts_with("tstitch/")) {
      const std::string other = header.substr(8, header.find('/', 8) - 8);
      EXPECT_TRUE(other == folder || kAllowed.at(folder).contains(other))
          << relative << " includes " << header;
    }
    const auto places = kOnlyIn.find(header);
    if (places == kOnlyIn.end()) continue;
    EXPECT_TRUE(std::ranges::any_of(
        places->second, [&](const std::string& place) { return relative.starts_with(place + "/"); }))
        << relative << " includes " << header;
  }
}

TEST(Layers, EveryIncludeIsInTheTable) {
  const fs::path root = fs::path(TSTITCH_SOURCE_DIR) / "tstitch";
  int files = 0;
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    const auto extension = entry.path().extension();
    if (extension != ".h" && extension != ".cpp" && extension != ".cu") continue;
    check_file(entry.path(), fs::relative(entry.path(), root).string());
    ++files;
  }
  EXPECT_GT(files, 50);
}

}  // namespace
