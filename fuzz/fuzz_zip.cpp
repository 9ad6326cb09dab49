// The directory of a zip archive.
#include "fuzz/expect_input_error.h"
#include "tstitch/io/zip.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tstitch;
  expect_input_error([&] {
    const std::span<const std::byte> bytes = as_span(data, size);
    size_t sum = 0;
    for (const ZipEntry& entry : read_zip(bytes, "fuzz")) {
      if (entry.bytes.data() < bytes.data() || entry.bytes.data() + entry.bytes.size() > bytes.data() + size)
        abort();
      sum += entry.bytes.size() + entry.name.size();
    }
    if (sum > size) abort();  // they overlap
  });
  return 0;
}
