// The header of a safetensors file, and every tensor of the files that are accepted.
#include <algorithm>
#include <cstdint>
#include <cstring>

#include "fuzz/expect_input_error.h"
#include "tstitch/io/safetensors.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tstitch;
  expect_input_error([&] {
    const TensorFile file = parse_safetensors(as_span(data, size), "fuzz");
    size_t covered = 0;
    for (const auto& [name, info] : file.tensors()) {
      covered += info.bytes.size();
      if (info.shape.size() > Shape::kMaxRank) continue;
      for (const DType dtype : {DType::f32, DType::bf16})
        expect_input_error([&, &name = name, &info = info] { file.load(name, Shape(info.shape), dtype); });
    }
    // The tensors cover all but the header, whose length the first bytes give.
    uint64_t header = 0;
    std::memcpy(&header, data, sizeof header);
    if (sizeof header + header + covered != size) abort();
  });
  return 0;
}

// Most changes alter the length of the header; without the right length in front of it they would all be
// refused for the same reason.
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  const size_t mutated = LLVMFuzzerMutate(data, size, max_size);
  if (mutated < sizeof(uint64_t) || seed % 8 == 0) return mutated;
  const auto* brace = std::find(std::make_reverse_iterator(data + mutated),
                                std::make_reverse_iterator(data + sizeof(uint64_t)), '}')
                          .base();
  const uint64_t length = static_cast<uint64_t>(brace - data) - sizeof(uint64_t);
  std::memcpy(data, &length, sizeof length);
  return mutated;
}
