#include "tstitch/io/npz_reader.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string_view>
#include <utility>

#include "tstitch/base/join.h"
#include "tstitch/io/convert.h"
#include "tstitch/io/extents.h"
#include "tstitch/io/foreign_format.h"
#include "tstitch/io/refuse.h"

namespace tstitch {
namespace {

constexpr std::string_view kSuffix = ".npy";

}  // namespace

NpzArray::NpzArray(ZipStream stream, std::string where)
    : stream_(std::move(stream)), where_(std::move(where)) {
  const uint64_t size = stream_.left();
  ahead_.resize(static_cast<size_t>(std::min<uint64_t>(size, kMaxNpyHeaderBytes)));
  stream_.read(ahead_);
  header_ = parse_npy_header(ahead_, where_);
  ahead_taken_ = header_.header_bytes;
  const uint64_t found = size - header_.header_bytes;
  if (found != static_cast<uint64_t>(header_.bytes))
    refuse(where_, found < static_cast<uint64_t>(header_.bytes) ? "NPY_TRUNCATED" : "NPY_TRAILING", "shape ",
           extents_text(header_.shape), " x ", name_of(header_.dtype), " needs ", header_.bytes,
           " bytes, the archive has ", found);
  left_ = header_.shape.empty() ? 1 : header_.shape[0];
}

void NpzArray::read(std::span<std::byte> to) {
  const size_t there = std::min(to.size(), ahead_.size() - ahead_taken_);
  std::copy_n(ahead_.begin() + static_cast<std::ptrdiff_t>(ahead_taken_), there, to.begin());
  ahead_taken_ += there;
  if (there < to.size()) stream_.read(to.subspan(there));
}

Tensor NpzArray::next(int64_t count) {
  check_internal(0 <= count && count <= left_, count, " of ", left_, " entries");
  if (header_.shape.size() > Shape::kMaxRank)
    refuse(where_, "NPY_SHAPE", "more than ", Shape::kMaxRank, " dimensions");
  std::vector<int64_t> shape = header_.shape.empty() ? std::vector<int64_t>{1} : header_.shape;
  shape[0] = count;
  Tensor tensor(Shape(shape), header_.dtype == DType::u8 ? DType::u8 : DType::f32);
  const auto size = static_cast<size_t>(tensor.elements() * size_of(header_.dtype));
  left_ -= count;
  if (header_.dtype == DType::u8) {
    read({tensor.bytes(), size});
    return tensor;
  }
  std::vector<std::byte> bytes(size);
  read(bytes);
  if (const int64_t non_finite = convert_elements(bytes, header_.dtype, tensor))
    refuse(where_, "NPY_NONFINITE", non_finite, " of ", tensor.elements(),
           " elements are NaN, infinite or too large for f32");
  return tensor;
}

std::vector<double> NpzArray::values() {
  std::vector<double> values;
  if (header_.dtype == DType::f64) {
    static_assert(std::endian::native == std::endian::little);
    values.resize(static_cast<size_t>(header_.bytes) / sizeof(double));
    read(std::as_writable_bytes(std::span(values)));
    left_ = 0;
    return values;
  }
  const Tensor narrow = next(left_);
  values.reserve(static_cast<size_t>(narrow.elements()));
  for (int64_t i = 0; i < narrow.elements(); ++i)
    values.push_back(narrow.dtype() == DType::u8 ? narrow.data<uint8_t>()[i] : narrow.data<float>()[i]);
  return values;
}

NpzFile::NpzFile(const std::string& path) : file_(std::make_shared<MappedFile>(path)) {
  const std::string_view start(reinterpret_cast<const char*>(file_->bytes().data()),
                               std::min<size_t>(file_->bytes().size(), 4));
  if (start != "PK\3\4" && start != "PK\5\6") {
    if (const ForeignFormat* format = recognise(file_->bytes()))
      refuse(path, format->code, "not an .npz archive but ", format->description);
    refuse(path, "NPZ_FORMAT", "not an .npz archive: it does not begin as a zip archive does");
  }
  entries_ = file_->parsed([&](std::span<const std::byte> bytes) {
    return read_zip(bytes, path, ZipMethods::stored_or_deflated);
  });
}

std::vector<std::string> NpzFile::names() const {
  std::vector<std::string> names;
  for (const ZipEntry& entry : entries_)
    if (entry.name.ends_with(kSuffix))
      names.emplace_back(entry.name.substr(0, entry.name.size() - kSuffix.size()));
  return names;
}

bool NpzFile::has(const std::string& name) const {
  return find_entry(entries_, name + std::string(kSuffix)) != nullptr;
}

NpzArray NpzFile::open(const std::string& name) const {
  const ZipEntry* entry = find_entry(entries_, name + std::string(kSuffix));
  if (!entry) {
    const std::string found =
        join(names(), ", ", [](const std::string& other) { return printable(other, 40); });
    refuse(path(), "NPZ_MISSING", "no array \"", printable(name), "\"; there ",
           found.empty() ? "are none" : "are: ", printable(found, 200));
  }
  const std::string where = path() + ": array \"" + printable(name) + "\"";
  return NpzArray(ZipStream(file_, *entry, where), where);
}

}  // namespace tstitch
