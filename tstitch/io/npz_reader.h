#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "tstitch/io/file.h"
#include "tstitch/io/npy.h"
#include "tstitch/io/zip_stream.h"
#include "tstitch/tensor/tensor.h"

namespace tstitch {

// One array of an archive, front to back.
class NpzArray {
 public:
  // where: for messages. Throws Error{input} with a code of read_npy or of ZipStream.
  NpzArray(ZipStream stream, std::string where);

  DType dtype() const { return header_.dtype; }  // u8, f16, f32 or f64
  const std::vector<int64_t>& shape() const { return header_.shape; }
  const std::string& where() const { return where_; }

  // Entries of the outermost dimension that are left, and the next `count` <= left() of them: (count, ...),
  // u8 as they are, else f32. Throws Error{input} NPY_NONFINITE for values that f32 does not hold.
  int64_t left() const { return left_; }
  Tensor next(int64_t count);
  // The whole array at once, with all the digits of an f64.
  std::vector<double> values();

 private:
  void read(std::span<std::byte> to);

  ZipStream stream_;
  std::string where_;
  std::vector<std::byte> ahead_;  // read with the header
  size_t ahead_taken_ = 0;
  NpyHeader header_;
  int64_t left_ = 0;
};

// An .npz archive as numpy.savez and savez_compressed write it: .npy files in a zip, stored or deflated,
// ZIP64.
class NpzFile {
 public:
  // Throws Error{input}: NPZ_FORMAT for what is no zip archive, else with a code of read_zip.
  explicit NpzFile(const std::string& path);

  const std::string& path() const { return file_->path(); }
  std::vector<std::string> names() const;  // without ".npy"
  bool has(const std::string& name) const;
  // Throws Error{input} NPZ_MISSING with the names that there are.
  NpzArray open(const std::string& name) const;

 private:
  std::shared_ptr<const MappedFile> file_;
  std::vector<ZipEntry> entries_;
};

}  // namespace tstitch
