// What the tests of tstitch/io share: a folder of their own, files as strings, and the form of a refusal.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>

#include "tstitch/base/error.h"

namespace tstitch {

class FolderTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/tstitch_io_XXXXXX";
    folder_ = mkdtemp(name);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  std::string write(const std::string& name, const std::string& bytes) const {
    std::ofstream(path(name), std::ios::binary) << bytes;
    return path(name);
  }

  size_t files() const {
    return std::distance(std::filesystem::directory_iterator(folder_), std::filesystem::directory_iterator());
  }

 private:
  std::filesystem::path folder_;
};

// Root may read and write everything, so tests of permissions act as user nobody meanwhile.
class AsOrdinaryUser {
 public:
  AsOrdinaryUser() : before_(geteuid()) {
    if (before_ == 0 && seteuid(65534) != 0) ADD_FAILURE() << "cannot become another user";
  }
  ~AsOrdinaryUser() {
    if (seteuid(before_) != 0) ADD_FAILURE() << "cannot become root again";
  }

 private:
  uid_t before_;
};

inline std::string read_whole(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// The object's bytes as they lie in memory.
template <class T>
std::string raw(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

inline std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

// `action` must throw Error{kind} with the code and the part, in one short line that a terminal only shows.
template <class Action>
void expect_refused(const Action& action, const std::string& code, const std::string& part = "",
                    ErrorKind kind = ErrorKind::input) {
  try {
    action();
    ADD_FAILURE() << "accepted, expected " << code;
  } catch (const Error& error) {
    const std::string message = error.what();
    EXPECT_EQ(error.kind(), kind) << message;
    EXPECT_NE(message.find(": [" + code + "] "), std::string::npos) << message << "\nexpected " << code;
    EXPECT_NE(message.find(part), std::string::npos) << message << "\nexpected " << part;
    EXPECT_LE(message.size(), 500u) << message;
    EXPECT_EQ(printable(message, message.size()), message);
  }
}

}  // namespace tstitch
