#include "tstitch/io/int8_tensor.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "tstitch/io/convert.h"
#include "tstitch/io/extents.h"
#include "tstitch/io/refuse.h"

namespace tstitch {
namespace {

// What lies beside the weight `name`: `extent` numbers, or one for all of them.
Tensor beside(const TensorFile& file, const std::string& name, const TensorInfo& info, int64_t extent,
              bool positive) {
  Tensor stored({*checked_elements(info.shape)}, DType::f32);
  convert_elements(info.bytes, *info.dtype, stored);
  Tensor all({extent}, DType::f32);
  for (int64_t i = 0; i < extent; ++i) {
    const float value = all.data<float>()[i] = stored.data<float>()[stored.elements() == 1 ? 0 : i];
    if (!std::isfinite(value) || (positive && value <= 0))
      refuse(file.path(), "MODEL_INT8", "tensor \"", printable(name), "\": ", positive ? "factor " : "scale ",
             i, " is ", value, ", expected a finite number", positive ? " above 0" : "");
  }
  return all;
}

}  // namespace

std::string int8_scale_name(const std::string& name) { return name + "_scale"; }
std::string int8_factor_name(const std::string& name) { return name + "_factor"; }

std::optional<Int8Weight> load_int8(const TensorFile& file, const std::string& name, const Shape& expected) {
  const auto found = file.tensors().find(name);
  if (found == file.tensors().end() || found->second.dtype_name != "I8" || !found->second.scales)
    return std::nullopt;
  const TensorInfo& info = found->second;
  if (!std::ranges::equal(info.shape, expected.extents()))
    refuse(file.path(), "MODEL_SHAPE", "tensor \"", printable(name), "\": shape ", extents_text(info.shape),
           ", expected ", expected);
  const int64_t scales = *checked_elements(info.scales->shape);
  if (expected.rank() < 2 || (scales != 1 && scales != expected[0])) return std::nullopt;

  Int8Weight weight{.values = Tensor(expected, DType::i8), .scales = {}, .factors = {}};
  file.read(name, [&](std::span<const std::byte> bytes) {
    std::memcpy(weight.values.bytes(), bytes.data(), bytes.size());
    weight.scales = beside(file, name, *info.scales, expected[0], false);
    if (info.factors) weight.factors = beside(file, name, *info.factors, expected[1], true);
  });
  return weight;
}

}  // namespace tstitch
