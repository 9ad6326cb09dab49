#include "tstitch/io/convert_to_gguf.h"

#include <algorithm>
#include <map>
#include <vector>

#include "tstitch/base/error.h"
#include "tstitch/io/extents.h"
#include "tstitch/io/gguf.h"
#include "tstitch/io/refuse.h"
#include "tstitch/tensor/block_type.h"

namespace tstitch {
namespace {

constexpr int64_t kSmall = 1024;  // elements that are not worth it
constexpr int64_t kRow = 256;     // of what is stored in another shape

constexpr std::string_view kNetwork = "model.diffusion_model.";
// The other parts of a checkpoint of everything.
constexpr std::string_view kCompanions[] = {"first_stage_model.", "cond_stage_model.", "conditioner."};

// Parts of the names of what is not quantised, of U-Nets in either layout and of DiTs.
constexpr std::string_view kKept[] = {"embedding", "time_embed.", "label_emb.",  "conv_in.",
                                      "conv_out.", "x_embedder.", "t_embedder.", "y_embedder.",
                                      "pos_embed", "final_layer."};
constexpr std::string_view kKeptWhole[] = {"input_blocks.0.0.weight", "out.2.weight"};

std::string_view without_prefix(std::string_view name) {
  if (name.starts_with(kNetwork)) name.remove_prefix(kNetwork.size());
  return name;
}

bool is_kept(std::string_view name) {
  return std::ranges::any_of(kKept, [&](std::string_view part) { return name.find(part) != name.npos; }) ||
         std::ranges::count(kKeptWhole, without_prefix(name)) > 0;
}

// What ComfyUI-GGUF calls the network; "" for others.
std::string architecture_of(const TensorFile& file) {
  const auto has = [&](const char* name) {
    return file.tensors().contains(name) || file.tensors().contains(concat(kNetwork, name));
  };
  const bool diffusers = has("down_blocks.0.downsamplers.0.conv.weight");
  if (has("label_emb.0.0.weight") || (diffusers && has("add_embedding.linear_1.weight"))) return "sdxl";
  return diffusers || has("input_blocks.3.0.op.weight") ? "sd1" : "";
}

bool holds_everything(const TensorFile& file) {
  return std::ranges::any_of(file.tensors(), [](const auto& entry) {
    return std::ranges::any_of(kCompanions,
                               [&](std::string_view part) { return entry.first.starts_with(part); });
  });
}

// llama.h, enum llama_ftype.
uint32_t file_type(const std::string& type) {
  static const std::map<std::string, uint32_t> kNumbers = {
      {"F32", 0}, {"F16", 1}, {"Q4_0", 2}, {"Q8_0", 7}, {"BF16", 32}};
  return kNumbers.at(type);
}

class Converter {
 public:
  Converter(const TensorFile& from, const std::string& type)
      : from_(from), type_(type), blocks_(find_block_type(type)), reshapes_(!holds_everything(from)) {}

  std::map<std::string, TensorHeader> headers() const {
    std::map<std::string, TensorHeader> headers;
    for (const auto& [name, info] : from_.tensors()) {
      if (info.companion) continue;
      // There are no tensors without elements; of those that are markers (v_pred) the name is what they say.
      const bool empty = checked_elements(info.shape) == 0;
      headers[name] = {type_of(name, info), empty ? std::vector<int64_t>{} : info.shape};
    }
    return headers;
  }

  void write(const std::string& name, const std::string& type, AtomicFile& file) const {
    const TensorInfo& info = from_.tensors().at(name);
    const int64_t elements = *checked_elements(info.shape);
    if (elements == 0) return file.write(std::vector<std::byte>(sizeof(float)));
    if (type == info.dtype_name)
      return from_.read(name, [&](std::span<const std::byte> bytes) { file.write(bytes); });
    const BlockType* blocks = find_block_type(type);
    Tensor tensor({elements}, blocks           ? DType::f32
                              : type == "F16"  ? DType::f16
                              : type == "BF16" ? DType::bf16
                                               : DType::f32);
    from_.load_into(name, tensor);
    if (!blocks) return file.write({tensor.bytes(), static_cast<size_t>(elements * size_of(tensor.dtype()))});
    const int64_t count = elements / blocks->elements;
    std::vector<std::byte> encoded(static_cast<size_t>(count * blocks->bytes));
    if (const int64_t too_large = blocks->encode(tensor.data<float>(), count, encoded.data()))
      refuse(from_.path(), "MODEL_NONFINITE", "tensor \"", printable(name), "\": ", too_large, " of ", count,
             " blocks are too large for ", type);
    file.write(encoded);
  }

 private:
  std::string type_of(const std::string& name, const TensorInfo& info) const {
    const int64_t elements = *checked_elements(info.shape);
    if (!is_readable(info)) {
      if (!is_gguf_type(info.dtype_name) || elements == 0)
        refuse(from_.path(), "ST_DTYPE_UNSUPPORTED", "tensor \"", printable(name), "\": type ",
               info.dtype_name, ", which GGUF files do not have");
      return info.dtype_name;
    }
    if (info.shape.size() <= 1 || elements <= kSmall) return "F32";
    if (!blocks_) return type_;
    const bool whole = info.shape.back() % blocks_->elements == 0 || (reshapes_ && elements % kRow == 0);
    if (whole && !is_kept(name)) return type_;
    return info.dtype_name == "BF16" ? "BF16" : "F16";
  }

  const TensorFile& from_;
  const std::string& type_;
  const BlockType* blocks_;
  bool reshapes_;  // as ComfyUI-GGUF does, and stable-diffusion.cpp does not read
};

}  // namespace

bool convert_to_gguf(const TensorFile& from, const std::string& to, const std::string& type,
                     FunctionRef<bool()> proceed) {
  const Converter converter(from, type);
  GgufMetadata metadata(from.metadata().begin(), from.metadata().end());
  metadata.erase("_quantization_metadata");  // of 8 bits that are no more
  if (const std::string architecture = architecture_of(from); !architecture.empty())
    metadata["general.architecture"] = architecture;
  metadata["general.quantization_version"] = uint32_t{2};
  metadata["general.file_type"] = file_type(type);

  const auto headers = converter.headers();
  return write_gguf(to, headers, metadata, [&](const std::string& name, AtomicFile& file) {
    converter.write(name, headers.at(name).dtype_name, file);
    return proceed();
  });
}

}  // namespace tstitch
