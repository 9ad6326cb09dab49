// A whole PyTorch checkpoint.
#include "fuzz/repair_checksums.h"
#include "fuzz/torch_tensors.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  tstitch::read_everything(tstitch::as_span(data, size));
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  const size_t mutated = LLVMFuzzerMutate(data, size, max_size);
  if (seed % 16) tstitch::repair_checksums(data, mutated);
  return mutated;
}
