#include "tstitch/models/unet_keys.h"

#include <algorithm>
#include <charconv>
#include <string_view>
#include <utility>

#include "tstitch/base/error.h"

namespace tstitch {
namespace {

using Renaming = std::pair<std::string_view, std::string_view>;  // of the beginning of a name

constexpr Renaming kEnds[] = {
    {"conv_in.", "input_blocks.0.0."},
    {"time_embedding.linear_1.", "time_embed.0."},
    {"time_embedding.linear_2.", "time_embed.2."},
    {"time_embedding.cond_proj.", "time_embed.cond_proj."},
    {"add_embedding.linear_1.", "label_emb.0.0."},
    {"add_embedding.linear_2.", "label_emb.0.2."},
    {"mid_block.attentions.0.", "middle_block.1."},
    {"conv_norm_out.", "out.0."},
    {"conv_out.", "out.2."},
};

constexpr Renaming kResnet[] = {
    {"norm1.", "in_layers.0."},  {"conv1.", "in_layers.2."},  {"time_emb_proj.", "emb_layers.1."},
    {"norm2.", "out_layers.0."}, {"conv2.", "out_layers.3."}, {"conv_shortcut.", "skip_connection."},
};

template <size_t count>
std::string renamed(std::string_view name, const Renaming (&renamings)[count]) {
  for (const auto& [from, to] : renamings)
    if (name.starts_with(from)) return concat(to, name.substr(from.size()));
  return std::string(name);
}

// Takes "text" off the front of a name, or a number and the dot behind it.
bool take(std::string_view& name, std::string_view text) {
  if (!name.starts_with(text)) return false;
  name.remove_prefix(text.size());
  return true;
}
int64_t take_number(std::string_view& name) {
  int64_t number = 0;
  const auto end = std::from_chars(name.data(), name.data() + name.size(), number).ptr;
  name.remove_prefix(std::min<size_t>(name.size(), static_cast<size_t>(end - name.data()) + 1));
  return number;
}

}  // namespace

std::string original_unet_name(const std::string& name, int64_t stride, int upsampler) {
  std::string_view rest = name;
  const auto resnet = [&](const auto&... block) { return concat(block..., renamed(rest, kResnet)); };
  if (take(rest, "mid_block.resnets.")) {
    const int64_t j = take_number(rest);
    return resnet("middle_block.", 2 * j, ".");
  }
  const bool down = take(rest, "down_blocks.");
  if (!down && !take(rest, "up_blocks.")) return renamed(name, kEnds);
  const int64_t first = take_number(rest) * stride;    // block of the stage
  const int64_t resnets = down ? stride - 1 : stride;  // at most; behind them the next stage begins
  const auto block_of = [&](int64_t j) {
    return down ? concat("input_blocks.", 1 + first + j) : concat("output_blocks.", first + j);
  };
  if (take(rest, "resnets.")) {
    const int64_t j = take_number(rest);
    if (j >= resnets) return name;
    return resnet(block_of(j), ".0.");
  }
  if (take(rest, "attentions.")) {
    const int64_t j = take_number(rest);
    if (j >= resnets) return name;
    return concat(block_of(j), ".1.", rest);
  }
  const std::string last = block_of(stride - 1);
  if (take(rest, "downsamplers.0.conv.")) return concat(last, ".0.op.", rest);
  if (!take(rest, "upsamplers.0.conv.")) return name;
  return concat(last, ".", upsampler, ".conv.", rest);
}

bool UNetKeys::recognises(const WeightSource& source, const std::string& prefix) {
  for (const char* first : {"conv_in.weight", "input_blocks.0.0.weight"})
    if (source.shape(prefix + first)) return true;
  return false;
}

UNetKeys::UNetKeys(const WeightSource& source, std::string prefix)
    : source_(source), prefix_(std::move(prefix)) {
  check(recognises(source, prefix_), ErrorKind::input, "not a U-Net: it has no tensor \"", prefix_,
        "conv_in.weight\" or \"", prefix_, "input_blocks.0.0.weight\"");
  is_compvis_ = !source.shape(prefix_ + "conv_in.weight");
  if (!is_compvis_) return;
  const auto has = [&](const std::string& name) { return source.shape(prefix_ + name).has_value(); };
  for (stride_ = 1; stride_ < 16 && !has(concat("input_blocks.", stride_, ".0.op.weight"));) ++stride_;
}

std::string UNetKeys::stored_name(const std::string& name) const {
  if (!is_compvis_) return prefix_ + name;
  // Where an upsampler lies shows in the file.
  const std::string without_transformer = prefix_ + original_unet_name(name, stride_, 1);
  if (source_.shape(without_transformer)) return without_transformer;
  return prefix_ + original_unet_name(name, stride_, 2);
}

std::optional<Shape> UNetKeys::shape(const std::string& name) const {
  return source_.shape(stored_name(name));
}

Tensor UNetKeys::load(const std::string& name, const Shape& expected, DType dtype) const {
  return load_matrix(source_, stored_name(name), expected, dtype);
}

Int8Weight UNetKeys::load_int8(const std::string& name, const Shape& expected, const Tensor& sizes) const {
  return load_int8_matrix(source_, stored_name(name), expected, sizes);
}

std::vector<std::string> UNetKeys::stored_names(const std::string& name) const {
  return source_.stored_names(stored_name(name));
}

}  // namespace tstitch
