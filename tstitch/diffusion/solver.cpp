#include "tstitch/diffusion/solver.h"

#include <algorithm>
#include <array>

#include "tstitch/base/error.h"
#include "tstitch/diffusion/ddim.h"
#include "tstitch/diffusion/ddpm.h"

namespace tstitch {
namespace {

struct Entry {
  std::string_view name;
  std::unique_ptr<Solver> (*make)(Backend&, const SolverOptions&);
};

using Made = std::unique_ptr<Solver>;
constexpr std::array<Entry, 2> kSolvers = {{
    {"ddim",
     [](Backend& backend, const SolverOptions& o) -> Made { return std::make_unique<Ddim>(backend, o.eta); }},
    {"ddpm", [](Backend& backend, const SolverOptions&) -> Made { return std::make_unique<Ddpm>(backend); }},
}};

}  // namespace

std::string solver_names() {
  std::string names;
  for (const Entry& entry : kSolvers) names += concat(names.empty() ? "" : ", ", entry.name);
  return names;
}

bool is_solver(std::string_view name) {
  return std::ranges::any_of(kSolvers, [&](const Entry& entry) { return entry.name == name; });
}

std::unique_ptr<Solver> make_solver(Backend& backend, std::string_view name, const SolverOptions& options) {
  for (const Entry& entry : kSolvers)
    if (entry.name == name) return entry.make(backend, options);
  fail(ErrorKind::usage, "sampler '", printable(std::string(name)), "', expected one of ", solver_names());
}

}  // namespace tstitch
