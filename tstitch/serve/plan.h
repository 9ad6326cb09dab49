// From what a request says to a run that is decided and checked, before it waits for its turn.
#pragma once

#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tstitch/engine/fields.h"
#include "tstitch/engine/memory_check.h"
#include "tstitch/engine/run_spec.h"
#include "tstitch/serve/catalog.h"
#include "tstitch/serve/limits.h"

namespace tstitch::serve {

// What a request says, whatever its dialect.
struct Request {
  Said said;                              // by the names of fields; models and LoRAs by their names
  std::map<std::string, Image> pictures;  // that `init_image` and `mask` mean
  // A text that is the prompt of a model of texts, and names the class of another: "" is then any class.
  std::optional<std::string> subject;
  // Sizes that the model has not become its nearest; `notes` says so.
  bool nearest_size = false;
  // Fields that the client's program says on its own account: without effect they are left out.
  std::set<std::string> unasked;
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
  // Throws Error{usage} where what the server says of runs is wrong, whatever requests say.
  void check_own() const;
  // A message with names in place of the server's paths.
  std::string in_names(const std::string& message) const;
  // The words of textual inversions, and how many vectors stand for each; none for one that cannot be read.
  std::map<std::string, std::optional<int64_t>> embeddings() const;
  // The models that a request means, in order of use; `said` by their names.
  std::vector<ModelInfo> models_of(const Said& said) const;

 private:
  std::shared_ptr<const Plan> planned(Request request) const;
  template <class F>
  auto named(F work) const;
  // of_text: where none is named, models of texts are meant.
  Said with_paths(const Said& said, bool of_text) const;
  void check_limits(const Said& said) const;

  const Catalog& catalog_;
  const Said before_;
  const Limits& limits_;
  const BackendOptions device_;
};

// How a request may say a field.
enum class Saying {
  value,  // as on the command line
  model,  // names of models, and of LoRAs: never paths
  lora,
  stages,   // the same within stages
  picture,  // a PNG or JPEG file in base64, with or without "data:image/png;base64," before it
  refused,  // it is the server's, or names a file
};
Saying saying_of(std::string_view field);

// An object of fields as Request::said and pictures: what is not known, or not a client's to say, is refused
// by its name. Beside the fields of the table it may have "stages", a list of objects with the keys of
// --stage, and names of models with "+" between.
Request read_request(const nlohmann::json& object, const Catalog& catalog);

// What a transparent picture means: of a mask its opacity, of another what it looks like on white; what is
// opaque throughout is itself.
Image opaque(const TransparentImage& picture, bool is_mask);

// The picture that a field holds. Throws Refusal naming `field`.
Image read_base64_picture(const std::string& field, const std::string& text);

}  // namespace tstitch::serve
