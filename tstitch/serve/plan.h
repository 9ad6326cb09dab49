// From what a request says to a run that is decided and checked, before it waits for its turn.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tstitch/engine/fields.h"
#include "tstitch/engine/memory_check.h"
#include "tstitch/engine/run_spec.h"
#include "tstitch/serve/catalog.h"
#include "tstitch/serve/limits.h"
#include "tstitch/serve/refusal.h"

namespace tstitch::serve {

// What a request says, whatever its dialect.
struct Request {
  Said said;  // by the names of fields; models, LoRAs and ControlNets by their names
  std::map<std::string, Image> pictures;  // that `init_image`, `mask` and the ControlNets mean
  // Those of them that may not be cut to the shape of the picture that is made, with what says so.
  std::map<std::string, Refusal> uncut;
  // A text that is the prompt of a model of texts, and names the class of another: "" is then any class.
  std::optional<std::string> subject;
  // Sizes that the model has not become its nearest; `notes` says so.
  bool nearest_size = false;
  // Fields that the client's program says on its own account: without effect they are left out.
  std::set<std::string> unasked;
  std::vector<std::string> notes;  // what its dialect has done otherwise than asked, a sentence each
};

// A run and what it needs.
struct Plan {
  std::vector<ModelInfo> models;
  RunSpec spec;
  std::string vae;  // the autoencoder's path, "" where latents are pictures
  MemoryNeed need;
  std::vector<bool> used;          // of every model whether it serves a step
  std::vector<std::string> names;  // of the models, as requests say them
  std::vector<std::string> notes;  // what was done otherwise than asked, a sentence each
};

// Which model serves a stage, and in which cheaper form: "sd [merge=0.5]".
std::string stage_name(const Plan& plan, size_t stage);

class Planner {
 public:
  // before: what the command line of the server says where a request is silent.
  Planner(const Catalog& catalog, Said before, const Limits& limits, const BackendOptions& device);

  // Throws Refusal, and Error for what the engine refuses; no message says where a file of the server is.
  std::shared_ptr<const Plan> plan(Request request) const;
  // What a request that says nothing comes to, or null where there is no model. Throws Error where what the
  // server says of runs is wrong, whatever requests say.
  std::shared_ptr<const Plan> check_own() const;
  // A message with names in place of the server's paths.
  std::string in_names(const std::string& message) const;
  // An error of the job that runs `plan`, as plan() would have said it.
  Refusal refusal(const Error& error, const Plan& plan) const;
  // The words of textual inversions, and how many vectors stand for each; none for one that cannot be read.
  std::map<std::string, std::optional<int64_t>> embeddings() const;
  // The models that a request means, in order of use; `said` by their names.
  std::vector<ModelInfo> models_of(const Said& said) const;
  // Of every model the ControlNets that can steer it, by name; what can no longer be read is not there.
  std::vector<std::vector<std::string>> controls_of(const std::vector<ModelInfo>& models) const;

 private:
  std::shared_ptr<const Plan> planned(Request request) const;
  template <class F>
  auto named(F work) const;
  // Said by their paths. Throws Refusal{404} for what the catalog has found and can be read no more.
  std::vector<ModelInfo> read(const Said& said) const;
  // of_text: where none is named, models of texts are meant.
  Said with_paths(const Said& said, bool of_text) const;
  void check_limits(const Said& said) const;
  Request silent_request() const;

  using Stamp = std::pair<std::filesystem::file_time_type, uintmax_t>;  // of a file: when written, bytes
  static Stamp stamp_of(const std::string& path);

  // The words of a file of embeddings and how many vectors stand for each, as it was when it was read.
  struct KnownWords {
    Stamp stamp = {};
    std::vector<std::string> names;
    std::optional<int64_t> vectors;  // nothing where it cannot be read
  };
  KnownWords words_of(const std::string& path, const std::string& name) const;

  // What the files of a ControlNet hold (tstitch::content_of), read again where one has changed: a request
  // does not wait for gigabytes.
  std::string content_of_control(const ModelFiles& files) const;
  struct KnownContent {
    std::vector<Stamp> stamps;
    std::string content;
  };

  const Catalog& catalog_;
  const Said before_;
  const Limits& limits_;
  const BackendOptions device_;
  mutable std::mutex words_mutex_;
  mutable std::map<std::pair<std::string, std::string>, KnownWords> words_;  // by path and given name
  mutable std::mutex contents_mutex_;
  mutable std::map<std::string, KnownContent> contents_;  // by the path of the weights
};

// How a request may say a field.
enum class Saying {
  value,  // as on the command line
  model,  // names of models, of LoRAs and of ControlNets: never paths
  lora,
  control,  // with the picture to follow, as below
  stages,   // the same within stages
  picture,  // a PNG or JPEG file in base64, with or without "data:image/png;base64," before it
  refused,  // it is the server's, or names a file
};
Saying saying_of(std::string_view field);
// Whether read_request knows the name, if only to refuse it with a reason.
bool is_of_runs(const std::string& name);

// An object of fields as Request::said and pictures: what is not known, or not a client's to say, is refused
// by its name. Beside the fields of the table it may have "stages", a list of objects with the keys of
// --stage, and names of models with "+" between; "control_net" is an object, or a list of them, with "name",
// "image" and the other keys of --control-net.
Request read_request(const nlohmann::json& object, const Catalog& catalog);

// What a transparent picture means: of a mask its opacity, of another what it looks like on white; what is
// opaque throughout is itself.
Image opaque(const TransparentImage& picture, bool is_mask);

// A ControlNet by its name that follows the picture, added to what the request says; returns the name that
// the picture has there. base64: the picture's file, which messages call `field`.
std::string add_control(Request& request, ControlOption control, const std::string& field,
                        const std::string& base64);
// Throws Refusal{413} where there are too many ControlNets, or the pictures are too large together: small
// files may be large pictures.
void check_pictures(const Request& request);

// The picture that a field holds. Throws Refusal naming `field`.
Image read_base64_picture(const std::string& field, const std::string& text);

}  // namespace tstitch::serve
