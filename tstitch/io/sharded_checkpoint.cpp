#include "tstitch/io/sharded_checkpoint.h"

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "tstitch/io/checkpoint.h"
#include "tstitch/io/json.h"
#include "tstitch/io/refuse.h"
#include "tstitch/io/weight_scales.h"

namespace tstitch {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMostShards = 1024;

// shard -> the tensors that the index says it holds.
std::map<std::string, std::set<std::string>> read_index(const std::string& path) {
  const nlohmann::json index = parse_json_file(path);
  const auto map = index.is_object() ? index.find("weight_map") : index.end();
  if (map == index.end() || !map->is_object())
    refuse(path, "SHARD_INDEX", "expected an object with \"weight_map\": {tensor: file}");
  std::map<std::string, std::set<std::string>> shards;
  for (const auto& [tensor, file] : map->items()) {
    const std::string name = file.is_string() ? file.get<std::string>() : "";
    // Nothing but the folder of the index is opened, whatever the index says.
    if (name.empty() || name == "." || name == ".." ||
        name.find_first_of(std::string_view("/\0", 2)) != std::string::npos)
      refuse(path, "SHARD_INDEX", "tensor \"", printable(tensor, 80), "\" is in \"", printable(name, 80),
             "\", expected the name of a file beside the index");
    shards[name].insert(tensor);
    if (shards.size() > kMostShards) refuse(path, "RES_LIMIT", "more than ", kMostShards, " shards");
  }
  return shards;
}

}  // namespace

bool is_shard_index(const std::string& path) {
  return path.ends_with(".json") && fs::path(path).stem().string().find(".index") != std::string::npos;
}

TensorFile read_sharded_checkpoint(const std::string& index_path) {
  TensorFile::Tensors tensors;
  TensorFile::Metadata metadata;
  std::vector<TensorFile> shards;
  for (const auto& [name, promised] : read_index(index_path)) {
    const TensorFile& shard =
        shards.emplace_back(open_shard((fs::path(index_path).parent_path() / name).string()));
    for (const std::string& tensor : promised) {
      const auto found = shard.tensors().find(tensor);
      if (found == shard.tensors().end())
        refuse(index_path, "SHARD_MISSING", "\"", printable(name, 80), "\" has no tensor \"",
               printable(tensor, 80), "\", which the index promises");
      tensors.insert(*found);
    }
    metadata.insert(shard.metadata().begin(), shard.metadata().end());
  }
  attach_scales(tensors, index_path);
  for (const TensorFile& shard : shards) check_quantization_metadata(tensors, shard.metadata(), shard.path());
  return TensorFile(index_path, std::move(tensors), std::move(metadata));
}

}  // namespace tstitch
