#include "apps/files_of_server.h"

#include <algorithm>
#include <filesystem>

#include "tstitch/base/error.h"
#include "tstitch/base/join.h"
#include "tstitch/engine/checkpoint_folder.h"
#include "tstitch/engine/control_options.h"
#include "tstitch/engine/lora_options.h"
#include "tstitch/engine/stage_options.h"
#include "tstitch/text/lora_tags.h"

namespace tstitch {
namespace {

// Whether it is what a server calls a file, in pictures as in requests: by no folder of its own, and without
// an ending.
bool is_name_of_server(const std::string& path) {
  std::error_code ignored;
  return !std::filesystem::exists(path, ignored) && !is_checkpoint(path);
}

constexpr const char* kOfServer =
    "and there is no such file here: pictures of a server have its names for files. Name ";

// The file below --lora-dir that a server called so. again: the option that names it otherwise.
std::string lora_of_server(const std::string& picture, const Said& said, const std::string& name,
                           const char* again) {
  std::vector<std::string> found;
  if (const auto folder = said.find("lora_dir"); folder != said.end()) {
    const auto files = checkpoints_below("--lora-dir", folder->second.at(0));
    const auto named = files.find(std::filesystem::path(name).filename().string());
    for (const std::string& path : named == files.end() ? std::vector<std::string>() : named->second)
      if (std::filesystem::path(path).replace_extension().string().ends_with("/" + name))
        found.push_back(path);
  }
  check(!found.empty(), ErrorKind::input, "--like \"", printable(picture), "\" has the LoRA \"",
        printable(name), "\", ", kOfServer, "the file with ", again, ", or its folder with --lora-dir");
  check(found.size() == 1, ErrorKind::usage, "--like \"", printable(picture), "\" has the LoRA \"",
        printable(name), "\", of which there are ", found.size(),
        " in --lora-dir: ", printable(join(found), 400));
  return found[0];
}

}  // namespace

void find_files_of_server(const std::string& picture, const Said& user, Said& like, Said& said) {
  const auto is_open = [&](std::string_view field) { return like.contains(field) && !user.contains(field); };
  const auto prompts = user.find("prompt");
  const bool prompts_name_them =
      prompts != user.end() && std::ranges::any_of(prompts->second, [](const std::string& prompt) {
        return !find_lora_tag(prompt).empty();
      });
  const auto find = [&](LoraOption& lora, const char* again) {
    if (lora.path == "none" || !is_name_of_server(lora.path)) return;
    lora.path = lora_of_server(picture, user, lora.path, again);
    if (!prompts_name_them) said.erase("lora_dir");
  };
  if (is_open("lora") && !prompts_name_them)
    for (std::string& text : like["lora"]) {
      LoraOption lora = parse_lora("--like", text);
      find(lora, "--lora FILE:WEIGHT");
      text = to_string(lora);
    }
  const auto models = models_said(user), models_there = models_said(like);
  const bool stages_go = models && models_there && *models != *models_there;  // see merged()
  if (is_open("stage") && !stages_go)
    for (std::string& text : like["stage"]) {
      StageOptions stage = parse_stage(text);
      for (LoraOption& lora : stage.loras) find(lora, "--stage lora=FILE:WEIGHT");
      text = to_string(stage);
    }
  if (is_open("control_net"))
    for (const std::string& text : like["control_net"]) {
      const std::string name = parse_control("--like", text).path;
      check(!is_name_of_server(name), ErrorKind::input, "--like \"", printable(picture),
            "\" has the ControlNet \"", printable(name), "\", ", kOfServer,
            "it and the picture that it follows with --control-net FILE,image=PNG");
    }
}

}  // namespace tstitch
