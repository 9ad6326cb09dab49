#include "tstitch/io/npy.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <vector>

#include "tstitch/base/checked.h"
#include "tstitch/base/join.h"
#include "tstitch/io/convert.h"
#include "tstitch/io/extents.h"
#include "tstitch/io/file.h"
#include "tstitch/io/foreign_format.h"
#include "tstitch/io/refuse.h"
#include "tstitch/io/write_rows.h"

namespace tstitch {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr size_t kMaxHeaderBytes = 10'000;  // NumPy's own limit
constexpr const char* kExpected = ", expected '<f4', '<f8', '<f2' or '|u1'";

// The header is a Python dictionary. This reads the three entries it may have and nothing else of Python.
class HeaderReader {
 public:
  HeaderReader(std::string_view text, const std::string& where) : text_(text), where_(where) {}

  DType dtype = DType::f32;
  std::vector<int64_t> shape;

  void read() {
    bool has_dtype = false, has_order = false, has_shape = false;
    expect('{');
    while (!accept('}')) {
      const std::string_view key = quoted();
      expect(':');
      if (key == "descr") {
        read_dtype(has_dtype);
      } else if (key == "fortran_order") {
        read_order(has_order);
      } else if (key == "shape") {
        read_shape(has_shape);
      } else {
        refuse(where_, "NPY_HEADER", "the key '", printable(std::string(key), 40),
               "', expected 'descr', 'fortran_order' and 'shape'");
      }
      if (!accept(',') && !at('}')) bad("expected ',' or '}'");
    }
    if (!has_dtype || !has_order || !has_shape)
      refuse(where_, "NPY_HEADER", "no '",
             !has_dtype   ? "descr"
             : !has_order ? "fortran_order"
                          : "shape",
             "'");
    skip_spaces();
    if (text_.substr(at_) != "\n") bad("expected the end of the line");
  }

 private:
  [[noreturn]] void bad(const char* expected) const {
    refuse(where_, "NPY_HEADER", "header byte ", at_, ": found \"",
           printable(std::string(text_.substr(at_, 20))), "\", ", expected);
  }

  void once(bool& seen, const char* key) const {
    if (seen) refuse(where_, "NPY_HEADER", "'", key, "' twice");
    seen = true;
  }

  void skip_spaces() {
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
  }

  bool at(char c) {
    skip_spaces();
    return at_ < text_.size() && text_[at_] == c;
  }

  bool accept(char c) {
    if (!at(c)) return false;
    ++at_;
    return true;
  }

  void expect(char c) {
    const char text[] = {'e', 'x', 'p', 'e', 'c', 't', 'e', 'd', ' ', '\'', c, '\'', 0};
    if (!accept(c)) bad(text);
  }

  std::string_view quoted() {
    if (!at('\'') && !at('"')) bad("expected a string");
    const size_t begin = at_ + 1;
    const size_t end = text_.find(text_[at_], begin);
    if (end == text_.npos) bad("which does not end");
    at_ = end + 1;
    return text_.substr(begin, end - begin);
  }

  void read_dtype(bool& seen) {
    once(seen, "descr");
    if (at('[')) refuse(where_, "NPY_DTYPE", "a structured array", kExpected);
    const std::string_view name = quoted();
    if (name == "|u1") {
      dtype = DType::u8;
    } else if (name == "<f4") {
      dtype = DType::f32;
    } else if (name == "<f8") {
      dtype = DType::f64;
    } else if (name == "<f2") {
      dtype = DType::f16;
    } else if (name.find('O') != name.npos) {
      refuse(where_, "NPY_OBJECT",
             "Python objects, which only a program that runs code from the file could read", kExpected);
    } else {
      refuse(where_, "NPY_DTYPE", "elements of type '", printable(std::string(name), 40), "'", kExpected);
    }
  }

  void read_order(bool& seen) {
    once(seen, "fortran_order");
    skip_spaces();
    if (text_.substr(at_).starts_with("True"))
      refuse(where_, "NPY_FORTRAN", "in Fortran order; save it with numpy.ascontiguousarray");
    if (!text_.substr(at_).starts_with("False")) bad("expected True or False");
    at_ += 5;
  }

  void read_shape(bool& seen) {
    once(seen, "shape");
    expect('(');
    while (!accept(')')) {
      shape.push_back(extent());
      if (shape.size() > Shape::kMaxRank)
        refuse(where_, "NPY_SHAPE", "more than ", Shape::kMaxRank, " dimensions");
      // A tuple of one element is written (3,): (3) is a number.
      if (!accept(',') && (shape.size() == 1 || !at(')'))) bad("expected ',' or ')'");
    }
  }

