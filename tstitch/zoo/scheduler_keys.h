// What becomes of every key of diffusers' schedulers (0.42): one table, from which scheduler_config.json is
// read, refused and documented (docs/solvers.md).
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "tstitch/diffusion/timesteps.h"

namespace tstitch {

struct SchedulerKey {
  std::string name;
  nlohmann::json absent;                 // what diffusers takes where the key is absent or null
  std::vector<nlohmann::json> accepted;  // every other value is refused; empty: none is
  bool honoured;                         // else no accepted value has an effect,
  std::string why;                       // for this reason, where any value is accepted
};

struct SchedulerClass {
  std::string name;                   // "DDIMScheduler"
  std::vector<std::string> samplers;  // ours: the one it is by default, then what its keys make of it
  std::vector<SchedulerKey> keys;

  const SchedulerKey* find(std::string_view key) const;
};

// Those that are followed.
const std::vector<SchedulerClass>& scheduler_classes();

const SchedulerClass* find_scheduler(std::string_view class_name);

// Whether the scheduler that a sampler of ours stands for honours a key: only then does a folder of another
// scheduler that states it mean this sampler too, as in diffusers' from_config.
bool honours(std::string_view sampler, std::string_view key);
// And this value of it.
bool honours(std::string_view sampler, std::string_view key, const nlohmann::json& value);

// The key that says those sigmas: "use_karras_sigmas"; "" of the discrete ones.
std::string_view key_of(SigmaSpacing sigmas);

// Whether a key means something to any scheduler of diffusers, also of those that are not followed. Each
// ignores the keys of the others, and so do we.
bool is_scheduler_key(std::string_view key);

// The table as docs/solvers.md shows it.
std::string scheduler_key_table();

}  // namespace tstitch
