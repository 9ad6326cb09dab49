// Safetensors files written by hand, so that each can be wrong in one way.
#pragma once

#include <string>

#include "tests/io/io_support.h"
#include "tstitch/io/safetensors.h"

namespace tstitch {

inline std::string with_length(uint64_t length, const std::string& rest) { return raw(length) + rest; }

inline std::string container(const std::string& header, const std::string& data) {
  return with_length(header.size(), header + data);
}

inline std::string container(const std::string& header, size_t data_bytes = 0) {
  return container(header, std::string(data_bytes, '\0'));
}

// {"name":{"dtype":...}} without the outer braces.
inline std::string entry(const std::string& name, const std::string& dtype, const std::string& shape,
                         const std::string& begin, const std::string& end) {
  return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape + ",\"data_offsets\":[" + begin +
         "," + end + "]}";
}

inline std::string entry(const std::string& name, const std::string& dtype, const std::string& shape,
                         int64_t begin, int64_t end) {
  return entry(name, dtype, shape, std::to_string(begin), std::to_string(end));
}

inline TensorFile parse(const std::string& bytes) {
  return parse_safetensors(bytes_of(bytes), "x.safetensors");
}

inline void expect_bad(const std::string& bytes, const std::string& code, const std::string& part = "") {
  expect_refused([&] { parse(bytes); }, code, part);
}

// The smallest files with more than one of everything: two tensors, a scalar, metadata, 12 bytes of data.
inline std::string small_file() {
  std::string data;
  for (const float x : {1.5f, -2.0f}) data += raw(x);
  for (const uint16_t x : std::initializer_list<uint16_t>{0x3f80, 0x4000}) data += raw(x);
  return container("{\"__metadata__\":{\"a\":\"b\"}," + entry("s", "F32", "[]", 0, 4) + "," +
                       entry("w", "F32", "[1,1]", 4, 8) + "," + entry("v", "BF16", "[2]", 8, 12) + "}",
                   data);
}

}  // namespace tstitch
