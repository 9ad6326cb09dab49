#include "tstitch/models/autoencoder_keys.h"

#include <array>
#include <string_view>
#include <utility>

#include "tstitch/base/error.h"

namespace tstitch {
namespace {

constexpr std::string_view kPrefixes[] = {"", "first_stage_model.", "vae."};

using Renaming = std::pair<std::string_view, std::string_view>;  // of a part of a name, dots included

constexpr Renaming kOldDiffusers[] = {
    {".to_q.", ".query."}, {".to_k.", ".key."}, {".to_v.", ".value."}, {".to_out.0.", ".proj_attn."}};

constexpr Renaming kCompVis[] = {{".mid_block.resnets.0.", ".mid.block_1."},
                                 {".mid_block.resnets.1.", ".mid.block_2."},
                                 {".mid_block.attentions.0.", ".mid.attn_1."},
                                 {".down_blocks.", ".down."},
                                 {".up_blocks.", ".up."},
                                 {".resnets.", ".block."},
                                 {".attentions.", ".attn."},
                                 {".conv_shortcut.", ".nin_shortcut."},
                                 {".downsamplers.0.", ".downsample."},
                                 {".upsamplers.0.", ".upsample."},
                                 {".conv_norm_out.", ".norm_out."},
                                 {".group_norm.", ".norm."},
                                 {".to_q.", ".q."},
                                 {".to_k.", ".k."},
                                 {".to_v.", ".v."},
                                 {".to_out.0.", ".proj_out."}};

template <size_t count>
std::string renamed(std::string name, const Renaming (&renamings)[count]) {
  for (const auto& [from, to] : renamings)
    if (const size_t at = name.find(from); at != std::string::npos) name.replace(at, from.size(), to);
  return name;
}

// Where a checkpoint with this prefix has its first convolution.
std::string first_tensor(const WeightSource& source, std::string_view prefix) {
  for (const char* half : {"decoder.conv_in.weight", "encoder.conv_in.weight"})
    if (const std::string name = concat(prefix, half); source.shape(name)) return name;
  return {};
}

}  // namespace

bool AutoencoderKeys::recognises(const WeightSource& source) {
  for (const std::string_view prefix : kPrefixes)
    if (!first_tensor(source, prefix).empty()) return true;
  return false;
}

AutoencoderKeys::AutoencoderKeys(const WeightSource& source) : source_(source) {
  check(recognises(source), ErrorKind::input,
        "not an autoencoder: it has no tensor \"decoder.conv_in.weight\" or \"encoder.conv_in.weight\"");
  for (const std::string_view prefix : kPrefixes)
    if (const std::string first = first_tensor(source, prefix); !first.empty()) {
      prefix_ = prefix;
      const std::string half = first.substr(0, first.size() - std::string_view("conv_in.weight").size());
      if (source.shape(half + "mid.block_1.conv1.weight"))
        style_ = Style::compvis;
      else if (source.shape(half + "mid_block.attentions.0.query.weight"))
        style_ = Style::old_diffusers;
      while (source.shape(concat(prefix_, "decoder.up.", levels_, ".block.0.conv1.weight"))) ++levels_;
      return;
    }
}

std::string AutoencoderKeys::stored_name(const std::string& name) const {
  if (style_ == Style::diffusers) return prefix_ + name;
  if (style_ == Style::old_diffusers) return prefix_ + renamed(name, kOldDiffusers);
  std::string stored = renamed(name, kCompVis);
  constexpr std::string_view kUp = "decoder.up.";
  if (stored.starts_with(kUp)) {
    const size_t dot = stored.find('.', kUp.size());
    const int level = std::stoi(stored.substr(kUp.size(), dot - kUp.size()));
    stored = concat(kUp, levels_ - 1 - level, stored.substr(dot));
  }
  return prefix_ + stored;
}

std::optional<Shape> AutoencoderKeys::shape(const std::string& name) const {
  return source_.shape(stored_name(name));
}

Tensor AutoencoderKeys::load(const std::string& name, const Shape& expected, DType dtype) const {
  return load_matrix(source_, stored_name(name), expected, dtype);
}

}  // namespace tstitch
