// Tensors and storages as torch.save describes them in a pickle. Private to io/.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tstitch/io/pickle.h"
#include "tstitch/io/refuse.h"
#include "tstitch/io/tensor_file.h"
#include "tstitch/io/zip.h"

namespace tstitch {

// What PyTorch calls a type, with its name in safetensors.
struct TorchType {
  std::string_view storage;  // "FloatStorage", or empty: such elements lie in an UntypedStorage
  std::string_view dtype;    // "float32"
  std::string_view name;     // "F32"
  int64_t bytes;             // of an element
  std::optional<DType> read_as;
};

// Finds the bytes of tensors and checks everything that a pickle says about them.
class TorchTensors {
 public:
  // The storages are the entries of `zip` in `folder` + "data/". All arguments must outlive the object.
  TorchTensors(const std::vector<ZipEntry>& zip, std::string_view folder, size_t archive_bytes,
               const std::string& where);

  // Whether the object is a call of a function with which PyTorch makes tensors, also one that we do not
  // know (sparse, quantized).
  static bool is_tensor(const PickleObject& object);

  // Such a call's tensor: bytes in the archive, not read yet. A tensor that is no plain array in memory comes
  // without dtype, and with the code of its refusal. `name` is for messages. Throws Error{input} with a code
  // (PT1-PT9, PK3, PK4, PK11 and PK15) when anything is out of range, of the wrong type or missing.
  TensorInfo tensor(const PickleObject& call, std::optional<std::string_view> name);

  // The same checks of any object of a pickle, whether or not its tensor or storage is needed.
  void check(const PickleObject& object);

 private:
  struct Storage {
    const TorchType* type;
    int64_t elements;
    std::span<const std::byte> bytes;
    std::shared_ptr<const ChecksummedBytes> record;
  };

  const Storage& storage(const PickleObject& persistent);
  Storage find_storage(const TorchType& type, std::string_view key, int64_t elements) const;
  TensorInfo strided(const Storage& storage, const TorchType& type, const PickleObject& offset,
                     const PickleObject& shape, const PickleObject& strides) const;
  std::vector<int64_t> extents(const PickleObject& object, const char* what) const;
  int64_t integer(const PickleObject& object, const char* what) const;
  template <class... Parts>
  [[noreturn]] void refuse_tensor(const char* code, const Parts&... parts) const {
    refuse(where_, code, subject_, parts...);
  }
  [[noreturn]] void refuse_argument(const PickleObject& object, const char* what, const char* expected) const;

  const std::vector<ZipEntry>& zip_;
  std::string folder_;
  int64_t expansion_limit_;
  const std::string& where_;
  std::string subject_;  // the tensor that is looked at
  std::map<std::string, Storage, std::less<>> storages_;
  std::vector<uint8_t> checked_;  // by arguments: the functions, a bit each, that check() has seen them with
};

}  // namespace tstitch
