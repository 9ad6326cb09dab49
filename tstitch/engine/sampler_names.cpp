#include "tstitch/engine/sampler_names.h"

#include <string_view>
#include <utility>

#include "tstitch/diffusion/solver.h"
#include "tstitch/engine/field_values.h"

namespace tstitch {
namespace {

// Ours, and those of A1111's web UI.
constexpr std::pair<std::string_view, std::string_view> kWebUiNames[] = {{"ddim", "DDIM"},
                                                                         {"ddpm", "DDPM"},
                                                                         {"pndm", "PLMS"},
                                                                         {"euler", "Euler"},
                                                                         {"euler_a", "Euler a"},
                                                                         {"heun", "Heun"},
                                                                         {"dpm2", "DPM2"},
                                                                         {"dpm2_a", "DPM2 a"},
                                                                         {"lms", "LMS"},
                                                                         {"deis", "DEIS"},
                                                                         {"dpm++2s", "DPM++ 2S"},
                                                                         {"dpm++2m", "DPM++ 2M"},
                                                                         {"dpm++2m_sde", "DPM++ 2M SDE"},
                                                                         {"unipc", "UniPC"},
                                                                         {"lcm", "LCM"},
                                                                         {"tcd", "TCD"}};

// Other names that are not ours but for their spelling, as `bare` leaves them.
constexpr std::pair<std::string_view, std::string_view> kAliases[] = {
    {"eulerancestral", "euler_a"}, {"keuler", "euler"}, {"keulera", "euler_a"}, {"dpm2ancestral", "dpm2_a"},
    {"kdpm2ancestral", "dpm2_a"},  {"kdpm2", "dpm2"},   {"kdpm2a", "dpm2_a"},   {"klms", "lms"}};

// "DPM++ 2M", "dpmpp_2m" and "dpm++2m" are all "dpmpp2m"; "DPM2" is another sampler.
std::string bare(std::string name) {
  if (const size_t plus = name.find("++"); plus != std::string::npos) name.replace(plus, 2, "pp");
  std::string text;
  for (const char c : name)
    if (std::string_view("-_+ ").find(c) == std::string_view::npos)
      text += 'A' <= c && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return text;
}

std::optional<std::string> find_bare(std::string_view name) {
  for (const std::string& sampler : split(solver_names()))
    if (name == bare(sampler)) return sampler;
  for (const auto& [ours, theirs] : kWebUiNames)
    if (name == bare(std::string(theirs))) return std::string(ours);
  for (const auto& [alias, sampler] : kAliases)
    if (name == alias) return std::string(sampler);
  return std::nullopt;
}

}  // namespace

std::optional<SamplerChoice> find_sampler(const std::string& name) {
  const std::string text = bare(name);
  if (const auto sampler = find_bare(text)) return SamplerChoice{*sampler, {}};
  for (const std::string& scheduler : split(sigma_spacing_names())) {
    if (!text.ends_with(scheduler)) continue;
    if (const auto sampler = find_bare(std::string_view(text).substr(0, text.size() - scheduler.size())))
      return SamplerChoice{*sampler, parse_sigma_spacing(scheduler)};
  }
  return std::nullopt;
}

std::string webui_sampler(const std::string& sampler) {
  for (const auto& [ours, theirs] : kWebUiNames)
    if (ours == sampler) return std::string(theirs);
  return sampler;
}

std::string webui_scheduler(const std::string& scheduler) {
  std::string name = scheduler;
  if (!name.empty() && 'a' <= name[0] && name[0] <= 'z') name[0] = static_cast<char>(name[0] - 'a' + 'A');
  return name;
}

}  // namespace tstitch
