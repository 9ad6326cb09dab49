#include "tstitch/io/safetensors.h"

#include <algorithm>
#include <cstring>
#include <tuple>
#include <utility>
#include <vector>

#include "tstitch/base/checked.h"
#include "tstitch/io/atomic_file.h"
#include "tstitch/io/extents.h"
#include "tstitch/io/foreign_format.h"
#include "tstitch/io/json_walk.h"
#include "tstitch/io/refuse.h"
#include "tstitch/io/weight_scales.h"
#include "tstitch/io/write_rows.h"

namespace tstitch {
namespace {

using nlohmann::json;

constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the format's own limit
constexpr size_t kMaxTensors = 1'000'000;
constexpr size_t kMaxRank = 64;
constexpr size_t kMaxNameBytes = 4096;
constexpr size_t kMaxMetadataBytes = 16 << 20;
constexpr const char* kMetadata = "__metadata__";

struct StoredType {
  std::string_view name;
  int bits;
  std::optional<DType> dtype;
};

// All types of the format, those that we only step over included.
constexpr StoredType kStoredTypes[] = {
    {"F32", 32, DType::f32}, {"BF16", 16, DType::bf16}, {"F16", 16, DType::f16},
    {"F64", 64, DType::f64}, {"I64", 64, DType::i64},   {"I32", 32, DType::i32},
    {"U8", 8, DType::u8},    {"BOOL", 8, {}},           {"I8", 8, DType::i8},
    {"I16", 16, {}},         {"U16", 16, {}},           {"U32", 32, {}},
    {"U64", 64, {}},         {"C64", 64, {}},           {"F8_E4M3", 8, {}},
    {"F8_E5M2", 8, {}},      {"F8_E8M0", 8, {}},        {"F8_E4M3FNUZ", 8, {}},
    {"F8_E5M2FNUZ", 8, {}},  {"F6_E2M3", 6, {}},        {"F6_E3M2", 6, {}},
    {"F4", 4, {}},
};

// Where the header puts a tensor, in bytes from the start of the data.
struct Span {
  int64_t begin, end;
  const std::string* name;
  TensorInfo* tensor;
};

// Reads the header token by token: a tree of 100 MB of JSON would take gigabytes.
class HeaderReader final : public JsonVisitor {
 public:
  explicit HeaderReader(const std::string& where)
      : JsonVisitor({.where = where,
                     .encoding_code = "ST_HEADER_UTF8",
                     .syntax_code = "ST_HEADER_JSON",
                     .unit = "header byte"}) {}

  TensorFile::Tensors tensors;
  TensorFile::Metadata metadata;
  std::vector<Span> spans;

  void begin(bool object) override {
    switch (place_) {
      case Place::outside:
        if (!object) refuse_here("ST_HEADER_JSON", "an array, expected an object");
        place_ = Place::top;
        break;
      case Place::top:
        begin_entry(object);
        break;
      case Place::metadata:
        refuse_metadata_value();
      case Place::entry:
        begin_field(object);
        break;
      case Place::shape:
      case Place::offsets:
        refuse_number(object ? "an object" : "an array");
      case Place::ignored:
        ++ignored_depth_;
        break;
    }
  }

  void end() override {
    switch (place_) {
      case Place::ignored:
        if (--ignored_depth_ == 0) place_ = Place::entry;
        break;
      case Place::offsets:
        if (offsets_.size() != 2) refuse_tensor("ST_OFFSETS", offsets_.size(), " data_offsets, expected 2");
        [[fallthrough]];
      case Place::shape:
        place_ = Place::entry;
        break;
      case Place::entry:
        finish_entry();
        [[fallthrough]];
      default:
        place_ = Place::top;
    }
  }

  void key(std::string& name) override {
    switch (place_) {
      case Place::top:
        key_top(name);
        break;
      case Place::metadata:
        metadata_bytes_ += name.size();
        if (metadata.contains(name))
          refuse_here("ST_DUPLICATE_KEY", kMetadata, " has \"", printable(name), "\" twice");
        break;
      case Place::entry:
        if (seen(name)) refuse_tensor("ST_DUPLICATE_KEY", "\"", printable(name), "\" twice");
        break;
      default:
        break;
    }
    key_ = std::move(name);
  }

  void scalar(json value) override {
    switch (place_) {
      case Place::outside:
        refuse_here("ST_HEADER_JSON", value.type_name(), ", expected an object");
      case Place::top:
        if (name_ != kMetadata) refuse_tensor("ST_ENTRY", value.type_name(), ", expected an object");
        if (!value.is_null())
          refuse_here("ST_METADATA", kMetadata, " is ", value.type_name(), ", expected an object");
        break;
      case Place::metadata:
        if (!value.is_string()) refuse_metadata_value();
        metadata_bytes_ += value.get_ref<std::string&>().size();
        if (metadata_bytes_ > kMaxMetadataBytes)
          refuse_here("ST_METADATA", "more than ", kMaxMetadataBytes, " bytes of metadata");
        metadata.emplace(key_, std::move(value.get_ref<std::string&>()));
        break;
      case Place::entry:
        scalar_field(value);
        break;
      case Place::shape:
      case Place::offsets:
        add_number(value);
        break;
      case Place::ignored:
        break;
    }
  }

