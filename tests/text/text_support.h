// The tokenizer, made once, and the goldens: pairs of a prompt and its ids.
#pragma once

#include <gtest/gtest.h>

#include <ctime>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "tstitch/base/error.h"
#include "tstitch/text/clip_tokenizer.h"

namespace tstitch {

inline std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file.good()) << path;
  return {std::istreambuf_iterator<char>(file), {}};
}

inline const std::string& clip_merges() {
  static const std::string merges = read_text(TSTITCH_SOURCE_DIR "/assets/clip_merges.txt");
  return merges;
}

inline const ClipTokenizer& clip() {
  static const ClipTokenizer tokenizer(clip_merges());
  return tokenizer;
}

using TokenCases = std::vector<std::pair<std::string, std::vector<int32_t>>>;

inline TokenCases token_cases(const std::string& path) { return nlohmann::json::parse(read_text(path)); }

inline std::string token_golden(const std::string& name) {
  return TSTITCH_SOURCE_DIR "/tests/golden/tokenizer/" + name;
}

template <class Call>
void expect_error(const Call& call, ErrorKind kind, const std::string& part) {
  try {
    call();
    ADD_FAILURE() << "accepted, expected: " << part;
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind);
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

// Of the processor, not of a clock on the wall: the tests may share their machine.
template <class Call>
double seconds_of(const Call& call) {
  const std::clock_t start = std::clock();
  call();
  return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
}

inline std::string repeated(const std::string& unit, size_t bytes) {
  std::string text;
  while (text.size() < bytes) text += unit;
  return text;
}

}  // namespace tstitch
