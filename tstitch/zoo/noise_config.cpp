#include "tstitch/zoo/noise_config.h"

#include <vector>

namespace tstitch {

// Its shifted timesteps are no shares of the steps, so shares are rounded as the paper's text says.
void describe_flow(ModelInfo& info) {
  info.noise.kind = "flow";
  info.prediction = Parameterization::flow;
  info.defaults.sampler = "flow_euler";
  info.defaults.switch_rule = SwitchRule::round;
}

void read_prediction(const ConfigReader& reader, const char* key,
                     const std::map<std::string, Parameterization>& known, Parameterization& prediction) {
  std::vector<std::string> names;
  for (const auto& [name, value] : known) names.push_back(name);
  std::string name;
  reader.read(key, name, names);
  if (!name.empty()) prediction = known.at(name);
}

}  // namespace tstitch
