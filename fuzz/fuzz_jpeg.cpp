// Our use of libjpeg, and the Exif orientation.
#include "fuzz/expect_input_error.h"
#include "tstitch/io/jpeg.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, size_t size) {
  using namespace tstitch;
  expect_input_error([&] {
    const Image image = decode_jpeg(as_span(data, size), "fuzz");
    const size_t pixels = static_cast<size_t>(image.width) * static_cast<size_t>(image.height);
    if (image.pixels.size() != pixels * static_cast<size_t>(image.channels)) abort();
  });
  return 0;
}
