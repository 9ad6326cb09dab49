#include "tstitch/io/tensor_file.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "tstitch/base/crc32.h"
#include "tstitch/io/convert.h"
#include "tstitch/io/extents.h"
#include "tstitch/io/int8_tensor.h"
#include "tstitch/io/refuse.h"

namespace tstitch {
namespace {

// How much of the two names agrees at their beginning and end. Linear, for files with very many names; finds
// the usual causes, a foreign prefix ("model.") or a suffix (".weight_ema").
size_t similarity(const std::string& a, const std::string& b) {
  const size_t shorter = std::min(a.size(), b.size());
  const auto start =
      static_cast<size_t>(std::mismatch(a.begin(), a.begin() + shorter, b.begin()).first - a.begin());
  const auto end =
      static_cast<size_t>(std::mismatch(a.rbegin(), a.rbegin() + shorter, b.rbegin()).first - a.rbegin());
  return std::min(start + end, shorter);
}

std::string similar_names(const std::string& name, const TensorFile::Tensors& tensors) {
  std::vector<std::pair<size_t, const std::string*>> ranked;
  for (const auto& [other, info] : tensors) ranked.emplace_back(similarity(name, other), &other);
  const size_t shown = std::min<size_t>(3, ranked.size());
  std::ranges::partial_sort(ranked, ranked.begin() + shown, std::ranges::greater{},
                            &decltype(ranked)::value_type::first);
  std::string text;
  for (size_t i = 0; i < shown; ++i) text += (i ? ", \"" : "\"") + printable(*ranked[i].second, 80) + "\"";
  return text;
}

// The elements of a tensor with strides, in row-major order.
std::vector<std::byte> dense_elements(const TensorInfo& info) {
  const auto size = static_cast<size_t>(size_of(*info.dtype));
  const size_t rank = info.shape.size();
  const auto elements = static_cast<size_t>(*checked_elements(info.shape));
  std::vector<std::byte> dense(elements * size);
  std::vector<int64_t> index(rank);
  int64_t from = 0;
  for (size_t i = 0; i < elements; ++i) {
    std::memcpy(dense.data() + i * size, info.bytes.data() + static_cast<size_t>(from) * size, size);
    for (size_t axis = rank; axis-- > 0; index[axis] = 0) {
      from += info.strides[axis];
      if (++index[axis] < info.shape[axis]) break;
      from -= info.strides[axis] * info.shape[axis];
    }
  }
  return dense;
}

std::vector<float> scales_of(const TensorInfo& info) {
  if (!info.scales) return {};
  Tensor scales({*checked_elements(info.scales->shape)}, DType::f32);
  convert_elements(info.scales->bytes, *info.scales->dtype, scales);
  return {scales.data<float>(), scales.data<float>() + scales.elements()};
}

std::span<const std::byte> bytes_of(const Tensor& tensor) {
  return {tensor.bytes(), static_cast<size_t>(tensor.elements() * size_of(tensor.dtype()))};
}

void expect_readable(const std::string& path, const std::string& name, const TensorInfo& info) {
  if (!is_readable(info))
    refuse(path, info.dtype_code, "tensor \"", printable(name), "\": type ", info.dtype_name,
           ", expected F32, BF16, F16, F64, F8_E4M3 or F8_E5M2");
}

}  // namespace

bool is_readable(const TensorInfo& info) { return info.blocks || (info.dtype && is_floating(*info.dtype)); }

bool ChecksummedBytes::intact() const {
  if (known_intact_) return true;
  return known_intact_ = crc32(bytes_) == crc32_;
}

TensorFile::TensorFile(std::string path, Tensors tensors, Metadata metadata)
    : path_(std::move(path)), tensors_(std::move(tensors)), metadata_(std::move(metadata)) {}

TensorFile::TensorFile(std::string path, std::shared_ptr<const MappedFile> file, Tensors tensors,
                       Metadata metadata)
    : TensorFile(std::move(path), std::move(tensors), std::move(metadata)) {
  for (auto& [name, tensor] : tensors_) tensor.file = file;
}

const TensorInfo& TensorFile::find(const std::string& name) const {
  const auto found = tensors_.find(name);
  if (found != tensors_.end()) return found->second;
  if (tensors_.empty())
    refuse(path_, "MODEL_EMPTY", "no tensors, expected \"", printable(name), "\" among others");
  refuse(path_, "MODEL_MISSING", "no tensor \"", printable(name), "\"; the most similar of ", tensors_.size(),
         " names: ", similar_names(name, tensors_));
}

void TensorFile::read(const std::string& name, FunctionRef<void(std::span<const std::byte>)> take) const {
  const TensorInfo& info = find(name);
  const auto give = [&](std::span<const std::byte>) {
    if (info.record && !info.record->intact())
      refuse(path_, "ZIP_CRC", "tensor \"", printable(name),
             "\": its bytes do not have the CRC-32 that the archive states: a damaged file");
    if (info.strides.empty())
      take(info.bytes);
    else
      take(dense_elements(info));
  };
  if (!info.file) return give({});
  info.file->verify_unchanged();  // before too: not every program survives reading what was cut off
  info.file->parsed(give);
  info.file->release(info.bytes);
}

Tensor TensorFile::load(const std::string& name, const Shape& expected, DType dtype) const {
  check_internal(dtype == DType::f32 || dtype == DType::bf16, "weights asked for as ", name_of(dtype));
  const TensorInfo& info = find(name);
  expect_readable(path_, name, info);
  if (!std::ranges::equal(info.shape, expected.extents()))
    refuse(path_, "MODEL_SHAPE", "tensor \"", printable(name), "\": shape ", extents_text(info.shape),
           ", expected ", expected);

  Tensor tensor(expected, dtype);
  load_into(name, tensor);
  return tensor;
}

void TensorFile::load_into(const std::string& name, Tensor& to) const {
  const TensorInfo& info = find(name);
  expect_readable(path_, name, info);
  int64_t non_finite = 0;
  if (info.factors) {
    const Tensor values = dequantize(*load_int8(*this, name, Shape(info.shape)));
    non_finite = convert_elements(bytes_of(values), DType::f32, to);
  } else {
    read(name, [&](std::span<const std::byte> bytes) {
      non_finite = info.blocks ? convert_blocks(bytes, *info.blocks, scales_of(info), to)
                               : convert_elements(bytes, *info.dtype, to);
    });
  }
  if (non_finite)
    refuse(path_, "MODEL_NONFINITE", "tensor \"", printable(name), "\": ", non_finite, " of ", to.elements(),
           " elements are NaN, infinite or too large for ", name_of(to.dtype()));
}

}  // namespace tstitch
