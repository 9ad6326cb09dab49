#include "tstitch/io/gguf.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "tstitch/base/checked.h"
#include "tstitch/base/utf8.h"
#include "tstitch/io/extents.h"
#include "tstitch/io/refuse.h"

namespace tstitch {
namespace {

constexpr std::string_view kMagic = "GGUF", kAlignmentKey = "general.alignment",
                           kShapeKey = "comfy.gguf.orig_shape.";
constexpr uint32_t kVersion = 3;
constexpr int64_t kAlignment = 32, kMostAlignment = 1 << 16;
constexpr uint64_t kMost = 1'000'000, kMostKeyBytes = 65535, kMostNameBytes = 256;
constexpr size_t kMostMetadataBytes = 16 << 20;
constexpr size_t kMostWrittenName = 127;  // of GGML_MAX_NAME as stable-diffusion.cpp sets it
constexpr uint32_t kMostDimensions = 4;
constexpr size_t kMostOriginalDimensions = 5;
constexpr int64_t kRow = 256;  // of what is not stored in its own shape
// The smallest records: a name and a key of one byte.
constexpr uint64_t kLeastTensorBytes = 33, kLeastKeyBytes = 14;

// The types of ggml (ggml.h, enum ggml_type), by number.
struct Type {
  uint32_t number;
  std::string_view name;
  std::optional<DType> dtype = {};
  int64_t bytes = 0;  // of an element of what has no blocks; 0: of none that we read
};
constexpr Type kTypes[] = {
    {0, "F32", DType::f32, 4},
    {1, "F16", DType::f16, 2},
    {30, "BF16", DType::bf16, 2},
    {28, "F64", DType::f64, 8},
    {27, "I64", DType::i64, 8},
    {26, "I32", DType::i32, 4},
    {25, "I16", {}, 2},
    {24, "I8", {}, 1},
    {8, "Q8_0"},
    {2, "Q4_0"},
    {3, "Q4_1"},
    {6, "Q5_0"},
    {7, "Q5_1"},
    {10, "Q2_K"},
    {11, "Q3_K"},
    {12, "Q4_K"},
    {13, "Q5_K"},
    {14, "Q6_K"},
    // Known by name only.
    {4, "Q4_2"},
    {5, "Q4_3"},
    {9, "Q8_1"},
    {15, "Q8_K"},
    {16, "IQ2_XXS"},
    {17, "IQ2_XS"},
    {18, "IQ3_XXS"},
    {19, "IQ1_S"},
    {20, "IQ4_NL"},
    {21, "IQ3_S"},
    {22, "IQ2_S"},
    {23, "IQ4_XS"},
    {29, "IQ1_M"},
    {31, "Q4_0_4_4"},
    {32, "Q4_0_4_8"},
    {33, "Q4_0_8_8"},
    {34, "TQ1_0"},
    {35, "TQ2_0"},
    {36, "IQ4_NL_4_4"},
    {37, "IQ4_NL_4_8"},
    {38, "IQ4_NL_8_8"},
    {39, "MXFP4"},
    {40, "NVFP4"},
};

// Of a type that is read: its blocks, if it is stored in blocks.
const BlockType* blocks_of(const Type& type) { return type.bytes ? nullptr : find_block_type(type.name); }
bool is_read(const Type& type) { return type.bytes || blocks_of(type); }

const Type* find_type(std::string_view name) {
  const auto* type = std::ranges::find(kTypes, name, &Type::name);
  return type != std::end(kTypes) && is_read(*type) ? type : nullptr;
}

// Of as many elements; nothing when they are too many.
std::optional<int64_t> bytes_of(const Type& type, int64_t elements) {
  const BlockType* blocks = blocks_of(type);
  return blocks ? checked_mul(elements / blocks->elements, blocks->bytes) : checked_mul(elements, type.bytes);
}

// The types of values, by number.
enum class Value : uint32_t { u8, i8, u16, i16, u32, i32, f32, boolean, string, array, u64, i64, f64 };
constexpr int64_t kValueBytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

int64_t aligned(int64_t position, int64_t alignment) {
  return (position + alignment - 1) / alignment * alignment;
}

// Reads the header from its first byte on, in place.
class HeaderReader {
 public:
  HeaderReader(std::span<const std::byte> bytes, const std::string& where) : bytes_(bytes), where_(where) {}

