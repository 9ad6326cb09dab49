// Everything that is accepted must also mean the same after being written and read again.
#include <nlohmann/json.hpp>

#include "fuzz/expect_input_error.h"
#include "tstitch/io/json.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, size_t size) {
  using namespace tstitch;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  expect_input_error([&] {
    const nlohmann::json value = parse_json(text, "fuzz");
    if (parse_json(value.dump(), "fuzz") != value) abort();
  });
  return 0;
}
