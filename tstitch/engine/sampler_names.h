// What people call samplers, and the fall of the noise.
#pragma once

#include <optional>
#include <string>

#include "tstitch/diffusion/timesteps.h"

namespace tstitch {

struct SamplerChoice {
  std::string sampler;                    // see solver_names
  std::optional<SigmaSpacing> scheduler;  // where the name says it too: "dpm++ 2m karras"
};

// By our names and those of the web UIs ("Euler a", "DPM++ 2M Karras", "PLMS"), without regard to case, "-",
// "_", "+" and spaces. Nothing for a name that means none.
std::optional<SamplerChoice> find_sampler(const std::string& name);

// What A1111's web UI calls a sampler of ours, as its infotexts have it: "Euler a" of "euler_a". Ours where
// it has none.
std::string webui_sampler(const std::string& sampler);
// The same of a scheduler: "Karras" of "karras".
std::string webui_scheduler(const std::string& scheduler);

}  // namespace tstitch
