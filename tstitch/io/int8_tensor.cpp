#include "tstitch/io/int8_tensor.h"

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string_view>

#include "tstitch/io/extents.h"
#include "tstitch/io/json.h"
#include "tstitch/io/refuse.h"

namespace tstitch {
namespace {

// ComfyUI says beside a module how its weight was made; turned weights want turned activations.
void check_form(const TensorFile& file, const std::string& name) {
  constexpr std::string_view kWeight = "weight";
  const std::string form = name.substr(0, name.size() - kWeight.size()) + "comfy_quant";
  if (!name.ends_with(kWeight) || !file.tensors().contains(form)) return;
  std::string text;
  file.read(form, [&](std::span<const std::byte> bytes) {
    text.assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  });
  const nlohmann::json said = parse_json(text, shown_path(file.path()) + ": \"" + printable(form) + "\"");
  const bool known = said.is_object() && said.value("format", nlohmann::json()) == "int8_tensorwise" &&
                     said.value("convrot", nlohmann::json(false)) == false;
  if (!known)
    refuse(file.path(), "MODEL_INT8", "tensor \"", printable(name), "\": its form is ", printable(text, 80),
           ", expected int8_tensorwise without convrot");
}

}  // namespace

std::string int8_scale_name(const std::string& name) { return name + "_scale"; }
std::string int8_factor_name(const std::string& name) { return name + "_factor"; }

std::optional<Int8Weight> load_int8(const TensorFile& file, const std::string& name, const Shape& expected) {
  const auto found = file.tensors().find(name);
  if (found == file.tensors().end() || found->second.dtype != DType::i8) return std::nullopt;
  const TensorInfo& info = found->second;
  if (!std::ranges::equal(info.shape, expected.extents()))
    refuse(file.path(), "MODEL_SHAPE", "tensor \"", printable(name), "\": shape ", extents_text(info.shape),
           ", expected ", expected);
  const auto scale = file.tensors().find(int8_scale_name(name));
  if (scale == file.tensors().end() || expected.rank() < 2)
    refuse(file.path(), "MODEL_INT8", "tensor \"", printable(name), "\": type I8 without scales in \"",
           printable(int8_scale_name(name)), "\"");
  check_form(file, name);

  const auto beside = [&](const std::string& other, int64_t extent) {
    const Shape column = {extent, 1}, row = {extent};
    const bool is_column = std::ranges::equal(file.tensors().at(other).shape, column.extents());
    const Tensor tensor = file.load(other, is_column ? column : row, DType::f32).reshape(row);
    for (int64_t i = 0; i < extent; ++i)
      if (const float value = tensor.data<float>()[i]; value < 0 || (value == 0 && other != scale->first))
        refuse(file.path(), "MODEL_INT8", "tensor \"", printable(other), "\": element ", i, " is ", value,
               ", expected a number above 0");
    return tensor;
  };
  Int8Weight weight{
      .values = Tensor(expected, DType::i8), .scales = beside(scale->first, expected[0]), .factors = {}};
  if (file.tensors().contains(int8_factor_name(name)))
    weight.factors = beside(int8_factor_name(name), expected[1]);
  file.read(name, [&](std::span<const std::byte> bytes) {
    std::memcpy(weight.values.bytes(), bytes.data(), bytes.size());
  });
  return weight;
}

}  // namespace tstitch
