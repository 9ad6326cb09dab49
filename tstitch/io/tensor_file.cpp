#include "tstitch/io/tensor_file.h"

#include <algorithm>
#include <utility>

#include "tstitch/io/convert.h"
#include "tstitch/io/extents.h"
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

}  // namespace

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
  // Before, because a page beyond the end of a shortened file cannot be touched; after, because what was
  // copied may be half of the old file and half of the new one.
  if (info.file) info.file->verify_unchanged();
  take(info.bytes);
  if (info.file) {
    info.file->verify_unchanged();
    info.file->release(info.bytes);
  }
}

Tensor TensorFile::load(const std::string& name, const Shape& expected, DType dtype) const {
  check_internal(dtype == DType::f32 || dtype == DType::bf16, "weights asked for as ", name_of(dtype));
  const TensorInfo& info = find(name);
  if (!std::ranges::equal(info.shape, expected.extents()))
    refuse(path_, "MODEL_SHAPE", "tensor \"", printable(name), "\": shape ", extents_text(info.shape),
           ", expected ", to_string(expected));
  if (!info.dtype || !is_floating(*info.dtype))
    refuse(path_, "ST_DTYPE_UNSUPPORTED", "tensor \"", printable(name), "\": type ", info.dtype_name,
           ", expected F32, BF16, F16 or F64");

  Tensor tensor(expected, dtype);
  int64_t non_finite = 0;
  read(name,
       [&](std::span<const std::byte> bytes) { non_finite = convert_elements(bytes, *info.dtype, tensor); });
  if (non_finite)
    refuse(path_, "MODEL_NONFINITE", "tensor \"", printable(name), "\": ", non_finite, " of ",
           tensor.elements(), " elements are NaN, infinite or too large for ", name_of(dtype));
  return tensor;
}

}  // namespace tstitch
