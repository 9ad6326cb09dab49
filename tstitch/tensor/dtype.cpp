#include "tstitch/tensor/dtype.h"

#include <array>

namespace tstitch {
namespace {

struct Entry {
  DType dtype;
  std::string_view name;
  int64_t size;
};

constexpr std::array<Entry, 8> kDTypes = {{{DType::f32, "f32", 4},
                                           {DType::bf16, "bf16", 2},
                                           {DType::f16, "f16", 2},
                                           {DType::f64, "f64", 8},
                                           {DType::i64, "i64", 8},
                                           {DType::i32, "i32", 4},
                                           {DType::u8, "u8", 1},
                                           {DType::i8, "i8", 1}}};

const Entry& entry(DType dtype) { return kDTypes[static_cast<size_t>(dtype)]; }

}  // namespace

int64_t size_of(DType dtype) { return entry(dtype).size; }
std::string_view name_of(DType dtype) { return entry(dtype).name; }

std::optional<DType> parse_dtype(std::string_view name) {
  for (const Entry& e : kDTypes)
    if (e.name == name) return e.dtype;
  return std::nullopt;
}

}  // namespace tstitch
