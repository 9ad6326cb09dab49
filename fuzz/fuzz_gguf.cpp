// A whole GGUF file, and every tensor of what is accepted.
#include <algorithm>
#include <utility>
#include <vector>

#include "fuzz/expect_input_error.h"
#include "tstitch/io/gguf.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tstitch;
  const auto bytes = as_span(data, size);
  if (!is_gguf({reinterpret_cast<const char*>(data), size})) return 0;
  expect_input_error([&] {
    const TensorFile file = parse_gguf(bytes, "fuzz");
    // The tensors lie in the file, and no two in one place.
    std::vector<std::pair<const std::byte*, const std::byte*>> places;
    for (const auto& [name, info] : file.tensors()) {
      if (info.bytes.empty()) abort();
      places.emplace_back(info.bytes.data(), info.bytes.data() + info.bytes.size());
      if (info.shape.size() > Shape::kMaxRank) continue;
      for (const DType dtype : {DType::f32, DType::bf16})
        expect_input_error([&, &name = name, &info = info] { file.load(name, Shape(info.shape), dtype); });
    }
    std::ranges::sort(places);
    const std::byte* next = bytes.data();
    for (const auto& [begin, end] : places) {
      if (begin < next) abort();
      next = end;
    }
    if (next > bytes.data() + bytes.size()) abort();
  });
  return 0;
}
