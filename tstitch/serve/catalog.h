// What a server has to offer, by name: requests never say where a file is.
#pragma once

#include <functional>
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

// Throw Error for a path that is no model, no LoRA, or no ControlNet; they read headers and configurations
// only.
void read_as_model(const std::string& path);
void read_as_lora(const std::string& path);
void read_as_control_net(const std::string& path);

struct CatalogOptions {
  std::vector<std::string> models;  // paths, or the names of demo models
  std::string models_dir, lora_dir;
  std::string control_dir = {};
  // Asked of everything in the folders; what they throw says why it is left out.
  std::function<void(const std::string&path)> read_model = read_as_model, read_lora = read_as_lora,
                                              read_control = read_as_control_net;
  // Told what is left out, each thing once, unless it is plainly something else (a LoRA among models, a
  // pipeline among ControlNets); of a folder that holds no model, and why looking again failed.
  std::function<void(const std::string& message)> say = [](const std::string&) {};
};

// Threads may ask at once.
class Catalog {
 public:
  // With neither models nor a folder of them: the demo families. Throws Error for a folder that cannot be
  // read, and for two models of one name.
  explicit Catalog(CatalogOptions options);

  // Looks into the folders again. What the constructor throws Error for is then the server's trouble, and no
  // request's: it throws Refusal{503}, and what was found before stays.
  void refresh();

  // By name, in the order of names. What is not a model by its name or its parts (a shard, a ControlNet, an
  // autoencoder, ...) is none, nor is what cannot be read: who asks for that is told why. A model's name is
  // the file's or folder's in the folder of models or below it, without its ending: "sdxl/base"; with it
  // where two differ in nothing else.
  std::vector<std::string> models() const;
  std::vector<std::string> loras() const;
  std::vector<std::string> controls() const;
  // What requests mean that name no model: those of the command line, a demo family, of text where that is
  // asked for and it is there, or the first.
  std::vector<std::string> usual(bool of_text = false) const;
  // Whether nobody said so: it is the first of a folder.
  bool usual_is_a_guess() const { return options_.models.empty() && !options_.models_dir.empty(); }
  // What people choose among: those that are usual together, "small+large", and each.
  std::vector<std::string> choices() const;

  // One name, or several with "+" between, in order of use: "small+large". Throws Refusal{404} for a name
  // that is not there, with those that are.
  std::vector<std::string> split(const std::string& name) const;
  std::string model_path(const std::string& name) const;
  std::string lora_path(const std::string& name) const;
  std::string control_path(const std::string& name) const;
  // Throws Refusal{404}, as for what was left out, where one of these gave the path and what lay there has
  // changed since: it can be read no more, or is gone.
  void check_readable(const std::string& path) const;
  // Of a path that one of these gave; of any other, what it is called without its folder.
  std::string name_of(const std::string& path) const;
  // All paths that it knows.
  PathNames path_names() const;

 private:
  using Paths = std::map<std::string, std::string>;  // by name

  void look();
  // What of a kind is there, by name, and why the rest is left out.
  struct Shelf {
    Paths paths, left_out;
  };
  // What was found, parted by whether `read` can read it. is_other: of what it cannot, whether that is
  // plainly something else, of which nothing is said. before: what was said already.
  Shelf readable(const char* option, Paths found, const std::function<void(const std::string&)>& read,
                 bool (*is_other)(const std::string&), const Shelf& before) const;
  PathNames names_of_folders() const;
  // Throws Refusal for one of what a shelf has left out.
  [[noreturn]] void refuse_left_out(const Paths::value_type& one, const char* kind, const char* field) const;
  // By name, or by the last part of it where only one has that.
  std::string path_of(const Shelf& shelf, const std::string& name, const char* kind, const char* field) const;

  const CatalogOptions options_;
  std::mutex refreshing_;
  mutable std::mutex mutex_;
  Shelf models_, loras_, controls_;
  std::vector<std::string> usual_, usual_of_text_;
};

}  // namespace tstitch::serve