 private:
  enum class Place { outside, top, metadata, entry, shape, offsets, ignored };

  template <class... Parts>
  [[noreturn]] void refuse_tensor(const char* code, const Parts&... parts) const {
    refuse_here(code, "tensor \"", printable(name_), "\": ", parts...);
  }

  [[noreturn]] void refuse_metadata_value() const {
    refuse_here("ST_METADATA", kMetadata, ": the value of \"", printable(key_), "\" is not a string");
  }

  [[noreturn]] void refuse_number(const std::string& found) const {
    const bool shape = place_ == Place::shape;
    refuse_tensor(shape ? "ST_SHAPE" : "ST_OFFSETS", shape ? "shape" : "data_offsets", " holds ",
                  printable(found, 40), ", expected integers 0 ... 2^63-1");
  }

  void key_top(const std::string& name) {
    if (name == kMetadata) {
      if (std::exchange(has_metadata_, true)) refuse_here("ST_DUPLICATE_KEY", kMetadata, " twice");
    } else {
      if (name.size() > kMaxNameBytes)
        refuse_here("ST_NAME", "a tensor name of ", name.size(), " bytes, expected at most ", kMaxNameBytes,
                    ": \"", printable(name), "\"");
      if (tensors.size() == kMaxTensors) refuse_here("RES_LIMIT", "more than ", kMaxTensors, " tensors");
      if (tensors.contains(name)) refuse_here("ST_DUPLICATE_KEY", "tensor \"", printable(name), "\" twice");
    }
    name_ = name;
  }

  void begin_entry(bool object) {
    if (name_ == kMetadata) {
      if (!object) refuse_here("ST_METADATA", kMetadata, " is an array, expected an object");
      place_ = Place::metadata;
      return;
    }
    if (!object) refuse_tensor("ST_ENTRY", "an array, expected an object");
    place_ = Place::entry;
    type_ = nullptr;
    has_shape_ = has_offsets_ = false;
    shape_.clear();
    offsets_.clear();
  }

  void begin_field(bool object) {
    if (key_ == "dtype") refuse_tensor("ST_DTYPE", "dtype is not a string");
    if (key_ == "shape") {
      if (object) refuse_tensor("ST_SHAPE", "shape is an object, expected an array");
      place_ = Place::shape;
      has_shape_ = true;
    } else if (key_ == "data_offsets") {
      if (object) refuse_tensor("ST_OFFSETS", "data_offsets is an object, expected an array");
      place_ = Place::offsets;
      has_offsets_ = true;
    } else {
      place_ = Place::ignored;
      ignored_depth_ = 1;
    }
  }

  bool seen(const std::string& field) const {
    return (field == "dtype" && type_) || (field == "shape" && has_shape_) ||
           (field == "data_offsets" && has_offsets_);
  }

  void scalar_field(json& value) {
    const bool known = key_ == "dtype" || key_ == "shape" || key_ == "data_offsets";
    if (!known) return;
    if (value.is_null()) refuse_tensor("ST_ENTRY", key_, " is null");
    if (key_ == "shape") refuse_tensor("ST_SHAPE", "shape is ", value.type_name(), ", expected an array");
    if (key_ == "data_offsets")
      refuse_tensor("ST_OFFSETS", "data_offsets is ", value.type_name(), ", expected an array");
    if (!value.is_string()) refuse_tensor("ST_DTYPE", "dtype is ", value.type_name(), ", expected a string");
    const auto& name = value.get_ref<std::string&>();
    type_ = std::ranges::find(kStoredTypes, name, &StoredType::name);
    if (type_ == std::end(kStoredTypes))
      refuse_tensor("ST_DTYPE", "unknown dtype \"", printable(name, 40), "\"");
  }

  void add_number(const json& value) {
    // Only integers without sign, fraction and exponent, up to 2^64-1, come as unsigned.
    if (!value.is_number_unsigned() || value.get<uint64_t>() > INT64_MAX)
      refuse_number(value.dump(-1, ' ', true));
    std::vector<int64_t>& numbers = place_ == Place::shape ? shape_ : offsets_;
    numbers.push_back(value.get<int64_t>());
    if (place_ == Place::shape && shape_.size() > kMaxRank)
      refuse_tensor("ST_SHAPE", "more than ", kMaxRank, " dimensions");
    if (place_ == Place::offsets && offsets_.size() > 2)
      refuse_tensor("ST_OFFSETS", "more than 2 data_offsets");
  }