  int64_t extent() {
    skip_spaces();
    int64_t value = -1;
    const char* end = text_.data() + text_.size();
    const auto [stop, error] = std::from_chars(text_.data() + at_, end, value);
    const bool number_ends = stop == end || *stop == ',' || *stop == ')' || *stop == ' ';
    if (error != std::errc{} || value < 0 || !number_ends) {
      const std::string_view found = text_.substr(at_, text_.find_first_of(",)", at_) - at_);
      refuse(where_, "NPY_SHAPE", "the extent ", printable(std::string(found), 40),
             ", expected integers 0 ... 2^63-1");
    }
    at_ = static_cast<size_t>(stop - text_.data());
    return value;
  }

  std::string_view text_;
  std::string where_;
  size_t at_ = 0;
};

// The text of the header; the data follows it.
std::string_view find_header(std::string_view file, const std::string& where) {
  if (!file.starts_with(kMagic)) {
    if (const ForeignFormat* format = recognise(std::as_bytes(std::span(file))))
      refuse(where, format->code, "not an .npy file but ", format->description);
    refuse(where, "NPY_HEADER", "not an .npy file: it does not begin with \\x93NUMPY");
  }
  const auto byte = [&](size_t i) { return i < file.size() ? static_cast<unsigned char>(file[i]) : 0u; };
  const unsigned major = byte(6), minor = byte(7);
  if (major < 1 || major > 3 || minor != 0)
    refuse(where, "NPY_HEADER", "version ", major, ".", minor, ", expected 1.0, 2.0 or 3.0");
  const size_t start = major == 1 ? 10 : 12;
  size_t length = byte(8) | byte(9) << 8;
  if (major > 1) length |= byte(10) << 16 | size_t{byte(11)} << 24;
  if (length > kMaxHeaderBytes)
    refuse(where, "NPY_HEADER", "a header of ", length, " bytes, expected at most ", kMaxHeaderBytes);
  if (file.size() < start || file.size() - start < length)
    refuse(where, "NPY_HEADER", "a header of ", length, " bytes, the file has only ", file.size(), " in all");
  return file.substr(start, length);
}

}  // namespace

NpyHeader parse_npy_header(std::span<const std::byte> bytes, const std::string& name) {
  const std::string_view file(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const std::string_view text = find_header(file, name);
  HeaderReader header(text, name);
  header.read();
  const std::optional<int64_t> elements = checked_elements(header.shape);
  const std::optional<int64_t> size = elements ? checked_mul(*elements, size_of(header.dtype)) : std::nullopt;
  if (!size) refuse(name, "NPY_SHAPE", "the shape ", extents_text(header.shape), " overflows");
  return {header.dtype, header.shape, *size, static_cast<size_t>(text.data() + text.size() - file.data())};
}

Tensor parse_npy(std::span<const std::byte> bytes, const std::string& name) {
  const NpyHeader header = parse_npy_header(bytes, name);
  if (!is_floating(header.dtype)) refuse(name, "NPY_DTYPE", "elements of type '|u1'", kExpected);
  const auto data = bytes.subspan(header.header_bytes);
  const auto found = static_cast<int64_t>(data.size());
  if (found != header.bytes)
    refuse(name, found < header.bytes ? "NPY_TRUNCATED" : "NPY_TRAILING", "shape ",
           extents_text(header.shape), " x ", name_of(header.dtype), " needs ", header.bytes,
           " bytes, the file has ", found);

  Tensor tensor(Shape(header.shape), DType::f32);
  if (const int64_t non_finite = convert_elements(data, header.dtype, tensor))
    refuse(name, "NPY_NONFINITE", non_finite, " of ", tensor.elements(),
           " elements are NaN, infinite or too large for f32");
  return tensor;
}

Tensor read_npy(const std::string& path) {
  const MappedFile file(path);
  return file.parsed([&](std::span<const std::byte> bytes) { return parse_npy(bytes, path); });
}

std::string npy_header(std::string_view descr, std::span<const int64_t> shape) {
  std::string extents = join(shape);
  if (shape.size() == 1) extents += ',';  // a Python tuple: (2,)
  std::string text = concat("{'descr': '", descr, "', 'fortran_order': False, 'shape': (", extents, "), }");
  constexpr size_t kPrefix = 10, kAlignment = 64;
  text.resize((kPrefix + text.size() + kAlignment) / kAlignment * kAlignment - kPrefix, ' ');
  text.back() = '\n';
  const char version_and_length[] = {1, 0, static_cast<char>(text.size()),
                                     static_cast<char>(text.size() >> 8)};
  return std::string(kMagic) + std::string(version_and_length, sizeof version_and_length) + text;
}

void write_npy(const std::string& path, const Tensor& tensor) {
  check_internal(tensor.dtype() == DType::f32, "an .npy file of ", name_of(tensor.dtype()));
  const std::string header = npy_header("<f4", tensor.shape().extents());
  AtomicFile file(path);
  file.write(std::as_bytes(std::span(header)));
  write_rows(file, tensor);
  file.commit();
}

}  // namespace tstitch
