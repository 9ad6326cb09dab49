#include "tstitch/io/torch_tensor.h"

#include <algorithm>
#include <iterator>

#include "tstitch/base/checked.h"
#include "tstitch/io/extents.h"
#include "tstitch/io/refuse.h"

namespace tstitch {
namespace {

constexpr size_t kMaxRank = 8;
constexpr int kMaxWrappers = 4;  // a Parameter around a tensor with attributes is two

// A view may repeat elements (torch.Tensor.expand), but not make a small file fill the memory.
constexpr int64_t kMaxExpansion = 4, kAlwaysAllowedBytes = 1 << 20;

// torch/storage.py and torch/_utils.py.
constexpr TorchType kTypes[] = {
    {"FloatStorage", "float32", "F32", 4, DType::f32},
    {"BFloat16Storage", "bfloat16", "BF16", 2, DType::bf16},
    {"HalfStorage", "float16", "F16", 2, DType::f16},
    {"DoubleStorage", "float64", "F64", 8, DType::f64},
    {"LongStorage", "int64", "I64", 8, DType::i64},
    {"IntStorage", "int32", "I32", 4, DType::i32},
    {"ByteStorage", "uint8", "U8", 1, DType::u8},
    {"ShortStorage", "int16", "I16", 2, {}},
    {"CharStorage", "int8", "I8", 1, DType::i8},
    {"BoolStorage", "bool", "BOOL", 1, {}},
    {"ComplexFloatStorage", "complex64", "C64", 8, {}},
    {"ComplexDoubleStorage", "complex128", "C128", 16, {}},
    {"QInt8Storage", "qint8", "QI8", 1, {}},
    {"QUInt8Storage", "quint8", "QU8", 1, {}},
    {"QInt32Storage", "qint32", "QI32", 4, {}},
    {"QUInt4x2Storage", "quint4x2", "QU4X2", 1, {}},
    {"QUInt2x4Storage", "quint2x4", "QU2X4", 1, {}},
    {"", "complex32", "C32", 4, {}},
    {"", "uint16", "U16", 2, {}},
    {"", "uint32", "U32", 4, {}},
    {"", "uint64", "U64", 8, {}},
    {"", "float8_e4m3fn", "F8_E4M3", 1, {}},
    {"", "float8_e5m2", "F8_E5M2", 1, {}},
    {"", "float8_e4m3fnuz", "F8_E4M3FNUZ", 1, {}},
    {"", "float8_e5m2fnuz", "F8_E5M2FNUZ", 1, {}},
    {"", "float8_e8m0fnu", "F8_E8M0", 1, {}},
    {"", "float4_e2m1fn_x2", "F4X2", 1, {}},
};
constexpr TorchType kUntyped = {"UntypedStorage", "", "bytes", 1, {}};

const TorchType* find_type(std::string_view name, std::string_view TorchType::*field) {
  const auto* found = std::ranges::find(kTypes, name, field);
  return found == std::end(kTypes) || name.empty() ? nullptr : found;
}

// The functions that make tensors, and how many arguments they take.
struct Rebuild {
  enum Kind { strided, parameter, subclass } kind;
  std::string_view module, name;
  size_t least, most;
  size_t dtype = 0;      // which argument it is; 0: the storage knows it
  size_t lazy_bits = 0;  // a dict of operations still to be applied to the elements
};
constexpr Rebuild kRebuilds[] = {
    {Rebuild::strided, "torch._utils", "_rebuild_tensor", 4, 4},
    {Rebuild::strided, "torch._utils", "_rebuild_tensor_v2", 6, 7, 0, 6},
    {Rebuild::strided, "torch._utils", "_rebuild_tensor_v3", 7, 8, 6, 7},
    {Rebuild::parameter, "torch._utils", "_rebuild_parameter", 3, 3},
    {Rebuild::parameter, "torch._utils", "_rebuild_parameter_with_state", 4, 4},
    {Rebuild::subclass, "torch._tensor", "_rebuild_from_type_v2", 4, 4},
};

static_assert(std::size(kRebuilds) <= 8, "a bit each in TorchTensors::checked_");

const Rebuild* find_rebuild(const PickleObject& function) {
  const auto* found =
      std::ranges::find_if(kRebuilds, [&](const Rebuild& r) { return function.is_global(r.module, r.name); });
  return found == std::end(kRebuilds) ? nullptr : found;
}

TensorInfo unreadable(const std::string& what, const char* code = "PT_UNSUPPORTED_TENSOR") {
  return {.dtype_name = what, .dtype = {}, .shape = {}, .bytes = {}, .dtype_code = code};
}

bool is_plain_tensor_class(const PickleObject& object) {
  return object.is_global("torch", "Tensor") || object.is_global("torch.nn.parameter", "Parameter") ||
         object.is_global("torch.nn.parameter", "Buffer");
}

bool has_lazy_bits(const PickleObject& object) { return object.is_dict() && object.size() > 0; }

// Of row-major order. The product of the extents is known to fit.
std::vector<int64_t> dense_strides(std::span<const int64_t> shape) {
  std::vector<int64_t> strides(shape.size());
  int64_t stride = 1;
  for (size_t axis = shape.size(); axis-- > 0; stride *= std::max<int64_t>(shape[axis], 1))
    strides[axis] = stride;
  return strides;
}

// Strides of axes with one index do not matter.
bool is_dense(std::span<const int64_t> shape, std::span<const int64_t> strides) {
  const std::vector<int64_t> dense = dense_strides(shape);
  for (size_t axis = 0; axis < shape.size(); ++axis)
    if (shape[axis] > 1 && strides[axis] != dense[axis]) return false;
  return true;
}

// How many elements lie from the beginning of the storage to the end of the view; nothing on overflow.
std::optional<int64_t> reach(int64_t offset, std::span<const int64_t> shape,
                             std::span<const int64_t> strides) {
  std::optional<int64_t> last = offset;
  for (size_t axis = 0; axis < shape.size() && last; ++axis) {
    const std::optional<int64_t> step = checked_mul(shape[axis] - 1, strides[axis]);
    last = step ? checked_add(*last, *step) : std::nullopt;
  }
  return last ? checked_add(*last, 1) : std::nullopt;
}

}  // namespace

TorchTensors::TorchTensors(const std::vector<ZipEntry>& zip, std::string_view folder, size_t archive_bytes,
                           const std::string& where)
    : zip_(zip),
      folder_(folder),
      expansion_limit_(std::max(kAlwaysAllowedBytes, kMaxExpansion * static_cast<int64_t>(archive_bytes))),
      where_(where) {}

bool TorchTensors::is_tensor(const PickleObject& object) {
  if (!object.is_call() || !object.callable().is_global()) return false;
  const PickleObject function = object.callable();
  return function.module().starts_with("torch") && function.name().starts_with("_rebuild_");
}

void TorchTensors::refuse_argument(const PickleObject& object, const char* what, const char* expected) const {
  const bool opaque = object.is_call() || object.is_global();
  refuse_tensor(opaque ? "PKL_UNSUPPORTED_GLOBAL" : "PKL_TYPE", what, " is ", object.description(),
                ", expected ", expected);
}

void TorchTensors::check(const PickleObject& object) {
  if (object.is_persistent()) storage(object);
  const Rebuild* rebuild = is_tensor(object) ? find_rebuild(object.callable()) : nullptr;
  if (!rebuild) return;
  // A few bytes of a pickle ask for one more tensor of the same arguments.
  const size_t arguments = object.arguments().index();
  if (arguments >= checked_.size()) checked_.resize(arguments + 1);
  const auto bit = static_cast<uint8_t>(1 << (rebuild - kRebuilds));
  if (checked_[arguments] & bit) return;
  checked_[arguments] |= bit;
  tensor(object, std::nullopt);
}

TensorInfo TorchTensors::tensor(const PickleObject& call, std::optional<std::string_view> name) {
  subject_ = name ? concat("tensor \"", printable(std::string(*name)), "\": ") : "a tensor without name: ";
  PickleObject function = call.callable(), arguments = call.arguments();
  for (int wrappers = 0; wrappers <= kMaxWrappers; ++wrappers) {
    if (!function.is_global()) refuse_argument(function, "the function", "a name");
    const Rebuild* rebuild = find_rebuild(function);
    if (!rebuild) return unreadable("what " + function.full_name() + " gives");
    if (arguments.size() < rebuild->least || arguments.size() > rebuild->most)
      refuse_tensor("PKL_TYPE", function.full_name(), " with ", arguments.size(), " arguments, expected ",
                    rebuild->least, rebuild->most > rebuild->least ? " or one more" : "");
    const auto elements = arguments.elements();
    const std::vector<PickleObject> a(elements.begin(), elements.end());
    switch (rebuild->kind) {
      case Rebuild::parameter:
        if (!is_tensor(a[0])) refuse_argument(a[0], "the data", "a tensor");
        function = a[0].callable();
        arguments = a[0].arguments();
        break;
      case Rebuild::subclass:
        if (!is_plain_tensor_class(a[1])) return unreadable("a tensor of the class " + a[1].description());
        if (!a[2].is_tuple()) refuse_argument(a[2], "the description", "a tuple");
        function = a[0];
        arguments = a[2];
        break;
      case Rebuild::strided: {
        const Storage& from = storage(a[0]);
        const TorchType* type = from.type;
        if (rebuild->dtype) {
          const PickleObject& dtype = a[rebuild->dtype];
          if (!dtype.is_global() || dtype.module() != "torch") refuse_argument(dtype, "the type", "a dtype");
          type = find_type(dtype.name(), &TorchType::dtype);
          if (!type) return unreadable(dtype.full_name(), "PT_DTYPE");
        }
        if (rebuild->lazy_bits && rebuild->lazy_bits < a.size() && has_lazy_bits(a[rebuild->lazy_bits]))
          return unreadable("a tensor that is still to be negated or conjugated");
        return strided(from, *type, a[1], a[2], a[3]);
      }
    }
  }
  return unreadable("a tensor inside too many others");
}

const TorchTensors::Storage& TorchTensors::storage(const PickleObject& persistent) {
  if (!persistent.is_persistent()) refuse_argument(persistent, "the storage", "a storage");
  const PickleObject identification = persistent.identification();
  const auto refuse_id = [&](const auto&... parts) {
    refuse(where_, "PKL_PERSID", "what is kept outside the pickle: ", parts...);
  };
  if (!identification.is_tuple() || identification.size() != 5)
    refuse_id(identification.description(), " of ", identification.size(),
              " elements, expected a tuple of 5");
  const auto elements = identification.elements();
  const std::vector<PickleObject> id(elements.begin(), elements.end());
  if (id[0].text() != "storage") refuse_id("no \"storage\" but ", id[0].description());

  const bool untyped = id[1].is_global("torch.storage", "UntypedStorage");
  const TorchType* type = untyped ? &kUntyped : nullptr;
  if (id[1].is_global() && id[1].module() == "torch") type = find_type(id[1].name(), &TorchType::storage);
  if (!type) refuse_id("a storage of the class ", id[1].description());

  const std::optional<int64_t> number = id[2].integer();
  if (!id[2].text() && !number) refuse_id("the key is ", id[2].description(), ", expected a text");
  const std::string key = number ? std::to_string(*number) : std::string(*id[2].text());
  if (!id[3].text()) refuse_id("the device is ", id[3].description(), ", expected a text");
  if (*id[3].text() == "meta") refuse_id("a storage on the device \"meta\", which keeps no elements");
  if (!id[4].integer()) refuse_id("the number of elements is ", id[4].description());

  const auto known = storages_.find(key);
  if (known == storages_.end())
    return storages_.emplace(key, find_storage(*type, key, *id[4].integer())).first->second;
  if (known->second.type != type || known->second.elements != *id[4].integer())
    refuse(where_, "PT_STORAGE_TYPE", "storage \"", printable(key), "\": ", *id[4].integer(), " x ",
           type->name, ", before ", known->second.elements, " x ", known->second.type->name);
  return known->second;
}

TorchTensors::Storage TorchTensors::find_storage(const TorchType& type, std::string_view key,
                                                 int64_t elements) const {
  // Joined as text and looked up in the archive's directory: a key with "../" is simply not found.
  const ZipEntry* entry = find_entry(zip_, concat(folder_, "data/", key));
  if (!entry)
    refuse(where_, "PT_STORAGE", "no entry \"", printable(concat(folder_, "data/", key.substr(0, 120))),
           "\" in the archive");
  const std::optional<int64_t> bytes = checked_mul(elements, type.bytes);
  if (elements < 0 || !bytes || static_cast<size_t>(*bytes) != entry->bytes.size())
    refuse(where_, "PT_STORAGE_SIZE", "storage \"", printable(std::string(key)), "\": ", elements, " x ",
           type.name, " expected, the entry has ", entry->bytes.size(), " bytes");
  return {&type, elements, entry->bytes, std::make_shared<ChecksummedBytes>(entry->bytes, entry->crc32)};
}

TensorInfo TorchTensors::strided(const Storage& storage, const TorchType& type, const PickleObject& offset,
                                 const PickleObject& shape_object, const PickleObject& strides_object) const {
  const std::vector<int64_t> shape = extents(shape_object, "the shape"),
                             strides = extents(strides_object, "the strides");
  if (shape.size() != strides.size())
    refuse_tensor("PT_SHAPE", "a shape of ", shape.size(), " dimensions with ", strides.size(), " strides");
  const std::optional<int64_t> elements = checked_elements(shape);
  const std::optional<int64_t> bytes = elements ? checked_mul(*elements, type.bytes) : std::nullopt;
  if (!bytes) refuse_tensor("PT_SHAPE", "shape ", extents_text(shape), " x ", type.name, " overflows");

  // Without elements the offset says nothing; PyTorch lets it lie behind the end.
  const int64_t named = integer(offset, "the offset"), first = *elements || named < 0 ? named : 0;
  const auto available = static_cast<int64_t>(storage.bytes.size()) / type.bytes;
  const std::optional<int64_t> end = *elements ? reach(first, shape, strides) : first;
  if (first < 0 || !end || *end > available)
    refuse_tensor("PT_VIEW_RANGE", "a view of shape ", extents_text(shape), ", strides ",
                  extents_text(strides), " and offset ", first, " into a storage of ", available,
                  " elements");
  if (*bytes > expansion_limit_)
    refuse_tensor("RES_LIMIT", "a view of shape ", extents_text(shape), " x ", type.name, " repeats ",
                  available, " elements to ", *bytes, " bytes, expected at most ", expansion_limit_);

  return {.dtype_name = std::string(type.name),
          .dtype = type.read_as,
          .shape = shape,
          .bytes = storage.bytes.subspan(static_cast<size_t>(first * type.bytes),
                                         static_cast<size_t>((*end - first) * type.bytes)),
          .strides = *elements == 0 || is_dense(shape, strides) ? std::vector<int64_t>{} : strides,
          .record = storage.record,
          .dtype_code = "PT_DTYPE"};
}

std::vector<int64_t> TorchTensors::extents(const PickleObject& object, const char* what) const {
  if (object.is_call() && object.callable().is_global("torch", "Size") && object.arguments().size() == 1)
    return extents(*object.arguments().elements().begin(), what);
  if (!object.is_tuple()) refuse_argument(object, what, "a tuple");
  if (object.size() > kMaxRank)
    refuse_tensor("PT_SHAPE", what, " has ", object.size(), " elements, expected at most ", kMaxRank);
  std::vector<int64_t> values;
  for (const PickleObject element : object.elements()) {
    values.push_back(integer(element, what));
    if (values.back() < 0) refuse_tensor("PT_SHAPE", what, " holds ", values.back());
  }
  return values;
}

int64_t TorchTensors::integer(const PickleObject& object, const char* what) const {
  if (const std::optional<int64_t> value = object.integer()) return *value;
  if (object.is_number())
    refuse_tensor("PKL_INT_RANGE", what, " holds a number that is no integer of 64 bits");
  refuse_argument(object, what, "an integer");
}

}  // namespace tstitch
