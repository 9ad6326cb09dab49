#include "tstitch/zoo/diffusers_dit.h"

#include <algorithm>
#include <array>

#include "tstitch/base/error.h"
#include "tstitch/zoo/config_reader.h"
#include "tstitch/zoo/file_weights.h"

namespace tstitch {
namespace {

struct Renaming {
  std::string_view official, diffusers;
};

constexpr std::array<Renaming, 3> kEnds = {{{"x_embedder.proj.", "pos_embed.proj."},
                                            {"final_layer.adaLN_modulation.1.", "proj_out_1."},
                                            {"final_layer.linear.", "proj_out_2."}}};

// In every block; all copies are the same.
constexpr std::array<Renaming, 3> kEmbedders = {
    {{"t_embedder.mlp.0.", "norm1.emb.timestep_embedder.linear_1."},
     {"t_embedder.mlp.2.", "norm1.emb.timestep_embedder.linear_2."},
     {"y_embedder.embedding_table.", "norm1.emb.class_embedder.embedding_table."}}};

constexpr std::array<Renaming, 4> kBlocks = {{{"adaLN_modulation.1.", "norm1.linear."},
                                              {"attn.proj.", "attn1.to_out.0."},
                                              {"mlp.fc1.", "ff.net.0.proj."},
                                              {"mlp.fc2.", "ff.net.2."}}};

constexpr std::string_view kQkv = "attn.qkv.";
constexpr std::array<std::string_view, 3> kThirds = {"attn1.to_q.", "attn1.to_k.", "attn1.to_v."};

// Where a tensor lies: one name, three to be joined, or copies; none for a name that diffusers has not.
struct KeyPlace {
  std::vector<std::string> names;
  enum class Kind { one, joined, copies } kind = Kind::one;
};

std::string block_prefix(int64_t i) { return concat("transformer_blocks.", i, "."); }

template <size_t n>
std::optional<std::string> renamed(const std::array<Renaming, n>& table, std::string_view name) {
  for (const Renaming& r : table)
    if (name.starts_with(r.official)) return concat(r.diffusers, name.substr(r.official.size()));
  return std::nullopt;
}

KeyPlace place_of(const TensorFile& file, const std::string& name) {
  if (const auto end = renamed(kEnds, name)) return {{*end}};
  if (const auto embedder = renamed(kEmbedders, name)) {
    KeyPlace place{.names = {}, .kind = KeyPlace::Kind::copies};
    for (int64_t i = 0; file.tensors().contains(block_prefix(i) + *embedder); ++i)
      place.names.push_back(block_prefix(i) + *embedder);
    if (place.names.empty()) place.names.push_back(block_prefix(0) + *embedder);  // to be missed by its name
    return place;
  }
  if (!name.starts_with("blocks.")) return {};
  const size_t dot = name.find('.', 7);
  if (dot == std::string::npos) return {};
  const std::string prefix = "transformer_blocks." + name.substr(7, dot - 6);
  const std::string_view rest = std::string_view(name).substr(dot + 1);
  if (const auto inner = renamed(kBlocks, rest)) return {{prefix + *inner}};
  if (!rest.starts_with(kQkv)) return {};
  KeyPlace place{.names = {}, .kind = KeyPlace::Kind::joined};
  for (const std::string_view third : kThirds)
    place.names.push_back(concat(prefix, third, rest.substr(kQkv.size())));
  return place;
}

}  // namespace

bool is_diffusers_dit(const TensorFile& file) {
  return file.tensors().contains("pos_embed.proj.weight") &&
         file.tensors().contains("transformer_blocks.0.norm1.linear.weight");
}

DiTConfig read_diffusers_dit_config(const nlohmann::json& object, const std::string& where) {
  const ConfigReader reader(object, where);
  std::string class_name = "DiTTransformer2DModel", norm_type = "ada_norm_zero";
  reader.read("_class_name", class_name, {"DiTTransformer2DModel", "Transformer2DModel"});
  reader.read("norm_type", norm_type, {"ada_norm_zero"});
  // The defaults are those of the class, for files that leave them out.
  DiTConfig config;
  int64_t head_width = 72, out_channels = 0;
  config.num_heads = 16;
  config.depth = 28;
  reader.read("num_attention_heads", config.num_heads, 1, 1024);
  reader.read("attention_head_dim", head_width, 1, 4096);
  reader.read("num_layers", config.depth, 1, 1024);
  reader.read("in_channels", config.in_channels, 1, 256);
  reader.read("sample_size", config.input_size, 1, 4096);
  reader.read("patch_size", config.patch_size, 1, 64);
  reader.read("num_embeds_ada_norm", config.num_classes, 1, 10'000'000);
  reader.read("out_channels", out_channels, 1, 512);
  config.hidden_size = config.num_heads * head_width;
  config.learn_sigma = out_channels == 2 * config.in_channels;
  check(out_channels == 0 || out_channels == config.in_channels || config.learn_sigma, ErrorKind::input,
        where, ": \"out_channels\" is ", out_channels, ", expected ", config.in_channels, " or ",
        2 * config.in_channels);
  return config;
}

std::optional<Shape> DiffusersDiTWeights::shape(const std::string& name) const {
  const KeyPlace place = place_of(*file_, name);
  if (place.names.empty()) return std::nullopt;
  const auto found = file_->tensors().find(place.names[0]);
  if (found == file_->tensors().end() || found->second.shape.size() > Shape::kMaxRank) return std::nullopt;
  std::vector<int64_t> extents = found->second.shape;
  if (place.kind == KeyPlace::Kind::joined && !extents.empty()) extents[0] *= 3;
  return Shape(extents);
}

Tensor DiffusersDiTWeights::load(const std::string& name, const Shape& expected, DType dtype) const {
  const KeyPlace place = place_of(*file_, name);
  check(!place.names.empty(), ErrorKind::input, file_->path(), ": no tensor for \"", name, "\"");
  if (place.kind != KeyPlace::Kind::joined) {
    const auto& tensors = file_->tensors();
    for (const std::string& copy : place.names) {
      if (copy == place.names[0]) continue;
      const auto a = tensors.at(place.names[0]).bytes, b = tensors.at(copy).bytes;
      check(std::ranges::equal(a, b), ErrorKind::input, file_->path(), ": tensors \"", place.names[0],
            "\" and \"", copy, "\" differ, expected copies: a DiT has one embedder");
    }
    return file_->load(place.names[0], expected, dtype);
  }
  std::vector<Tensor> thirds;
  for (const std::string& third : place.names)
    thirds.push_back(file_->load(third, third_of(expected, name), dtype));
  return stacked(thirds);
}

Int8Weight DiffusersDiTWeights::load_int8(const std::string& name, const Shape& expected,
                                          const Tensor& sizes) const {
  const KeyPlace place = place_of(*file_, name);
  const FileWeights file(*file_);
  if (place.kind != KeyPlace::Kind::joined)
    return place.names.empty() ? WeightSource::load_int8(name, expected, sizes)
                               : file.load_int8(place.names[0], expected, sizes);
  std::vector<Int8Weight> thirds;
  for (const std::string& third : place.names)
    thirds.push_back(file.load_int8(third, third_of(expected, name), sizes));
  return stacked(thirds);
}

std::vector<std::string> DiffusersDiTWeights::stored_names(const std::string& name) const {
  return place_of(*file_, name).names;
}

Shape DiffusersDiTWeights::third_of(const Shape& expected, const std::string& name) const {
  check(expected[0] % 3 == 0, ErrorKind::input, file_->path(), ": ", name, " has ", expected[0], " rows");
  return expected.with(0, expected[0] / 3);
}

}  // namespace tstitch
