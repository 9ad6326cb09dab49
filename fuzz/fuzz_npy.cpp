#include "fuzz/expect_input_error.h"
#include "tstitch/io/npy.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, size_t size) {
  tstitch::expect_input_error([&] { tstitch::parse_npy(tstitch::as_span(data, size), "fuzz"); });
  return 0;
}
