#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <memory>
#include <thread>

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
  std::string host = "127.0.0.1", models_dir, lora_dir, memory, key_file;
  uint16_t port = 7860;
  std::vector<std::string> keys, hosts, origins;
  serve::Limits limits;
  double drain_seconds = 30;
  bool quiet = false;
};

// "12GiB", "800MB".
int64_t read_bytes(const std::string& option, const std::string& text) {
  const size_t unit = std::min(text.find_first_not_of("0123456789."), text.size());
  for (const auto& [name, factor] : {std::pair{"GiB", 0x1p30}, {"MiB", 0x1p20}, {"GB", 1e9}, {"MB", 1e6}})
    if (text.substr(unit) == name) {
      const double bytes = read_number<double>(option, text.substr(0, unit)) * factor;
      check(bytes >= 1 && bytes < 0x1p60, ErrorKind::usage, option, " is ", printable(text),
            ", expected more than 0");
      return static_cast<int64_t>(bytes);
    }
  fail(ErrorKind::usage, option, " is \"", printable(text), "\", expected a number and GiB, MiB, GB or MB");
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
  serve::CatalogOptions catalog{.models = {}, .models_dir = a.models_dir, .lora_dir = a.lora_dir};
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
  check(a.limits.running > 0, ErrorKind::usage, "--jobs is 0, expected 1 or more");
  check(a.drain_seconds >= 0 && a.drain_seconds <= 86400, ErrorKind::usage, "--drain is ", a.drain_seconds,
        ", expected 0 ... 86400 seconds");

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
  options.limits.memory = !a.memory.empty()
                              ? read_bytes("--memory", a.memory)
                              : static_cast<int64_t>(0.9 * static_cast<double>(bytes_free().value_or(0)));
  options.access = {.keys = keys, .allowed_hosts = a.hosts, .cors_origins = a.origins, .any_host = !loopback};
  options.access.allowed_hosts.push_back(a.host);
  if (!a.quiet) options.log = [](const std::string& line) { std::fprintf(stderr, "%s\n", line.c_str()); };

  serve::Service service(options);
  {
    serve::HttpServer server({.address = a.host, .port = a.port, .body_bytes = a.limits.body_bytes}, service);
    const bool six = a.host.find(':') != std::string::npos;
    std::printf("http://%s%s%s:%u/\n", six ? "[" : "", a.host.c_str(), six ? "]" : "",
                unsigned{server.port()});
    std::fflush(stdout);
    while (!interrupted()) std::this_thread::sleep_for(std::chrono::milliseconds(20));
    service.close(std::chrono::milliseconds(std::llround(a.drain_seconds * 1000)));
    // What was just answered is still on its way.
    server.stop_accepting();
    for (int i = 0; i < 100 && server.connections() > 0; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return kDone;
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
  command->add_option("--port", a->port, "Its port; 0: any that is free. Default: 7860")->group(group);
  command->add_option("--models-dir", a->models_dir, "The folder of the models that requests may name")
      ->group(group);
  command->add_option("--lora-dir", a->lora_dir, "The folder of the LoRAs that they may name")->group(group);
  command
      ->add_option("--memory", a->memory,
                   "What models and jobs may take: 12GiB. Default: 90 % of what is free at the start")
      ->group(group);
  command
      ->add_option("--api-key", a->keys,
                   "Who may ask: Authorization: Bearer KEY, or KEY as the password or as user:password of "
                   "Basic; repeat it for more")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->group(group);
  command
      ->add_option("--api-key-file", a->key_file,
                   "The same, a key on each line of a file: other users cannot see it")
      ->excludes("--api-key")
      ->group(group);
  command
      ->add_option("--allowed-host", a->hosts,
                   "A name by which browsers know this machine; repeat it for more")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->group(more(group));
  command
      ->add_option("--cors-origin", a->origins,
                   "A site whose pages may ask, as https://example.org; repeat it for more. Default: none")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->group(more(group));
  command->add_option("--queue", a->limits.queued, "How many jobs may wait. Default: 64")->group(more(group));
  command->add_option("--jobs", a->limits.running, "How many run at a time. Default: 16")->group(more(group));
  command->add_option("--max-images", a->limits.images, "Of a job. Default: 16")->group(more(group));
  command->add_option("--max-pixels", a->limits.pixels, "Of all images of a job. Default: 16777216")
      ->group(more(group));
  command->add_option("--max-steps", a->limits.steps, "Of a job. Default: 1000")->group(more(group));
  command
      ->add_option("--drain", a->drain_seconds,
                   "Seconds that running jobs have once SIGTERM or SIGINT came. Default: 30")
      ->group(more(group));
  command->footer(
      "Examples:\n"
      "  tstitch serve                                    the demo families at http://127.0.0.1:7860/\n"
      "  tstitch serve --models-dir models --lora-dir loras --memory 12GiB\n"
      "  tstitch serve --host 0.0.0.0 --api-key-file keys.txt\n");
  return [a, shared] {
    a->said = shared->said;
    a->quiet = shared->quiet;
    return serve_command(*a);
  };
}

}  // namespace tstitch
