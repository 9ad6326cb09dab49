#include "tstitch/engine/prompt_loras.h"

#include <map>

#include "tstitch/base/error.h"
#include "tstitch/base/join.h"
#include "tstitch/engine/checkpoint_folder.h"
#include "tstitch/engine/lora_options.h"
#include "tstitch/text/lora_tags.h"

namespace tstitch {
namespace {

using Files = std::map<std::string, std::vector<std::string>>;

std::string file_of(const LoraTag& tag, const Files& files, const std::string& folder) {
  const auto named = files.find(tag.name);
  const std::vector<std::string> found = named == files.end() ? Files::mapped_type() : named->second;
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
  const std::string& path = folder->second.at(0);
  const Files files = checkpoints_below("--lora-dir", path);
  for (const LoraTag& tag : tags)
    all["lora"].push_back(to_string(LoraOption{file_of(tag, files, path), tag.weight}));
  return all;
}

}  // namespace tstitch
