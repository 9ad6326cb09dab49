#include "tstitch/engine/file_contents.h"

#include <algorithm>
#include <utility>

#include "tstitch/base/error.h"
#include "tstitch/base/hash.h"
#include "tstitch/engine/fields.h"
#include "tstitch/engine/naming_option.h"
#include "tstitch/engine/run_spec.h"
#include "tstitch/io/file.h"
#include "tstitch/zoo/control_net.h"

namespace tstitch {
namespace {

// Where `all` have that file of that field.
auto find_in(auto& all, std::string_view field, const std::string& path) {
  return std::ranges::find_if(all,
                              [&](const FileContent& one) { return one.field == field && one.path == path; });
}

std::string crc32_text(const std::string& digits) { return concat("crc32 ", digits); }

}  // namespace

FileContent parse_file_content(const std::string& option, const std::string& text) {
  const size_t first = text.find(':'), last = text.rfind(':');  // a path may have some, too
  check(first != text.npos && first < last, ErrorKind::usage, option, " is \"", printable(text),
        "\", expected FIELD:PATH:CONTENT");
  return {.field = text.substr(0, first),
          .path = text.substr(first + 1, last - first - 1),
          .content = text.substr(last + 1)};
}

std::string to_string(const FileContent& file) {
  return concat(file.field, ':', file.path, ':', file.content);
}

FileContent held_by(const Lora& lora) {
  return {.field = "lora", .path = lora.path, .content = crc32_text(lora.content)};
}

FileContent held_by(const Embedding& embedding) {
  return {.field = "embedding", .path = embedding.path(), .content = crc32_text(embedding.content())};
}

FileContent held_by(const ControlNetInfo& net) {
  return {.field = "control_net", .path = net.path, .content = net.content};
}

void check_unchanged(std::span<const FileContent> known, const FileContent& file, const std::string& said) {
  const auto before = find_in(known, file.field, file.path);
  if (before == known.end() || before->content == file.content) return;
  const std::string again = said.empty() ? "" : concat(" with ", said.substr(0, said.find(' ')));
  fail(ErrorKind::input, said.empty() ? field_named(file.field).option() : said, " \"", printable(file.path),
       "\" is not what it was for that picture: it holds ", file.content, ", expected ",
       printable(before->content), "; name it again", again, " to take it as it is now");
}

void take_content(std::vector<FileContent>& contents, std::string_view field, const std::string& path) {
  const uint32_t crc =
      naming_option(field_named(field).option(), [&] { return crc32_of_file(path, 0, [] {}); });
  const FileContent file = {
      .field = std::string(field), .path = path, .content = crc32_text(hex(crc).substr(8))};
  check_unchanged(contents, file);
  if (find_in(contents, field, path) == contents.end()) contents.push_back(file);
}

std::vector<FileContent> contents_of(const RunSpec& spec, std::span<const ModelInfo> models) {
  const SampleOptions& options = spec.options;
  const SampleOptions::Files& files = options.files;
  std::vector<FileContent> contents;
  const auto add = [&](FileContent file) {
    if (find_in(contents, file.field, file.path) == contents.end()) contents.push_back(std::move(file));
  };
  const auto add_read = [&](std::string_view field, const std::string& path) {
    if (const auto read = find_in(options.contents, field, path); read != options.contents.end()) add(*read);
  };
  for (const ModelInfo& model : models) {
    for (const Lora& lora : model.loras) add(held_by(lora));
    for (const ModelControl& control : model.controls) add(held_by(*control.net));
  }
  for (const Embedding& embedding : spec.embeddings) add(held_by(embedding));
  for (const ControlOption& control : options.controls) add_read("control_net", control.image);
  for (const auto& [field, path] : {std::pair("init_image", files.init_image),
                                    {"mask", files.mask},
                                    {"init_latent", files.init_latent},
                                    {"noise", files.noise},
                                    {"uncond", files.null_context}})
    add_read(field, path);
  return contents;
}

}  // namespace tstitch
