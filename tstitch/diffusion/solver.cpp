#include "tstitch/diffusion/solver.h"

#include <algorithm>
#include <array>
#include <utility>

#include "tstitch/base/error.h"
#include "tstitch/base/join.h"
#include "tstitch/diffusion/adams_bashforth.h"
#include "tstitch/diffusion/ddim.h"
#include "tstitch/diffusion/ddpm.h"
#include "tstitch/diffusion/dpm2.h"
#include "tstitch/diffusion/dpm_solver.h"
#include "tstitch/diffusion/dpm_solver_single.h"
#include "tstitch/diffusion/euler.h"
#include "tstitch/diffusion/heun.h"
#include "tstitch/diffusion/lcm.h"
#include "tstitch/diffusion/pndm.h"
#include "tstitch/diffusion/reset_at_switch.h"
#include "tstitch/diffusion/tcd.h"
#include "tstitch/diffusion/thresholding.h"
#include "tstitch/diffusion/unipc.h"

namespace tstitch {
namespace {

struct Entry {
  std::string_view name;
  std::unique_ptr<Solver> (*make)(Backend&, const SolverOptions&);
  SolverTraits traits;
};

using Made = std::unique_ptr<Solver>;

template <class S>
Made make(Backend& backend, const SolverOptions&) {
  return std::make_unique<S>(backend);
}
Made make_ddim(Backend& backend, const SolverOptions& options) {
  return std::make_unique<Ddim>(backend, options.eta);
}
Made make_ddpm(Backend& backend, const SolverOptions& options) {
  return std::make_unique<Ddpm>(backend, options.large_variance);
}
Made make_pndm(Backend& backend, const SolverOptions& options) {
  return std::make_unique<Pndm>(backend, options.averages_v);
}
Made make_lcm(Backend& backend, const SolverOptions& options) {
  return std::make_unique<Lcm>(backend, options.timestep_scaling);
}
template <bool stochastic>
Made make_dpm_solver(Backend& backend, const SolverOptions& options) {
  return std::make_unique<DpmSolverMultistep>(backend, stochastic, options);
}
template <bool ancestral>
Made make_dpm2(Backend& backend, const SolverOptions& options) {
  return std::make_unique<Dpm2>(backend, ancestral, options);
}
// LMS has no settings: its order stays to the end.
Made make_lms(Backend& backend, const SolverOptions&) {
  return std::make_unique<AdamsBashforth>(backend, AdamsBashforth::In::ratio, SolverOptions{.order = 4});
}
Made make_deis(Backend& backend, const SolverOptions& options) {
  return std::make_unique<AdamsBashforth>(backend, AdamsBashforth::In::log_ratio, options);
}
Made make_dpm_solver_single(Backend& backend, const SolverOptions& options) {
  return std::make_unique<DpmSolverSingle>(backend, options);
}
Made make_tcd(Backend& backend, const SolverOptions& options) {
  return std::make_unique<Tcd>(backend, options);
}
Made make_unipc(Backend& backend, const SolverOptions& options) {
  return std::make_unique<UniPc>(backend, options);
}

constexpr std::array<Entry, 17> kSolvers = {
    {{"ddim", make_ddim, {.eta = true}},
     {"ddpm", make_ddpm, {.noise = true}},
     {"pndm", make_pndm, {.multistep = true}},
     {"euler", make<Euler>, {}},
     {"euler_a", make<EulerAncestral>, {.noise = true}},
     {"heun", make<Heun>, {}},
     {"dpm2", make_dpm2<false>, {}},
     {"dpm2_a", make_dpm2<true>, {.noise = true}},
     {"lms", make_lms, {.multistep = true}},
     {"deis", make_deis, {.multistep = true}},
     {"dpm++2s", make_dpm_solver_single, {.multistep = true}},
     {"dpm++2m", make_dpm_solver<false>, {.multistep = true}},
     {"dpm++2m_sde", make_dpm_solver<true>, {.multistep = true, .noise = true}},
     {"unipc", make_unipc, {.multistep = true}},
     {"lcm", make_lcm, {.noise = true}},
     {"tcd", make_tcd, {.eta = true}},
     {"flow_euler", make<Euler>, {}}}};

const Entry& entry_of(std::string_view name) {
  const auto entry = std::ranges::find(kSolvers, name, &Entry::name);
  check(entry != kSolvers.end(), ErrorKind::usage, "sampler '", printable(std::string(name)),
        "', expected one of ", solver_names());
  return *entry;
}

}  // namespace

std::string solver_names() { return join(kSolvers, ", ", &Entry::name); }

bool is_solver(std::string_view name) {
  return std::ranges::any_of(kSolvers, [&](const Entry& entry) { return entry.name == name; });
}

std::string scheduler_settings(const SolverOptions& options) {
  const SolverOptions usual;
  std::vector<std::string> settings;
  const auto add = [&](bool differs, const auto&... parts) {
    if (differs) settings.push_back(concat(parts...));
  };
  add(options.order != usual.order, "solver_order ", options.order);
  add(options.first_order_at != usual.first_order_at, "euler_at_final");
  add(options.end != usual.end, "lower_order_final");
  add(options.heun, "solver_type heun");
  add(options.bh1, "solver_type bh1");
  add(!options.uncorrected.empty(), "disable_corrector ", join(options.uncorrected, " "));
  add(options.averages_v, "v_prediction");
  add(options.large_variance, "variance_type fixed_large");
  add(options.timestep_scaling != usual.timestep_scaling, "timestep_scaling ", options.timestep_scaling);
  if (const auto& thresholding = options.thresholding)
    add(true, "thresholding ", thresholding->ratio, " ", thresholding->most);
  return join(settings);
}

SolverTraits traits_of(std::string_view name) { return entry_of(name).traits; }

std::unique_ptr<Solver> make_solver(Backend& backend, std::string_view name, const SolverOptions& options) {
  auto solver = entry_of(name).make(backend, options);
  if (options.thresholding)
    solver = std::make_unique<ThresholdedSolver>(backend, std::move(solver), *options.thresholding);
  return options.reset_at_switch ? std::make_unique<ResetAtSwitch>(std::move(solver)) : std::move(solver);
}

}  // namespace tstitch