  void finish_entry() {
    if (!type_) refuse_tensor("ST_ENTRY", "no dtype");
    if (!has_shape_) refuse_tensor("ST_ENTRY", "no shape");
    if (!has_offsets_) refuse_tensor("ST_ENTRY", "no data_offsets");
    const int64_t begin = offsets_[0], end = offsets_[1];
    if (begin > end) refuse_tensor("ST_OFFSETS", "data_offsets ", begin, " > ", end);

    const std::optional<int64_t> elements = checked_elements(shape_);
    const std::optional<int64_t> bits = elements ? checked_mul(*elements, type_->bits) : std::nullopt;
    if (!bits) refuse_tensor("ST_OVERFLOW", "shape ", extents_text(shape_), " x ", type_->name, " overflows");
    if (*bits % 8)
      refuse_tensor("ST_MISALIGNED", *elements, " x ", type_->name, " are no whole number of bytes");
    if (begin == end && *bits)
      refuse_tensor("ST_OFFSETS", "no bytes for the shape ", extents_text(shape_), ": data_offsets ", begin,
                    ", ", end);
    if (end - begin != *bits / 8)
      refuse_tensor("ST_SPAN_MISMATCH", "shape ", extents_text(shape_), " x ", type_->name, " needs ",
                    *bits / 8, " bytes, data_offsets give ", end - begin);

    const auto added = tensors.emplace(
        name_, TensorInfo{.dtype_name = std::string(type_->name),
                          .dtype = type_->dtype,
                          .shape = shape_,
                          .bytes = {},
                          .blocks = type_->name.starts_with("F8") ? find_block_type(type_->name) : nullptr});
    spans.push_back({begin, end, &added.first->first, &added.first->second});
  }

