#include "tstitch/engine/prompt_loras.h"

#include <algorithm>
#include <filesystem>

#include "tstitch/base/error.h"
#include "tstitch/base/join.h"
#include "tstitch/engine/lora_options.h"
#include "tstitch/text/lora_tags.h"

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

std::string file_of(const LoraTag& tag, const std::string& folder) {
  const std::vector<std::string> found = files_named(tag.name, folder);
  check(!found.empty(), ErrorKind::usage, "the prompt names the LoRA \"", printable(tag.name),
        "\", and there is no such file in \"", printable(folder), "\"");
  check(found.size() == 1, ErrorKind::usage, "the prompt names the LoRA \"", printable(tag.name),
        "\", of which there are ", found.size(), " in --lora-dir: ", printable(join(found), 400));
  return found[0];
}

}  // namespace

Said with_loras_of_prompts(const Said& said, const Said& before) {
  const auto folder = said.find("lora_dir");
  if (folder == said.end()) return said;
  const Said both = merged(before, said);
  const auto style = both.find("prompt_style");
  check(
      style == both.end() || style->second != Texts{std::string(name_of(PromptStyle::plain))},
      ErrorKind::usage,
      "--lora-dir has no effect here: with --prompt-style plain prompts are taken as they stand and name no "
      "LoRAs; name them with --lora");
  Said all = said;
  all.erase("lora_dir");
  std::vector<LoraTag> tags;
  Texts& prompts = all["prompt"];
  for (size_t i = 0; i < prompts.size(); ++i) {
    const std::vector<LoraTag> own = take_lora_tags(prompts[i]);
    check(i == 0 || own == tags, ErrorKind::usage,
          "the prompts of a run name the same LoRAs, and that of image ", i + 1,
          " names others than the first");
    tags = own;
  }
  check(!tags.empty(), ErrorKind::usage,
        "--lora-dir has no effect here: no prompt names a LoRA, as <lora:NAME:WEIGHT>");
  for (const LoraTag& tag : tags)
    all["lora"].push_back(to_string(LoraOption{file_of(tag, folder->second.at(0)), tag.weight}));
  return all;
}

}  // namespace tstitch
