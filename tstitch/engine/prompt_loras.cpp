#include "tstitch/engine/prompt_loras.h"

#include <map>

#include "tstitch/base/error.h"
#include "tstitch/base/join.h"
#include "tstitch/engine/checkpoint_folder.h"
#include "tstitch/engine/lora_options.h"
#include "tstitch/text/unsupported_grammar.h"

namespace tstitch {
namespace {

using Files = std::map<std::string, std::vector<std::string>>;

std::string file_of(const std::string& name, const Files& files, const std::string& folder) {
  const auto named = files.find(name);
  const std::vector<std::string> found = named == files.end() ? Files::mapped_type() : named->second;
  check(!found.empty(), ErrorKind::input, "the prompt names the LoRA \"", printable(name),
        "\", and there is no such file in \"", printable(folder), "\"");
  check(found.size() == 1, ErrorKind::usage, "the prompt names the LoRA \"", printable(name),
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
  const std::string& path = folder->second.at(0);
  Files files;  // read where a prompt names one
  const bool any = take_loras_of_prompts(all, [&](const std::string& name) {
    if (files.empty()) files = checkpoints_below("--lora-dir", path);
    return file_of(name, files, path);
  });
  // Who names one where it cannot be has more to know.
  if (const auto negative = all.find("negative_prompt"); !any && negative != all.end())
    check_prompt(negative->second.at(0), PromptStyle::webui, AndMeans::word);
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
