// What a server has to offer, by name: requests never say where a file is.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace tstitch::serve {

// Paths, and what clients see in place of them.
using PathNames = std::vector<std::pair<std::string, std::string>>;
// The message with names for these paths, and for what lies below them.
std::string with_names(std::string message, PathNames names);
// "b" of "/a/b" and of "/a/b/".
std::string name_without_folder(const std::string& path);

struct CatalogOptions {
  std::vector<std::string> models;  // paths, or the names of demo models
  std::string models_dir, lora_dir;
};

// Threads may ask at once.
class Catalog {
 public:
  // With neither models nor a folder of them: the demo families.
  explicit Catalog(CatalogOptions options);

  // Looks into the folders again.
  void refresh();

  // By name, in the order of names. What is not a model by its name or its parts (a shard, a ControlNet, an
  // autoencoder, ...) is none; what cannot be read is one, so that whoever asks for it is told why. A model's
  // name is the file's or folder's in the folder of models or below it, without its ending: "sdxl/base"; with
  // it where two differ in nothing else.
  std::vector<std::string> models() const;
  std::vector<std::string> loras() const;
  // What requests mean that name no model: those of the command line, a demo family, of text where that is
  // asked for and it is there, or the first.
  std::vector<std::string> usual(bool of_text = false) const;
  // What people choose among: those that are usual together, "small+large", and each.
  std::vector<std::string> choices() const;

  // One name, or several with "+" between, in order of use: "small+large". Throws Refusal{404} for a name
  // that is not there, with those that are.
  std::vector<std::string> split(const std::string& name) const;
  std::string model_path(const std::string& name) const;
  std::string lora_path(const std::string& name) const;
  // Of a path that model_path or lora_path gave; of any other, what it is called without its folder.
  std::string name_of(const std::string& path) const;
  // All paths that it knows.
  PathNames path_names() const;

 private:
  using Paths = std::map<std::string, std::string>;  // by name

  const CatalogOptions options_;
  mutable std::mutex mutex_;
  Paths models_, loras_;
  std::vector<std::string> usual_, usual_of_text_;
};

}  // namespace tstitch::serve