  TensorFile::Tensors tensors;
  TensorFile::Metadata metadata;

  void read() {
    position_ = kMagic.size();
    const auto version = number<uint32_t>("the version");
    if (version != 0 && (version & 0xffff) == 0)
      refuse(where_, "GGUF_VERSION", "a big-endian file, expected a little-endian one");
    if (version != 2 && version != 3)
      refuse(where_, "GGUF_VERSION", "version ", version, ", expected 2 or 3");
    const auto tensor_count = number<uint64_t>("the number of tensors");
    const auto key_count = number<uint64_t>("the number of keys");
    if (tensor_count > left() / kLeastTensorBytes || key_count > left() / kLeastKeyBytes)
      refuse(where_, "GGUF_COUNT", tensor_count, " tensors and ", key_count,
             " keys are announced, the file has ", left(), " more bytes");
    if (tensor_count > kMost || key_count > kMost)
      refuse(where_, "RES_LIMIT", tensor_count, " tensors and ", key_count, " keys, expected at most ",
             kMost);
    for (uint64_t i = 0; i < key_count; ++i) read_key();
    for (uint64_t i = 0; i < tensor_count; ++i) read_tensor();
    give_shapes();
    place();
  }

 private:
  struct Placed {
    int64_t begin, end;  // in bytes from the start of the data
    const std::string* name;
    TensorInfo* tensor;
  };

  uint64_t left() const { return bytes_.size() - position_; }

  std::span<const std::byte> take(uint64_t count, const char* what) {
    if (count > left())
      refuse(where_, "GGUF_TRUNCATED", "byte ", position_, ": ", what, " of ", count, " bytes, the file has ",
             left(), " more: an incomplete download?");
    const auto taken = bytes_.subspan(position_, static_cast<size_t>(count));
    position_ += static_cast<size_t>(count);
    return taken;
  }

  template <class T>
  T number(const char* what) {
    T value;
    std::memcpy(&value, take(sizeof value, what).data(), sizeof value);
    return value;
  }

