#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <memory>
#include <thread>
#include <type_traits>

#include "apps/arguments.h"
#include "apps/commands.h"
#include "apps/help.h"
#include "apps/interrupt.h"
#include "tstitch/base/error.h"
#include "tstitch/base/numbers.h"
#include "tstitch/engine/memory_check.h"
#include "tstitch/serve/http_server.h"
#include "tstitch/serve/service.h"

namespace tstitch {
namespace {

struct ServeArguments {
  Said said;  // of runs
  std::string host = "127.0.0.1", models_dir, lora_dir, control_dir, memory, key_file;
  uint16_t port = 7860;
  std::vector<std::string> keys, hosts, origins;
  serve::Limits limits;
  double drain_seconds = 30, wait_seconds = 0;
  bool quiet = false;
};

// "12GiB", "800MB": what a model takes, and not less.
int64_t read_memory(const std::string& option, const std::string& text) {
  constexpr double kLeast = 0x1p20;
  const size_t unit = std::min(text.find_first_not_of("0123456789."), text.size());
  for (const auto& [name, factor] :
       {std::pair{"GiB", 0x1p30}, {"MiB", 0x1p20}, {"KiB", 0x1p10}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}})
    if (text.substr(unit) == name) {
      const double bytes = read_number<double>(option, text.substr(0, unit)) * factor;
      check(bytes >= kLeast && bytes < 0x1p60, ErrorKind::usage, option, " is ", printable(text),
            ", expected 1MiB or more: models and the jobs that run share it");
      return static_cast<int64_t>(bytes);
    }
  fail(ErrorKind::usage, option, " is \"", printable(text),
       "\", expected a number and GiB, MiB, GB or MB: 12GiB");
}

// Rounded up: no time that is said is none.
std::chrono::milliseconds milliseconds(double seconds) {
  return std::chrono::milliseconds(static_cast<int64_t>(std::ceil(seconds * 1000)));
}

// A key on each line; empty lines are none.
std::vector<std::string> read_keys(const std::string& path) {
  std::ifstream file(path);
  check(file.is_open(), ErrorKind::input, "--api-key-file \"", printable(path), "\" cannot be read");
  std::vector<std::string> keys;
  for (std::string line; std::getline(file, line);) {
    while (line.ends_with('\r') || line.ends_with(' ')) line.pop_back();
    if (!line.empty()) keys.push_back(line);
  }
  check(!keys.empty(), ErrorKind::usage, "--api-key-file \"", printable(path),
        "\" holds no key, expected one on each line");
  return keys;
}

// What is said of models by path goes to the catalog; the rest is what requests mean where they are silent.
serve::CatalogOptions take_catalog(const ServeArguments& a, Said& said) {
  serve::CatalogOptions catalog{
      .models = {}, .models_dir = a.models_dir, .lora_dir = a.lora_dir, .control_dir = a.control_dir};
  for (const char* field : {"small", "large", "model"}) {
    const auto found = said.find(field);
    if (found == said.end()) continue;
    catalog.models.insert(catalog.models.end(), found->second.begin(), found->second.end());
    said.erase(found);
  }
  if (const auto stages = said.find("stage"); stages != said.end())
    for (const std::string& text : stages->second) {
      const StageOptions stage = parse_stage(text);
      check(stage.model.empty(), ErrorKind::usage,
            "--stage: model= is a request's to say here, expected the models with --model");
      check(!stage.dtype, ErrorKind::usage,
            "--stage: all models of a server have one type, expected --dtype instead of dtype=");
    }
  for (const std::string& path : catalog.models) read_models({.models = {path}});  // or the reason why not
  return catalog;
}

int serve_command(ServeArguments a) {
  check_only_process("tstitch serve");
  std::vector<std::string> keys = a.keys;
  if (!a.key_file.empty()) keys = read_keys(a.key_file);
  for (const std::string& key : keys) check(!key.empty(), ErrorKind::usage, "--api-key is empty");
  const bool loopback = serve::is_loopback(a.host);
  check(loopback || !keys.empty(), ErrorKind::usage, "--host ", printable(a.host),
        " is open to other machines: name who may ask with --api-key or --api-key-file");

  serve::ServiceOptions options;
  options.before = a.said;
  options.catalog = take_catalog(a, options.before);
  // The device is the server's, and its options are read as a run's.
  Said of_device;
  for (const char* field : {"device", "dtype", "threads"})
    if (const auto found = options.before.find(field); found != options.before.end()) {
      of_device.insert(*found);
      options.before.erase(found);
    }
  for (const auto& [name, texts] : of_device) {
    const Field& field = field_named(name);
    SampleOptions device{.backend = options.device};
    field.parse(field, texts, device, {});
    options.device = device.backend;
  }
  options.limits = a.limits;
  options.limits.wait = milliseconds(a.wait_seconds);
  if (!a.memory.empty()) options.limits.memory = read_memory("--memory", a.memory);
  options.backend = make_backend(options.device);
  if (a.memory.empty()) {
    const Memory& memory = options.backend->memory();
    const auto free = memory.place().on_host() ? bytes_free() : memory.bytes_free();
    if (free)  // 0 would be no limit, and is none free
      options.limits.memory = std::max<int64_t>(1, static_cast<int64_t>(0.9 * static_cast<double>(*free)));
  }
  options.access = {.keys = keys, .allowed_hosts = a.hosts, .cors_origins = a.origins, .any_host = !loopback};
  options.access.allowed_hosts.push_back(a.host);
  options.warn = [](const std::string& line) { std::fprintf(stderr, "%s\n", line.c_str()); };
  if (!a.quiet) options.log = options.warn;

  serve::Service service(options);
  {
    serve::HttpServer server({.address = a.host, .port = a.port, .body_bytes = a.limits.body_bytes}, service);
    const bool six = a.host.find(':') != std::string::npos;
    std::printf("http://%s%s%s:%u/\n", six ? "[" : "", a.host.c_str(), six ? "]" : "",
                unsigned{server.port()});
    std::fflush(stdout);
    while (!interrupted()) std::this_thread::sleep_for(std::chrono::milliseconds(20));
    service.close(milliseconds(a.drain_seconds));
    // What was just answered is still on its way.
    server.stop_accepting();
    for (int i = 0; i < 100 && server.connections() > 0; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return kDone;
}

// An option with a number from `least` to `most`, said as our messages say it.
template <Number Value>
CLI::Option* add_number(CLI::App& command, const std::string& name, Value& value, double least, double most,
                        const std::string& help) {
  const auto take = [&value, name, least, most](const CLI::results_t& texts) {
    const auto number = read_number<double>(name, texts.at(0));
    check(number >= least && number <= most &&
              (std::is_floating_point_v<Value> || number == std::floor(number)),
          ErrorKind::usage, name, " is ", printable(texts.at(0)), ", expected ",
          std::is_floating_point_v<Value> ? "" : "a whole number, ", number_text(least), " ... ",
          number_text(most));
    value = static_cast<Value>(number);
    return true;
  };
  return command.add_option(name, take, help)
      ->type_name("")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::Throw);
}

CLI::Option* add_repeatable(CLI::App& command, const std::string& name, std::vector<std::string>& values,
                            const std::string& help) {
  return command.add_option(name, values, help + "; repeat it for more")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

}  // namespace

Command add_serve_command(CLI::App& program) {
  auto* command = program.add_subcommand("serve", "Make pictures for others, over HTTP");
  auto a = std::make_shared<ServeArguments>();
  const std::string group = "Server";
  // A run is said by requests; here, what they mean where they are silent.
  auto shared = std::make_shared<Arguments>();
  add_run_options(*command, *shared,
                  {"lora_dir", "class", "prompt", "batch_count", "num_fid_samples", "init_image", "mask",
                   "control_net", "init_latent", "noise", "assignment", "no_memory_check", "twin"});
  command->remove_option(command->get_option("--output"));
  command->remove_option(command->get_option("--json"));
  command->add_option("--host", a->host, "The address to listen on. Default: 127.0.0.1, this machine alone")
      ->group(group);
  add_number(*command, "--port", a->port, 0, 65535, "Its port; 0: any that is free. Default: 7860")
      ->group(group);
  command->add_option("--models-dir", a->models_dir, "The folder of the models that requests may name")
      ->group(group);
  command->add_option("--lora-dir", a->lora_dir, "The folder of the LoRAs that they may name")->group(group);
  command->add_option("--control-dir", a->control_dir, "The folder of the ControlNets that they may name")
      ->group(group);
  command
      ->add_option("--memory", a->memory,
                   "What models and jobs may take: 12GiB. Default: 90 % of what the device has free at the "
                   "start")
      ->group(group);
  add_repeatable(
      *command, "--api-key", a->keys,
      "Who may ask: Authorization: Bearer KEY, or KEY as the password or as user:password of Basic")
      ->group(group);
  command
      ->add_option("--api-key-file", a->key_file,
                   "The same, a key on each line of a file: other users cannot see it")
      ->excludes("--api-key")
      ->group(group);
  add_repeatable(*command, "--allowed-host", a->hosts, "A name by which browsers know this machine")
      ->group(more(group));
  add_repeatable(*command, "--cors-origin", a->origins,
                 "A site whose pages may ask, as https://example.org. Default: none")
      ->group(more(group));
  constexpr double kMany = 99999, kDay = 86400;
  add_number(*command, "--queue", a->limits.queued, 0, kMany, "How many jobs may wait. Default: 64")
      ->group(more(group));
  add_number(*command, "--queue-timeout", a->wait_seconds, 0, kDay,
             "Seconds that a job may wait for its turn, after which it fails; 0: any time. Default: 0")
      ->group(more(group));
  add_number(*command, "--jobs", a->limits.running, 1, kMany, "How many run at a time. Default: 16")
      ->group(more(group));
  add_number(*command, "--max-images", a->limits.images, 1, kMany, "Of a job. Default: 16")
      ->group(more(group));
  add_number(*command, "--max-pixels", a->limits.pixels, 1, 0x1p40,
             "Of all images of a job. Default: 16777216")
      ->group(more(group));
  add_number(*command, "--max-steps", a->limits.steps, 1, kMany, "Of a job. Default: 1000")
      ->group(more(group));
  add_number(*command, "--drain", a->drain_seconds, 0, kDay,
             "Seconds that running jobs have once SIGTERM or SIGINT came. Default: 30")
      ->group(more(group));
  command->footer(
      "Examples:\n"
      "  tstitch serve                                    the demo families at http://127.0.0.1:7860/\n"
      "  tstitch serve --models-dir models --lora-dir loras --control-dir nets --memory 12GiB\n"
      "  tstitch serve --host 0.0.0.0 --api-key-file keys.txt\n");
  return [a, shared] {
    a->said = shared->said;
    a->quiet = shared->quiet;
    return serve_command(*a);
  };
}

}  // namespace tstitch
