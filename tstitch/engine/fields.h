// The one list of what can be said about a run. Command line, JSON report, PNG text, manifest, plans and
// requests are walks over it; a new option is a row.
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tstitch/engine/run_spec.h"
#include "tstitch/engine/sample_options.h"
#include "tstitch/zoo/model_info.h"

namespace tstitch {

using Texts = std::vector<std::string>;

// Groups of the help.
inline constexpr std::string_view kModels = "Models", kTrajectory = "Trajectory", kImages = "Images",
                                  kRun = "Run";

// Those that say who serves which step.
inline constexpr std::string_view kShareFields[] = {"ratio", "fractions", "switch_step", "switch",
                                                    "assignment"};

struct Field {
  enum class Form {
    value,
    values,  // may be given several times
    flag,
  };

  std::string_view name;   // in JSON
  std::string_view flags;  // on the command line; the first is what messages say
  std::string_view group;
  std::string help;
  bool common = false;  // whether the short help shows it
  Form form = Form::value;
  bool may_be_empty = false;
  bool of_models = false;  // in another group than that of the models, which depend on it: read with those
  bool passing = false;    // says how fast, not what: a picture does not keep it
  std::string replaces;    // names, with commas between: what answers the same question

  // The option's value from its texts, one unless the form says otherwise. Throws Error{usage} that names the
  // option. models: in order of use; none for fields that say which.
  void (*parse)(const Field&, const Texts&, SampleOptions&, std::span<const ModelInfo> models) = nullptr;
  // Its value, which `parse` reads again; null where it has none.
  nlohmann::json (*print)(const SampleOptions&) = nullptr;

  // What the run has, where the options may leave it open.
  nlohmann::json (*decided)(const RunSpec&) = nullptr;

  // Why it has no effect on such a run: "it is for ddim, and the sampler is euler"; "", or nobody to ask,
  // where it has one.
  std::string (*idle)(const RunSpec&, std::span<const ModelInfo>) = nullptr;
  // What of it determines the bytes of the pictures; null where that is said by the trajectory or the files.
  nlohmann::json (*identity)(const Field&, const RunSpec&) = nullptr;
  std::string_view label;                              // in the parameters of a PNG file, or none
  std::string (*spelt)(const std::string&) = nullptr;  // its value there, where that is not ours
  std::string_view neutral;                            // the value that goes without saying

  std::string option() const;  // "--cfg-scale"
  bool goes_without_saying(const Texts& texts) const;
};

std::span<const Field> fields();
const Field* find_field(std::string_view name);   // null for an unknown one
const Field& field_named(std::string_view name);  // Error{internal} for an unknown one

// What was said, by the names of the fields.
using Said = std::map<std::string, Texts, std::less<>>;

// Throws Error{usage} where two fields that replace each other are said.
void check_exclusive(const Said& said);

// Whether the run is told in words what to paint: then models of texts are meant where none is named.
bool says_text(const Said& said);
// How many models are said, apart from a --stage model=; nothing where none is.
std::optional<size_t> models_said(const Said& said);

// The options that say which models (SampleOptions::models and below); and, once these have been read, all,
// with the files that they name. Throws Error{usage} for what is wrong.
SampleOptions parse_models(const Said& said);
SampleOptions parse_options(const Said& said, std::span<const ModelInfo> models,
                            const PictureReader& picture_of = {});

// What the run has where the options leave it open, by the names of the fields.
nlohmann::ordered_json decided(const RunSpec& spec);

// What people see of them in a PNG file: "CFG scale", "4"; what has no effect on the run or goes without
// saying is left out.
std::vector<std::pair<std::string, std::string>> labelled(const SampleOptions& options, const RunSpec& spec,
                                                          std::span<const ModelInfo> models);

// Throws Error{usage} for a field that was said and has no effect on this run, with the reason.
void check_effective(const Said& said, const RunSpec& spec, std::span<const ModelInfo> models);

// An object with all fields that have a value, or those that a picture keeps: said again they give the same
// run.
nlohmann::ordered_json to_json(const SampleOptions& options, bool passing = true);
// The texts of a value of the field's form. Throws Error{input} naming `where` for another.
Texts texts_of(const Field& field, const nlohmann::json& value, const std::string& where);
// The inverse of to_json. Throws Error{input} naming `where` for what is no object of known fields.
Said said_of(const nlohmann::json& object, const std::string& where);
Texts texts_of(const nlohmann::json& value);  // of one field
// `said` over `before`: of what it replaces nothing is left.
Said merged(const Said& before, const Said& said);

}  // namespace tstitch
