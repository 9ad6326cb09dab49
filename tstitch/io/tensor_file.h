#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tstitch/base/function_ref.h"
#include "tstitch/io/file.h"
#include "tstitch/tensor/block_type.h"
#include "tstitch/tensor/dtype.h"
#include "tstitch/tensor/shape.h"
#include "tstitch/tensor/tensor.h"

namespace tstitch {

// A part of a file of which the file states the CRC-32. Tensors may share one.
class ChecksummedBytes {
 public:
  ChecksummedBytes(std::span<const std::byte> bytes, uint32_t crc32) : bytes_(bytes), crc32_(crc32) {}
  bool intact() const;  // reads the bytes, once

 private:
  std::span<const std::byte> bytes_;
  uint32_t crc32_;
  mutable std::atomic<bool> known_intact_ = false;
};

// A tensor in a file: as many bytes as shape and type need, at any address.
struct TensorInfo {
  std::string dtype_name;      // of the safetensors format: "F32", "F8_E4M3"
  std::optional<DType> dtype;  // nothing for a legal type that we do not read
  std::vector<int64_t> shape;
  std::span<const std::byte> bytes;
  std::shared_ptr<const MappedFile> file = nullptr;  // that holds them; null when the caller keeps them alive
  // In elements, each >= 0, when the elements are not dense in row-major order; `bytes` then reach from the
  // first to the last of them.
  std::vector<int64_t> strides = {};
  std::shared_ptr<const ChecksummedBytes> record = {};  // what load() verifies; may be null
  const char* dtype_code = "ST_DTYPE_UNSUPPORTED";      // of the refusal when its type is not what we read
  const BlockType* blocks = nullptr;                    // how its elements lie when they are of no DType
  // What equal runs of elements in blocks are multiplied with, in row-major order; null: nothing. Of the
  // file.
  std::shared_ptr<const TensorInfo> scales = nullptr;
  // Of an 8-bit weight: what its inputs are multiplied with beside that (int8_tensor.h); null: nothing.
  std::shared_ptr<const TensorInfo> factors = nullptr;
  bool companion = false;  // only says how another tensor is read
};

// Whether TensorFile::load reads its elements.
bool is_readable(const TensorInfo& info);

// Named tensors and text of a checkpoint, whatever its format. Made by the readers (checkpoint.h),
// which have checked every size; the elements are read only by load().
class TensorFile {
 public:
  using Tensors = std::map<std::string, TensorInfo>;
  using Metadata = std::map<std::string, std::string>;

  // `file` holds the bytes of all tensors; null when the caller keeps them alive.
  TensorFile(std::string path, std::shared_ptr<const MappedFile> file, Tensors tensors, Metadata metadata);

  // Tensors of several files, the shards of one checkpoint.
  TensorFile(std::string path, Tensors tensors, Metadata metadata);

  const std::string& path() const { return path_; }
  const Tensors& tensors() const { return tensors_; }
  const Metadata& metadata() const { return metadata_; }

  // A contiguous host tensor with the elements converted to `dtype`, f32 or bf16 (rounded to nearest even);
  // of an 8-bit weight (int8_tensor.h) what it stands for.
  //
  // Throws Error{input} with the tensor's name when it is missing (and lists similar names), when its shape
  // is not `expected`, its type is none of F32, BF16, F16, F64 and those of blocks (block_type.h; I8 with
  // scales only), an element is NaN, infinite or too large for `dtype`, its bytes do not have the checksum
  // that the file states, or the file has changed since it was opened.
  Tensor load(const std::string& name, const Shape& expected, DType dtype) const;

  // The same into `to`, of as many elements in any shape, f32, bf16 or f16.
  void load_into(const std::string& name, Tensor& to) const;

  // Gives `take` the elements of one of the tensors as the file stores them, row-major. Throws Error{input}
  // when it is missing or the file has changed since it was opened, then also after `take` has seen the
  // bytes.
  void read(const std::string& name, FunctionRef<void(std::span<const std::byte>)> take) const;

 private:
  const TensorInfo& find(const std::string& name) const;
  std::string path_;
  Tensors tensors_;
  Metadata metadata_;
};

}  // namespace tstitch
