// Our use of libpng. Its checksums keep most changes out; the seeds make up for some of it.
#include "fuzz/expect_input_error.h"
#include "tstitch/io/png.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, size_t size) {
  using namespace tstitch;
  expect_input_error([&] {
    const Image image = decode_png(as_span(data, size), "fuzz");
    if (decode_png(encode_png(image, {}), "again").pixels != image.pixels) abort();
  });
  return 0;
}