  std::string_view text(const char* what) {
    const auto bytes = take(number<uint64_t>(what), what);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

  // A name of a tensor or a key: short, UTF-8.
  std::string name(const char* what, uint64_t most, const char* code) {
    const std::string_view read = text(what);
    if (read.empty() || read.size() > most)
      refuse(where_, code, what, " of ", read.size(), " bytes, expected 1 to ", most);
    if (valid_utf8_prefix(read) != read.size())
      refuse(where_, "GGUF_UTF8", what, " \"", printable(std::string(read)), "\" is not UTF-8");
    return std::string(read);
  }

  Value value_type() {
    const auto type = number<uint32_t>("the type of a value");
    if (type >= std::size(kValueBytes))
      refuse(where_, "GGUF_VALUE", "key \"", printable(key_), "\": a value of type ", type,
             ", expected 0 to ", std::size(kValueBytes) - 1);
    return static_cast<Value>(type);
  }

  void read_key() {
    key_ = name("a key", kMostKeyBytes, "GGUF_KEY");
    if (!keys_.insert(key_).second) refuse(where_, "GGUF_DUPLICATE", "key \"", printable(key_), "\" twice");
    const Value type = value_type();
    if (key_ == kAlignmentKey && type != Value::u32)
      refuse(where_, "GGUF_ALIGNMENT", kAlignmentKey, " is no u32");
    if (key_.starts_with(kShapeKey) && type != Value::array) refuse_shape("no array");
    if (type == Value::array)
      read_array();
    else if (type == Value::string)
      keep(text("a string"));
    else if (key_ == kAlignmentKey)
      read_alignment();
    else
      take(static_cast<uint64_t>(kValueBytes[static_cast<size_t>(type)]), "a value");
  }

  void read_alignment() {
    const auto alignment = number<uint32_t>("the alignment");
    if (alignment < 8 || alignment > kMostAlignment || (alignment & (alignment - 1)))
      refuse(where_, "GGUF_ALIGNMENT", kAlignmentKey, " is ", alignment, ", expected a power of two, 8 to ",
             kMostAlignment);
    alignment_ = alignment;
  }

  void keep(std::string_view value) {
    if (valid_utf8_prefix(value) != value.size())
      refuse(where_, "GGUF_UTF8", "the value of \"", printable(key_), "\" is not UTF-8");
    metadata_bytes_ += key_.size() + value.size();
    if (metadata_bytes_ > kMostMetadataBytes)
      refuse(where_, "RES_LIMIT", "more than ", kMostMetadataBytes, " bytes of metadata");
    metadata.emplace(key_, value);
  }

  void read_array() {
    const Value type = value_type();
    if (type == Value::array)
      refuse(where_, "GGUF_VALUE", "key \"", printable(key_), "\": an array of arrays");
    const auto count = number<uint64_t>("the length of an array");
    const bool strings = type == Value::string;
    const auto least =
        strings ? sizeof(uint64_t) : static_cast<uint64_t>(kValueBytes[static_cast<size_t>(type)]);
    if (count > left() / least)
      refuse(where_, "GGUF_TRUNCATED", "key \"", printable(key_), "\": an array of ", count,
             " elements, the file has ", left(), " more bytes");
    if (key_.starts_with(kShapeKey)) {
      if (type != Value::i32 || count == 0 || count > kMostOriginalDimensions)
        refuse_shape(concat(count, " elements"));
      std::vector<int64_t>& shape = shapes_[key_.substr(kShapeKey.size())];
      for (uint64_t i = 0; i < count; ++i) {
        const auto extent = number<int32_t>("an extent");
        if (extent < 1) refuse_shape(concat("an extent of ", extent));
        shape.push_back(extent);
      }
    } else if (strings) {
      for (uint64_t i = 0; i < count; ++i) text("a string");
    } else {
      take(count * least, "an array");
    }
  }

  [[noreturn]] void refuse_shape(const std::string& found) const {
    refuse(where_, "GGUF_ORIG_SHAPE", "\"", printable(key_), "\": ", found, ", expected 1 to ",
           kMostOriginalDimensions, " extents as i32, each at least 1");
  }

  template <class... Parts>
  [[noreturn]] void refuse_tensor(const char* code, const std::string& name, const Parts&... parts) const {
    refuse(where_, code, "tensor \"", printable(name), "\": ", parts...);
  }

  void read_tensor() {
    const std::string name = this->name("a tensor's name", kMostNameBytes, "GGUF_NAME");
    if (tensors.contains(name)) refuse(where_, "GGUF_DUPLICATE", "tensor \"", printable(name), "\" twice");
    const auto dimensions = number<uint32_t>("the number of dimensions");
    if (dimensions < 1 || dimensions > kMostDimensions)
      refuse_tensor("GGUF_SHAPE", name, dimensions, " dimensions, expected 1 to ", kMostDimensions);
    std::vector<int64_t> shape;
    for (uint32_t i = 0; i < dimensions; ++i) {
      const auto extent = number<uint64_t>("an extent");
      if (extent < 1 || extent > INT64_MAX)
        refuse_tensor("GGUF_SHAPE", name, "an extent of ", extent, ", expected 1 to 2^63-1");
      shape.insert(shape.begin(), static_cast<int64_t>(extent));
    }
    const auto type_number = number<uint32_t>("a type");
    const auto offset = number<uint64_t>("an offset");

    const auto* type = std::ranges::find(kTypes, type_number, &Type::number);
    if (type == std::end(kTypes) || !is_read(*type))
      refuse_tensor("GGUF_TYPE", name, "type ",
                    type == std::end(kTypes) ? concat(type_number) : std::string(type->name),
                    ", expected F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1 or Q2_K to Q6_K");
    const BlockType* blocks = blocks_of(*type);
    if (blocks && shape.back() % blocks->elements)
      refuse_tensor("GGUF_SHAPE", name, "rows of ", shape.back(), ", expected a multiple of ",
                    blocks->elements, ", a block of ", type->name);
    const std::optional<int64_t> elements = checked_elements(shape);
    const std::optional<int64_t> bytes = elements ? bytes_of(*type, *elements) : std::nullopt;
    if (!bytes)
      refuse_tensor("GGUF_OVERFLOW", name, "shape ", extents_text(shape), " x ", type->name, " overflows");
    if (offset > INT64_MAX || offset % static_cast<uint64_t>(alignment_))
      refuse_tensor("GGUF_OFFSET", name, "begins at byte ", offset, " of the data, expected a multiple of ",
                    alignment_);
    const std::optional<int64_t> end = checked_add(static_cast<int64_t>(offset), *bytes);
    if (!end) refuse_tensor("GGUF_OVERFLOW", name, *bytes, " bytes from byte ", offset, " on overflow");
    const auto added = tensors.emplace(name, TensorInfo{.dtype_name = std::string(type->name),
                                                        .dtype = type->dtype,
                                                        .shape = std::move(shape),
                                                        .bytes = {},
                                                        .blocks = blocks});
    placed_.push_back({static_cast<int64_t>(offset), *end, &added.first->first, &added.first->second});
  }

  void give_shapes() {
    for (const auto& [name, shape] : shapes_) {
      const auto tensor = tensors.find(name);
      if (tensor == tensors.end()) continue;
      if (checked_elements(shape) != checked_elements(tensor->second.shape))
        refuse_tensor("GGUF_ORIG_SHAPE", name, "original shape ", extents_text(shape), ", stored as ",
                      extents_text(tensor->second.shape), ": other numbers of elements");
      tensor->second.shape = shape;
    }
  }

  // Gives each tensor its bytes, which are no other's.
  void place() {
    const auto start = static_cast<size_t>(aligned(static_cast<int64_t>(position_), alignment_));
    const auto data = bytes_.subspan(std::min(start, bytes_.size()));
    std::ranges::sort(placed_, {}, [](const Placed& p) { return p.begin; });
    int64_t next = 0;
    for (const Placed& p : placed_) {
      if (p.begin < next)
        refuse_tensor("GGUF_OVERLAP", *p.name, "begins at byte ", p.begin,
                      " of the data, the tensor before it ends at byte ", next);
      if (p.end > std::ssize(data))
        refuse_tensor("GGUF_TRUNCATED", *p.name, "ends at byte ", p.end, " of the data, the file has ",
                      data.size(), ": an incomplete download?");
      p.tensor->bytes = data.subspan(static_cast<size_t>(p.begin), static_cast<size_t>(p.end - p.begin));
      next = p.end;
    }
  }

  std::span<const std::byte> bytes_;
  const std::string& where_;
  size_t position_ = 0;
  int64_t alignment_ = kAlignment;
  size_t metadata_bytes_ = 0;
  std::string key_;  // the last one
  std::set<std::string> keys_;
  std::map<std::string, std::vector<int64_t>> shapes_;  // of orig_shape
  std::vector<Placed> placed_;
};

TensorFile parse(std::span<const std::byte> bytes, const std::string& where,
                 std::shared_ptr<const MappedFile> file) {
  check_internal(bytes.size() >= kMagic.size(), "no GGUF file");
  HeaderReader reader(bytes, where);
  reader.read();
  return TensorFile(where, std::move(file), std::move(reader.tensors), std::move(reader.metadata));
}

// A tensor as it is written.
struct Entry {
  const std::string* name;
  const Type* type;
  std::vector<int64_t> stored;  // the extents, outermost first
  bool reshaped;
  int64_t offset, bytes;
};

Entry make_entry(const std::string& path, const std::string& name, const TensorHeader& header,
                 int64_t offset) {
  Entry entry{.name = &name,
              .type = find_type(header.dtype_name),
              .stored = header.shape,
              .reshaped = false,
              .offset = offset,
              .bytes = 0};
  check_internal(entry.type, "a tensor of type ", header.dtype_name);
  if (name.size() > kMostWrittenName)
    refuse(path, "GGUF_NAME", "tensor \"", printable(name), "\" has a name of ", name.size(),
           " bytes, of which ggml reads ", kMostWrittenName);
  const int64_t elements = *checked_elements(header.shape);
  if (header.shape.size() > kMostDimensions || elements == 0)
    refuse(path, "GGUF_SHAPE", "tensor \"", printable(name), "\" has the shape ", extents_text(header.shape),
           ", GGUF files hold up to ", kMostDimensions, " dimensions, none of them 0");
  if (entry.stored.empty()) entry.stored = {1};
  const BlockType* blocks = blocks_of(*entry.type);
  if (blocks && entry.stored.back() % blocks->elements) {
    check_internal(elements % kRow == 0, elements, " elements in blocks of ", blocks->elements);
    entry.stored = {elements / kRow, kRow};
    entry.reshaped = true;
  }
  entry.bytes = *bytes_of(*entry.type, elements);
  return entry;
}

template <class T>
void append(std::string& to, const T& value) {
  to.append(reinterpret_cast<const char*>(&value), sizeof value);
}
void append_text(std::string& to, std::string_view text) {
  append(to, uint64_t{text.size()});
  to += text;
}

}  // namespace

bool is_gguf(std::string_view start) { return start.starts_with(kMagic); }

bool is_gguf_type(std::string_view name) { return find_type(name) != nullptr; }

TensorFile read_gguf(std::shared_ptr<const MappedFile> file) {
  return file->parsed([&](std::span<const std::byte> bytes) { return parse(bytes, file->path(), file); });
}

TensorFile parse_gguf(std::span<const std::byte> bytes, const std::string& name) {
  return parse(bytes, name, nullptr);
}

bool write_gguf(const std::string& path, const std::map<std::string, TensorHeader>& tensors,
                const GgufMetadata& metadata, WriteElements write_elements) {
  std::vector<Entry> entries;
  for (const auto& [name, header] : tensors)
    entries.push_back(
        make_entry(path, name, header,
                   entries.empty() ? 0 : aligned(entries.back().offset + entries.back().bytes, kAlignment)));
  const auto reshaped = std::ranges::count(entries, true, &Entry::reshaped);

  std::string header(kMagic);
  append(header, kVersion);
  append(header, uint64_t{entries.size()});
  append(header, uint64_t{metadata.size()} + static_cast<uint64_t>(reshaped));
  for (const auto& [key, value] : metadata) {
    append_text(header, key);
    if (const auto* text = std::get_if<std::string>(&value)) {
      append(header, Value::string);
      append_text(header, *text);
    } else {
      append(header, Value::u32);
      append(header, std::get<uint32_t>(value));
    }
  }
  for (const Entry& e : entries) {
    if (!e.reshaped) continue;
    const std::vector<int64_t>& shape = tensors.at(*e.name).shape;
    append_text(header, concat(kShapeKey, *e.name));
    append(header, Value::array);
    append(header, Value::i32);
    append(header, uint64_t{shape.size()});
    for (const int64_t extent : shape) append(header, static_cast<int32_t>(extent));
  }
  for (const Entry& e : entries) {
    append_text(header, *e.name);
    append(header, static_cast<uint32_t>(e.stored.size()));
    for (size_t i = e.stored.size(); i-- > 0;) append(header, e.stored[i]);
    append(header, e.type->number);
    append(header, e.offset);
  }

  AtomicFile file(path);
  const auto pad = [&] {
    constexpr std::byte kZeros[kAlignment] = {};
    const int64_t missing = aligned(file.size(), kAlignment) - file.size();
    file.write(std::span(kZeros).first(static_cast<size_t>(missing)));
  };
  file.write(std::as_bytes(std::span(header)));
  pad();
  const int64_t data = file.size();
  for (const Entry& e : entries) {
    if (!write_elements(*e.name, file)) return false;
    check_internal(file.size() - data == e.offset + e.bytes, "tensor ", *e.name, " ends at byte ",
                   file.size() - data, " instead of ", e.offset + e.bytes);
    pad();
  }
  file.commit();
  return true;
}

}  // namespace tstitch
