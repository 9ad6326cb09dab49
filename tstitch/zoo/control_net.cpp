#include "tstitch/zoo/control_net.h"

#include <algorithm>
#include <filesystem>
#include <functional>
#include <string_view>
#include <utility>

#include "tstitch/base/error.h"
#include "tstitch/io/convert.h"
#include "tstitch/io/refuse.h"
#include "tstitch/zoo/diffusers_control_net.h"
#include "tstitch/zoo/file_weights.h"
#include "tstitch/zoo/model_config.h"
#include "tstitch/zoo/model_info.h"
#include "tstitch/zoo/naming_file.h"

namespace tstitch {
namespace {

// What else steers or changes a model, known by a name of a tensor or by the beginning of one; as those of
// ControlNets are among the tensors of some, they are asked for first.
struct Relative {
  std::string_view start, what;
};
constexpr Relative kRelatives[] = {
    {"lora_controlnet", "a Control-LoRA, which changes a copy of the model"},
    {"control_add_embedding.", "a ControlNet-Union, one network for hints of many kinds"},
    {"task_embedding", "a ControlNet-Union, one network for hints of many kinds"},
    {"transformer_layes.", "a ControlNet-Union, one network for hints of many kinds"},
    {"adapter.", "a T2I-Adapter"},
    {"body.0.", "a T2I-Adapter"},
    {"control_to_base_for_conv_in.", "a ControlNet-XS"},
    {"control_model.control_model.", "a ControlNet-XS"},
    {"ctrl_", "a ControlNet-XS"},
    {"base_to_control.", "a ControlNet-XS"},
    {"down_blocks.0.motion_modules.", "a SparseCtrl of AnimateDiff"},
    {"image_proj.", "an IP-Adapter"},
    {"ip_adapter.", "an IP-Adapter"},
    {"image_proj_model.", "an IP-Adapter"},
    {"lllite_", "a ControlLLLite"},
    {"local_adapter.", "a Uni-ControlNet"},
    {"controlnet_blocks.", "a ControlNet of a transformer (Stable Diffusion 3, FLUX, ...)"},
    {"controlnet_x_embedder.", "a ControlNet of a transformer (Stable Diffusion 3, FLUX, ...)"}};

bool has_name(const TensorFile& file, std::string_view start) {
  const auto first = file.tensors().lower_bound(std::string(start));
  return first != file.tensors().end() && first->first.starts_with(start);
}

const Relative* relative_of(const TensorFile& file) {
  const auto found =
      std::ranges::find_if(kRelatives, [&](const Relative& one) { return has_name(file, one.start); });
  return found == std::end(kRelatives) ? nullptr : found;
}

// The weights of a ControlNet that is stored as a difference.
class SumOfWeights final : public WeightSource {
 public:
  // path: of the difference.
  SumOfWeights(const WeightSource& difference, std::string path, const WeightSource& base)
      : difference_(difference), path_(std::move(path)), base_(base) {}

  std::optional<Shape> shape(const std::string& name) const override { return difference_.shape(name); }
  Tensor load(const std::string& name, const Shape& expected, DType dtype) const override {
    if (!base_.shape(name)) return difference_.load(name, expected, dtype);
    Tensor sum = difference_.load(name, expected, DType::f32);
    const Tensor base = base_.load(name, expected, DType::f32);
    std::transform(sum.data<float>(), sum.data<float>() + sum.elements(), base.data<float>(),
                   sum.data<float>(), std::plus<float>());
    return rounded(sum, dtype, path_, name);
  }

 private:
  const WeightSource& difference_;
  const std::string path_;
  const WeightSource& base_;
};

}  // namespace

bool is_control_net(const TensorFile& file) {
  return ControlNetKeys::recognises(FileWeights(file)) || relative_of(file);
}

ControlNetInfo read_control_net_info(const std::string& path) {
  ControlNetInfo info{.path = path, .files = find_model_files(path), .name = {}, .config = {}};
  info.name = printable(name_of(info.files));
  const TensorFile file = open_weights(info.files, WeightChoice::automatic);
  if (const Relative* relative = relative_of(file))
    refuse(file.path(), "CONTROL_KIND", "this is ", relative->what,
           ", which is not known here: expected a ControlNet");
  if (has_name(file, "lora_unet_"))
    refuse(file.path(), "CONTROL_KIND", "this is a LoRA: name it with --lora");
  const FileWeights stored(file);
  if (!ControlNetKeys::recognises(stored))
    refuse(file.path(), "CONTROL_KIND", "no ControlNet: it has neither a tensor ",
           "\"controlnet_cond_embedding.conv_in.weight\" nor \"zero_convs.0.0.weight\"");
  // Its name is all that tells it where there is no configuration.
  if (info.files.path == info.files.weights &&
      std::filesystem::path(path).stem().string().ends_with("_shuffle"))
    refuse(path, "CONTROL_KIND", "a ControlNet called ..._shuffle pools what it adds over the whole picture",
           " (\"global_pool_conditions\"), which is not known here");
  const bool described =
      !info.files.config.empty() && file.tensors().contains("controlnet_cond_embedding.conv_in.weight");
  if (described) {
    const ModelConfig config = read_config_file(info.files.config);
    info.config = read_diffusers_control_net_config(config.object, config.where, info.takes_bgr);
  } else {
    info.config = naming_file(file.path(), [&] { return infer_control_net_config(ControlNetKeys(stored)); });
  }
  info.is_difference = file.tensors().contains("difference");
  for (const auto& [name, tensor] : file.tensors()) info.file_bytes += std::ssize(tensor.bytes);
  return info;
}

std::string control_obstacle(const ControlNetInfo& net, const ModelInfo& model) {
  if (std::string obstacle = model.architecture->control_obstacle(net.config); !obstacle.empty())
    return obstacle;
  if (net.config.hint_factor() != model.pixels_per_latent)
    return concat("it reads a hint of ", net.config.hint_factor(), " pixels a place of the latent, and ",
                  "pictures have ", model.pixels_per_latent);
  if (net.is_difference && !model.architecture->has_encoder(net.config.unet))
    return "it is stored as a difference from a U-Net's way down, and this one's is another";
  return "";
}

std::shared_ptr<const ControlNetwork> load_control_net(const ControlNetInfo& net, const ModelInfo& base,
                                                       Backend& backend) {
  const TensorFile file = open_weights(net.files, WeightChoice::automatic);
  return naming_file(file.path(), [&] {
    const FileWeights stored(file);
    const ControlNetKeys keys(stored);
    const auto of_weights = [&](const WeightSource& weights) {
      return std::make_shared<const ControlNetwork>(ControlNet(net.config, Weights(backend, weights)),
                                                    net.takes_bgr);
    };
    if (!net.is_difference) return of_weights(keys);
    const TensorFile of_base = open_weights(base.files, base.weights);
    const auto weights = base.architecture->weights(of_base);
    return of_weights(SumOfWeights(keys, file.path(), *weights));
  });
}

}  // namespace tstitch
