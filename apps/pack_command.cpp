#include <cstdio>
#include <memory>

#include "apps/commands.h"
#include "apps/interrupt.h"
#include "tstitch/base/error.h"
#include "tstitch/engine/command_files.h"
#include "tstitch/output/picture_archive.h"

namespace tstitch {
namespace {

struct PackArguments {
  std::string folder, output;
  bool quiet = false;
};

// "samples.npz" of "samples.npz.parts/", for the archive it is the folder of.
std::string archive_of(std::string folder) {
  while (folder.size() > 1 && folder.ends_with('/')) folder.pop_back();
  const std::string suffix = parts_of("");
  check(folder.ends_with(".npz" + suffix), ErrorKind::usage, "\"", printable(folder),
        "\" does not end in .npz", suffix, ": name the archive with --output");
  return folder.substr(0, folder.size() - suffix.size());
}

int pack_command(const PackArguments& a) {
  const std::string output = a.output.empty() ? archive_of(a.folder) : a.output;
  check(output.ends_with(".npz"), ErrorKind::usage, "--output is \"", printable(output),
        "\", expected a name that ends in .npz");
  CommandFiles files;
  files.reads("folder", a.folder);
  files.writes("--output", output);
  const RunManifest manifest = pack_finished_run(a.folder, output, end_if_interrupted);
  if (!a.quiet)
    std::printf("wrote %s: %lld images of %lld x %lld\n", output.c_str(),
                static_cast<long long>(manifest.images()), static_cast<long long>(manifest.height()),
                static_cast<long long>(manifest.width()));
  return kDone;
}

}  // namespace

Command add_pack_command(CLI::App& program) {
  auto* command = program.add_subcommand("pack", "Join what the ranks of a run have sampled to one .npz");
  auto arguments = std::make_shared<PackArguments>();
  command->add_option("folder", arguments->folder, "The run's folder, NAME.npz.parts")->required();
  command->add_option("-o,--output", arguments->output, "The .npz file. Default: NAME.npz");
  command->add_flag("-q,--quiet", arguments->quiet, "Print nothing but errors");
  return [arguments] { return pack_command(*arguments); };
}

}  // namespace tstitch
