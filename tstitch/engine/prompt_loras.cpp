#include "tstitch/engine/prompt_loras.h"

#include <algorithm>
#include <filesystem>

#include "tstitch/base/error.h"
#include "tstitch/base/join.h"
#include "tstitch/engine/lora_options.h"

namespace tstitch {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kEndings[] = {".safetensors", ".pt", ".ckpt", ".bin"};

std::vector<std::string> files_named(const std::string& name, const std::string& folder) {
  std::vector<std::string> found;
  std::error_code error;
  for (fs::recursive_directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    const fs::path& path = at->path();
    if (path.stem() == name && std::ranges::count(kEndings, path.extension().string()))
      found.push_back(path.string());
  }
  check(!error, ErrorKind::usage, "--lora-dir \"", printable(folder), "\" cannot be read: ", error.message());
  std::ranges::sort(found);
  return found;
}

std::string file_of(const std::string& name, const std::string& folder) {
  const std::vector<std::string> found = files_named(name, folder);
  check(!found.empty(), ErrorKind::usage, "the prompt names the LoRA \"", printable(name),
        "\", and there is no such file in \"", printable(folder), "\"");
  check(found.size() == 1, ErrorKind::usage, "the prompt names the LoRA \"", printable(name),
        "\", of which there are ", found.size(), " in --lora-dir: ", printable(join(found), 400));
  return found[0];
}

}  // namespace

Said with_loras_of_prompts(const Said& said) {
  const auto folder = said.find("lora_dir");
  if (folder == said.end()) return said;
  Said all = said;
  all.erase("lora_dir");
  const bool any = take_loras_of_prompts(
      all, [&](const std::string& name) { return file_of(name, folder->second.at(0)); });
  check(any, ErrorKind::usage,
        "--lora-dir has no effect here: no prompt names a LoRA, as <lora:NAME:WEIGHT>");
  return all;
}

bool take_loras_of_prompts(Said& said, const std::function<std::string(const std::string& name)>& file_of) {
  const auto prompt = said.find("prompt");
  if (prompt == said.end()) return false;
  Texts& prompts = prompt->second;
  std::vector<LoraTag> tags;
  for (size_t i = 0; i < prompts.size(); ++i) {
    const std::vector<LoraTag> own = take_lora_tags(prompts[i]);
    check(i == 0 || own == tags, ErrorKind::usage,
          "the prompts of a run name the same LoRAs, and that of image ", i + 1,
          " names others than the first");
    tags = own;
  }
  for (const LoraTag& tag : tags)
    said["lora"].push_back(to_string(LoraOption{file_of(tag.name), tag.weight}));
  return !tags.empty();
}

}  // namespace tstitch