  Place place_ = Place::outside;
  int ignored_depth_ = 0;
  bool has_metadata_ = false;
  size_t metadata_bytes_ = 0;
  std::string key_;  // the last one
  // The entry being read:
  std::string name_;
  const StoredType* type_ = nullptr;
  bool has_shape_ = false, has_offsets_ = false;
  std::vector<int64_t> shape_, offsets_;
};

// Gives each tensor its bytes; the tensors must cover the data from its first to its last byte, once.
void place(std::vector<Span>& spans, std::span<const std::byte> data, const std::string& where) {
  // By name where begin and end are equal: empty tensors may share an offset.
  std::ranges::sort(spans, {}, [](const Span& s) { return std::tie(s.begin, s.end, *s.name); });
  const auto size = static_cast<int64_t>(data.size());
  int64_t next = 0;
  for (const Span& s : spans) {
    if (s.begin != next)
      refuse(where, s.begin < next ? "ST_OVERLAP" : "ST_HOLE", "tensor \"", printable(*s.name),
             "\": begins at byte ", s.begin, " of the data, expected ", next,
             ", where the tensor before it ends");
    next = s.end;
  }
  if (next > size)
    refuse(where, "ST_TRUNCATED", "the header describes ", next, " bytes of data, the file has ", size,
           ": an incomplete download?");
  if (next < size) refuse(where, "ST_TRAILING", size - next, " bytes after the last tensor");
  for (const Span& s : spans)
    s.tensor->bytes = data.subspan(static_cast<size_t>(s.begin), static_cast<size_t>(s.end - s.begin));
}

// Says what a file is that is no safetensors file at all; comes back when nothing is known about it.
void refuse_foreign(std::span<const std::byte> bytes, const std::string& where) {
  // A brace where the header begins: one of ours, though broken.
  if (bytes.size() > sizeof(uint64_t) && bytes[sizeof(uint64_t)] == std::byte{'{'}) return;
  if (const ForeignFormat* format = recognise(bytes))
    refuse(where, format->code, "not a safetensors file but ", format->description);
}

std::string_view find_header(std::span<const std::byte> bytes, const std::string& where) {
  uint64_t length = 0;
  if (bytes.size() < sizeof length) {
    refuse_foreign(bytes, where);
    refuse(where, "ST_TOO_SMALL", bytes.size(), " bytes, a safetensors file has at least ", sizeof length);
  }
  std::memcpy(&length, bytes.data(), sizeof length);
  const uint64_t rest = bytes.size() - sizeof length;
  if (length == 0 || length > rest) {
    refuse_foreign(bytes, where);
    refuse(where, "ST_HEADER_LEN", "the first 8 bytes announce a header of ", length, " bytes, the file has ",
           rest, " after them");
  }
  if (length > kMaxHeaderBytes)
    refuse(where, "ST_HEADER_TOO_LARGE", "a header of ", length, " bytes, the format allows ",
           kMaxHeaderBytes);

  const auto* text = reinterpret_cast<const char*>(bytes.data()) + sizeof length;
  const std::string_view header(text, static_cast<size_t>(length));
  const size_t start = header.find_first_not_of(" \t\r\n");
  if (start == header.npos || header[start] != '{') refuse_foreign(bytes, where);
  return header;
}

// Whether scales and what they belong to lie in one file.
enum class Extent { checkpoint, shard };

TensorFile parse(std::span<const std::byte> bytes, const std::string& where,
                 std::shared_ptr<const MappedFile> file, Extent extent = Extent::checkpoint) {
  const std::string_view header = find_header(bytes, where);
  HeaderReader reader(where);
  reader.walk(header);
  place(reader.spans, bytes.subspan(sizeof(uint64_t) + header.size()), where);
  if (extent == Extent::checkpoint) {
    attach_scales(reader.tensors, where);
    check_quantization_metadata(reader.tensors, reader.metadata, where);
  }
  return TensorFile(where, std::move(file), std::move(reader.tensors), std::move(reader.metadata));
}

}  // namespace

std::string_view stored_name(DType dtype) {
  return std::ranges::find(kStoredTypes, std::optional(dtype), &StoredType::dtype)->name;
}

bool is_stored_type(std::string_view name) {
  return std::ranges::find(kStoredTypes, name, &StoredType::name) != std::end(kStoredTypes);
}

TensorFile read_safetensors(std::shared_ptr<const MappedFile> file) {
  return file->parsed([&](std::span<const std::byte> bytes) { return parse(bytes, file->path(), file); });
}

TensorFile read_safetensors_shard(std::shared_ptr<const MappedFile> file) {
  return file->parsed(
      [&](std::span<const std::byte> bytes) { return parse(bytes, file->path(), file, Extent::shard); });
}

TensorFile read_safetensors(const std::string& path) {
  return read_safetensors(std::make_shared<const MappedFile>(path));
}

TensorFile parse_safetensors(std::span<const std::byte> bytes, const std::string& name) {
  return parse(bytes, name, nullptr);
}

bool write_safetensors(const std::string& path, const std::map<std::string, TensorHeader>& tensors,
                       const std::map<std::string, std::string>& metadata, WriteElements write_elements) {
  struct Entry {
    const std::string* name;
    const TensorHeader* header;
    const StoredType* type;
  };
  std::vector<Entry> ordered;
  ordered.reserve(tensors.size());
  for (const auto& [name, header] : tensors) {
    check_internal(name != kMetadata, "a tensor named ", kMetadata);
    ordered.push_back(
        {&name, &header, std::ranges::find(kStoredTypes, header.dtype_name, &StoredType::name)});
    check_internal(ordered.back().type != std::end(kStoredTypes), "a tensor of type ", header.dtype_name);
  }
  std::ranges::stable_sort(ordered, std::ranges::greater{}, [](const Entry& e) { return e.type->bits; });

  // Text by text, not as one JSON object, which would order the entries by name.
  const auto quoted = [](const std::string& text) { return json(text).dump(); };
  std::string header = "{";
  if (!metadata.empty()) header += quoted(kMetadata) + ":" + json(metadata).dump();
  std::vector<int64_t> ends;  // of each tensor, from the start of the data
  for (const Entry& e : ordered) {
    const int64_t begin = ends.empty() ? 0 : ends.back();
    ends.push_back(begin + *checked_elements(e.header->shape) * e.type->bits / 8);
    header += concat(header.size() > 1 ? "," : "", quoted(*e.name), ":{\"dtype\":\"", e.type->name,
                     "\",\"shape\":", json(e.header->shape).dump(), ",\"data_offsets\":[", begin, ",",
                     ends.back(), "]}");
  }
  header += "}";
  header.resize((header.size() + 7) / 8 * 8, ' ');  // the data is aligned to 8 bytes

  AtomicFile file(path);
  const uint64_t length = header.size();
  file.write(std::as_bytes(std::span(&length, 1)));
  file.write(std::as_bytes(std::span(header)));
  const int64_t data = file.size();
  for (size_t i = 0; i < ordered.size(); ++i) {
    if (!write_elements(*ordered[i].name, file)) return false;
    check_internal(file.size() - data == ends[i], "tensor ", *ordered[i].name, " ends at byte ",
                   file.size() - data, " instead of ", ends[i]);
  }
  file.commit();
  return true;
}

void write_safetensors(const std::string& path, const std::map<std::string, Tensor>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  std::map<std::string, TensorHeader> headers;
  for (const auto& [name, tensor] : tensors) {
    const auto extents = tensor.shape().extents();
    headers[name] = {std::string(stored_name(tensor.dtype())), {extents.begin(), extents.end()}};
  }
  write_safetensors(path, headers, metadata, [&](const std::string& name, AtomicFile& file) {
    write_rows(file, tensors.at(name));
    return true;
  });
}

}  // namespace tstitch
