// A trajectory that was chosen for a goal: what `plan -o` writes and `sample --plan` reads.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tstitch/engine/fields.h"
#include "tstitch/engine/run_spec.h"
#include "tstitch/tune/made_with.h"

namespace tstitch {

// Another one that nothing beats in both.
struct Alternative {
  std::string assignment;
  double seconds, speedup, divergence;
};

// A trajectory, and what to expect of it.
struct ChosenTrajectory {
  std::vector<std::string> models;  // their names
  std::string sampler, steps_option;
  int steps = 0;
  std::string assignment;  // see format_assignment
  std::string levels;      // see hash_of_levels
  double eta = 0, cfg_scale = 1;
  Said options;                            // of the run, as far as they determine its trajectory
  MadeWith made_with;                      // nothing where it is not known: of versions before, of callers
  double seconds = 0, seconds_spread = 0;  // of the whole run
  std::optional<double> speedup;           // against the last model alone, where that is known
  // With a curve: the metric, its deviation over seeds, whether the point itself was measured.
  std::optional<std::string> metric;
  double value = 0;
  std::optional<double> deviation;
  bool measured = false;
  // Without: its divergence, the sum of w d (step_weight); half of what two halves of the probes differ in;
  // that of the first model alone. sigma_data times it is the estimated change of the final latents.
  double divergence = 0, divergence_spread = 0, largest_divergence = 0, sigma_data = 1;
  std::vector<Alternative> alternatives;  // from the fastest on; not read back from a plan, nor is
  std::string command;                    // that makes the run, or ""

  double change() const { return sigma_data * divergence; }
  double change_spread() const { return sigma_data * divergence_spread; }
  double largest_change() const { return sigma_data * largest_divergence; }
};

// Whether a plan says it.
bool is_planned(const Field& field);

// "fashion-s: steps 1-20, fashion-l: 21-50".
std::string describe(const std::vector<int>& assignment, const std::vector<std::string>& models);
// The same without the models that serve no step.
std::string describe_served(const std::vector<int>& assignment, const std::vector<std::string>& models);

std::string to_json(const ChosenTrajectory& choice);
// The inverse, from a file. Throws Error{input} naming it.
ChosenTrajectory read_chosen_trajectory(const std::string& path);

// What was said, and the rest as the choice says. Throws Error{usage} where the two differ.
Said with_choice(const Said& said, const ChosenTrajectory& choice);

// `before` with the models of the choice, where neither it nor `said` names any: of the demo families, for a
// plan holds no paths. Throws Error{usage} where they are others.
Said with_models(const Said& before, const Said& said, const ChosenTrajectory& choice);

// Throws Error{usage} where the choice has stages, which a run with_choice takes from it, and the run names
// another number of models than these. said: all that the run says, with what the choice says.
void check_models_said(const Said& said, const ChosenTrajectory& choice);

// Throws Error{usage} where a run with_choice is not what was chosen: for other models, or models whose
// schedulers have changed.
void check_models(const std::vector<ModelInfo>& models, const ChosenTrajectory& choice);
void check_chosen(const RunSpec& spec, const ChosenTrajectory& choice);

// The run with the trajectory, for the models it was chosen for.
RunSpec chosen_run(const std::vector<ModelInfo>& models, SampleOptions options,
                   const ChosenTrajectory& choice);

// Throws Error{usage} where the options say themselves who serves which step; what: that excludes it.
void check_no_shares(const SampleOptions& options, const std::string& what);

}  // namespace tstitch
