// The tensors of a file of LoRAs: what is taken for a change of a weight must be one. A line of the input is
// a tensor, "NAME EXTENT EXTENT ...", or the metadata's "@KEY VALUE".
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "fuzz/expect_input_error.h"
#include "tstitch/base/hash.h"
#include "tstitch/nn/random_weights.h"
#include "tstitch/zoo/lora_forms.h"

namespace tstitch {
namespace {

constexpr int64_t kMostElements = 1 << 14;
constexpr size_t kMostTensors = 64;

// The numbers after the name, at most 12 of them, as many elements as the fuzzer has time for; else nothing.
std::vector<int64_t> extents_of(const std::string& text) {
  std::vector<int64_t> extents;
  std::istringstream words(text);
  int64_t elements = 1;
  for (int64_t extent; extents.size() < 12 && words >> extent; extents.push_back(extent)) {
    if (extent < 0 || extent > kMostElements) break;
    elements *= extent;
    if (elements > kMostElements) break;
  }
  return extents;
}

// From -1 to 1, the same for the same name.
std::vector<float> numbers_of(const std::string& name, size_t count) {
  const uint64_t seed = fnv1a(name.data(), name.size());
  std::vector<float> numbers(count);
  for (size_t i = 0; i < count; ++i)
    numbers[i] = static_cast<float>(std::sin(static_cast<double>(seed % 1000 + i)));
  return numbers;
}

void read_and_merge(const std::string& text) {
  static const auto backend = make_backend({.device = "reference", .dtype = "f32"});
  TensorFile::Tensors tensors;
  TensorFile::Metadata metadata;
  std::vector<std::vector<float>> stored;
  stored.reserve(kMostTensors);
  std::istringstream lines(text);
  for (std::string line; stored.size() < kMostTensors && std::getline(lines, line);) {
    const size_t space = std::min(line.find(' '), line.size());
    const std::string name = line.substr(0, space), rest = line.substr(space);
    if (name.starts_with('@')) {
      metadata[name.substr(1)] = rest;
      continue;
    }
    const std::vector<int64_t> shape = extents_of(rest);
    size_t elements = 1;
    for (const int64_t extent : shape) elements *= static_cast<size_t>(extent);
    stored.push_back(numbers_of(name, elements));
    tensors[name] = {.dtype_name = "F32",
                     .dtype = DType::f32,
                     .shape = shape,
                     .bytes = std::as_bytes(std::span(stored.back()))};
  }
  const LoraFile lora(TensorFile("fuzz", nullptr, std::move(tensors), std::move(metadata)));
  for (const LoraModule& module : lora.modules())
    for (const Shape& shape : {Shape({8}), Shape({8, 4}), Shape({8, 4, 3, 3})})
      for (const LoraTarget target : {LoraTarget::weight, LoraTarget::bias})
        expect_input_error([&] {
          if (target == LoraTarget::bias && shape.rank() > 1) return;  // there is none
          if (!changes(module, target) || !lora_obstacle(lora, module, target, shape).empty()) return;
          Tensor weight = random_uniform("weight", shape, 1, 7);
          add_lora(*backend, lora, module, target, 0.5, weight);
        });
}

}  // namespace
}  // namespace tstitch

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  tstitch::expect_input_error([&] { tstitch::read_and_merge({reinterpret_cast<const char*>(data), size}); });
  return 0;
}
