#include "tstitch/zoo/convert_int8.h"

#include <map>
#include <utility>

#include "tstitch/io/int8_tensor.h"
#include "tstitch/io/refuse.h"
#include "tstitch/io/safetensors.h"
#include "tstitch/zoo/naming_file.h"

namespace tstitch {
namespace {

// Keeps of every weight that is asked for in 8 bits what lies beside it, by its names in the file.
class BodyRecorder final : public WeightSource {
 public:
  explicit BodyRecorder(const WeightSource& weights) : weights_(weights) {}

  std::optional<Shape> shape(const std::string& name) const override { return weights_.shape(name); }
  Tensor load(const std::string& name, const Shape& expected, DType dtype) const override {
    return weights_.load(name, expected, dtype);
  }
  Int8Weight load_int8(const std::string& name, const Shape& expected, const Tensor& sizes) const override {
    Int8Weight weight = weights_.load_int8(name, expected, sizes);
    const std::vector<std::string> names = weights_.stored_names(name);
    const int64_t rows = weight.scales.elements() / std::ssize(names);
    for (int64_t i = 0; i < std::ssize(names); ++i)
      body_[names[static_cast<size_t>(i)]] = {
          .values = {}, .scales = weight.scales.slice(i * rows, (i + 1) * rows), .factors = weight.factors};
    return weight;
  }

  const std::map<std::string, Int8Weight>& body() const { return body_; }  // without values

 private:
  const WeightSource& weights_;
  mutable std::map<std::string, Int8Weight> body_;
};

std::span<const std::byte> bytes_of(const Tensor& tensor) {
  return {tensor.bytes(), static_cast<size_t>(tensor.elements() * size_of(tensor.dtype()))};
}

}  // namespace

bool convert_to_int8(const ModelInfo& model, const TensorFile& from, const std::string& to,
                     FunctionRef<bool()> proceed) {
  // What lies beside weights of F8 says of them what would not be so of I8, and types of GGUF have no name
  // there.
  for (const auto& [name, info] : from.tensors())
    if ((info.blocks && info.dtype != DType::i8) || !is_stored_type(info.dtype_name))
      refuse(from.path(), "ST_DTYPE_UNSUPPORTED", "tensor \"", printable(name), "\": type ", info.dtype_name,
             " does not become int8: convert the file to bf16 first");
  const auto weights = model.architecture->weights(from);
  const BodyRecorder recorder(*weights);
  naming_file(from.path(), [&] {
    const auto backend = make_backend({.device = "cpu", .dtype = "int8"});
    return model.architecture->load(*backend, recorder);
  });

  std::map<std::string, TensorHeader> headers;
  std::map<std::string, Tensor> beside;
  for (const auto& [name, info] : from.tensors()) headers[name] = {info.dtype_name, info.shape};
  for (const auto& [name, weight] : recorder.body()) {
    if (from.tensors().at(name).dtype == DType::i8) continue;
    headers[name].dtype_name = stored_name(DType::i8);
    beside[int8_scale_name(name)] = weight.scales;
    if (weight.factors) beside[int8_factor_name(name)] = weight.factors;
  }
  for (const auto& [name, tensor] : beside)
    headers[name] = {std::string(stored_name(DType::f32)), {tensor.elements()}};

  return write_safetensors(to, headers, from.metadata(), [&](const std::string& name, AtomicFile& file) {
    if (const auto found = beside.find(name); found != beside.end()) {
      file.write(bytes_of(found->second));
    } else if (const TensorInfo& info = from.tensors().at(name);
               headers.at(name).dtype_name == info.dtype_name) {
      from.read(name, [&](std::span<const std::byte> bytes) { file.write(bytes); });
    } else {
      const Tensor w = from.load(name, Shape(info.shape), DType::f32);
      file.write(bytes_of(quantize(w, recorder.body().at(name).factors).values));
    }
    return proceed();
  });
}

}  // namespace tstitch
