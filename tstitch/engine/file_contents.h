// What the files of a run hold. A picture keeps it, so that --like makes no other one of files that have
// changed since.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tstitch {

class Embedding;
struct ControlNetInfo;
struct Lora;
struct ModelInfo;
struct RunSpec;

struct FileContent {
  std::string field, path;  // which field names the file (fields.h), and as it does
  std::string content;      // "crc32 0123abcd"

  bool operator==(const FileContent&) const = default;
};

// Throws Error{usage} naming `option` for what to_string would not write.
FileContent parse_file_content(const std::string& option, const std::string& text);
std::string to_string(const FileContent& file);  // "lora:fox.safetensors:crc32 0123abcd"

FileContent held_by(const Lora& lora);
FileContent held_by(const Embedding& embedding);
FileContent held_by(const ControlNetInfo& net);

// Throws Error{input} naming file and option where `known`, by an earlier run, has the file with something
// else in it. said: who names the file, "--stage 2: lora=", where not only its field's option can: it is
// taken as it is now by the one that named it.
void check_unchanged(std::span<const FileContent> known, const FileContent& file,
                     const std::string& said = "");

// Reads what a file of that field holds, which `contents` have afterwards. Throws as check_unchanged where
// they had something else before.
void take_content(std::vector<FileContent>& contents, std::string_view field, const std::string& path);

// Of all files of a run beside its models and their autoencoder, which are too large to be read twice. Of
// those that read_files reads, what spec.options.contents have.
std::vector<FileContent> contents_of(const RunSpec& spec, std::span<const ModelInfo> models);

}  // namespace tstitch
