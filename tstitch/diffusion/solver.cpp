#include "tstitch/diffusion/solver.h"

#include <algorithm>
#include <array>
#include <utility>

#include "tstitch/base/error.h"
#include "tstitch/base/join.h"
#include "tstitch/diffusion/ddim.h"
#include "tstitch/diffusion/ddpm.h"
#include "tstitch/diffusion/dpm_solver.h"
#include "tstitch/diffusion/euler.h"
#include "tstitch/diffusion/heun.h"
#include "tstitch/diffusion/lcm.h"
#include "tstitch/diffusion/pndm.h"
#include "tstitch/diffusion/reset_at_switch.h"
#include "tstitch/diffusion/unipc.h"

namespace tstitch {
namespace {

struct Entry {
  std::string_view name;
  std::unique_ptr<Solver> (*make)(Backend&, const SolverOptions&);
};

using Made = std::unique_ptr<Solver>;

template <class S>
Made make(Backend& backend, const SolverOptions&) {
  return std::make_unique<S>(backend);
}
Made make_ddim(Backend& backend, const SolverOptions& options) {
  return std::make_unique<Ddim>(backend, options.eta);
}
template <bool stochastic>
Made make_dpm_solver(Backend& backend, const SolverOptions&) {
  return std::make_unique<DpmSolver2M>(backend, stochastic);
}

constexpr std::array<Entry, 11> kSolvers = {{{"ddim", make_ddim},
                                             {"ddpm", make<Ddpm>},
                                             {"pndm", make<Pndm>},
                                             {"euler", make<Euler>},
                                             {"euler_a", make<EulerAncestral>},
                                             {"heun", make<Heun>},
                                             {"dpm++2m", make_dpm_solver<false>},
                                             {"dpm++2m_sde", make_dpm_solver<true>},
                                             {"unipc", make<UniPc>},
                                             {"lcm", make<Lcm>},
                                             {"flow_euler", make<Euler>}}};

}  // namespace

std::string solver_names() { return join(kSolvers, ", ", &Entry::name); }

bool is_solver(std::string_view name) {
  return std::ranges::any_of(kSolvers, [&](const Entry& entry) { return entry.name == name; });
}

std::unique_ptr<Solver> make_solver(Backend& backend, std::string_view name, const SolverOptions& options) {
  for (const Entry& entry : kSolvers) {
    if (entry.name != name) continue;
    auto solver = entry.make(backend, options);
    return options.reset_at_switch ? std::make_unique<ResetAtSwitch>(std::move(solver)) : std::move(solver);
  }
  fail(ErrorKind::usage, "sampler '", printable(std::string(name)), "', expected one of ", solver_names());
}

}  // namespace tstitch
