#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <cstdio>
#include <iostream>
#include <new>
#include <span>
#include <system_error>
#include <utility>
#include <vector>

#include "apps/commands.h"
#include "apps/interrupt.h"
#include "apps/printing.h"
#include "tstitch/base/error.h"
#include "tstitch/base/version.h"
#include "tstitch/io/truncation_guard.h"

namespace tstitch {
namespace {

int exit_code(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::internal:
      return 1;
    case ErrorKind::usage:
      return 2;
    case ErrorKind::input:
      return 3;
    case ErrorKind::device:
      return 4;
  }
  return 1;
}

int report(ErrorKind kind, const std::string& message) {
  std::fprintf(stderr, "tstitch: error: %s\n", message.c_str());
  return exit_code(kind);
}

// With a standard descriptor closed the next file opened would get its number, and messages would be written
// into that file.
void open_standard_descriptors() {
  for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (fcntl(descriptor, F_GETFD) == -1) [[maybe_unused]]
      const int opened = open("/dev/null", O_RDWR);
}

// Whoever reads a report must not take a full disk for success; a reader that has seen enough ("| head") is
// no failure of ours.
void finish_stdout() {
  if (std::fflush(stdout) == 0 && !std::ferror(stdout)) return;
  pollfd reader = {.fd = STDOUT_FILENO, .events = POLLOUT, .revents = 0};
  if (poll(&reader, 1, 0) == 1 && (reader.revents & POLLERR)) return;
  fail(ErrorKind::device, "cannot write to stdout");
}

bool is_option(const CLI::App& command, const std::string& name) {
  return command.get_option_no_throw(name) ||
         std::ranges::any_of(command.get_subcommands({}),
                             [&](const CLI::App* part) { return is_option(*part, name); });
}

// Long options may be spelled with underscores, as the DiT and T-Stitch scripts spell some of theirs. What is
// no option then is a value that begins so, as a file's name may.
std::vector<std::string> with_dashes(const CLI::App& program, int argc, char** argv) {
  std::vector<std::string> arguments(argv + 1, argv + argc);
  const auto options_end = std::ranges::find(arguments, "--");  // behind it are names of files
  for (std::string& argument : std::span(arguments.begin(), options_end)) {
    if (!argument.starts_with("--")) continue;
    const size_t end = std::min(argument.find('='), argument.size());
    std::string name = argument.substr(0, end);
    std::ranges::replace(name, '_', '-');
    if (is_option(program, name)) argument.replace(0, end, name);
  }
  std::reverse(arguments.begin(), arguments.end());  // the order CLI11 parses a vector in
  return arguments;
}

int run_program(int argc, char** argv) {
  open_standard_descriptors();
  catch_interrupts();
  survive_truncation();
  CLI::App program(
      "Samples images from diffusion models along stitched trajectories: a small model takes the first,\n"
      "noisy steps, larger ones the rest (T-Stitch, arXiv 2402.14167). With no model named, the demo family\n"
      "that comes with the program is used.",
      "tstitch");
  program.set_version_flag("--version", std::string("tstitch ") + kVersion);
  program.require_subcommand(1);
  const std::pair<const char*, Command> commands[] = {
      {"sample", add_sample_command(program)},   {"pack", add_pack_command(program)},
      {"sweep", add_sweep_command(program)},     {"plan", add_plan_command(program)},
      {"chart", add_chart_command(program)},     {"eval", add_eval_command(program)},
      {"analyze", add_analyze_command(program)}, {"inspect", add_inspect_command(program)},
      {"convert", add_convert_command(program)}};
  if (argc > 1 && argv[1][0] != '-') {
    const auto known = [&](const auto& command) { return std::string(argv[1]) == command.first; };
    check(std::ranges::any_of(commands, known), ErrorKind::usage, "there is no command \"",
          printable(argv[1]),
          "\", expected sample, pack, sweep, plan, chart, eval, analyze, inspect or convert (see tstitch "
          "--help)");
  }
  try {
    program.parse(with_dashes(program, argc, argv));
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) {  // help and version
      program.exit(e, std::cout, std::cerr);
      std::cout.flush();
      finish_stdout();
      return kDone;
    }
    std::string message = e.what();
    std::replace(message.begin(), message.end(), '\n', ' ');
    return report(ErrorKind::usage, printable(message, 400) + " (see tstitch --help)");
  }
  for (const auto& [name, command] : commands)
    if (program.got_subcommand(name)) try {
        const int code = command();
        finish_stdout();
        return code;
      } catch (const Interrupted&) {
        return report_interrupted();
      }
  return exit_code(ErrorKind::internal);
}

}  // namespace
}  // namespace tstitch

int main(int argc, char** argv) {
  using tstitch::ErrorKind;
  try {
    return tstitch::run_program(argc, argv);
  } catch (const tstitch::Error& e) {
    return tstitch::report(e.kind(), e.what());
  } catch (const std::bad_alloc&) {
    return tstitch::report(ErrorKind::device, "out of memory");
  } catch (const std::system_error& e) {  // the file system, threads
    return tstitch::report(ErrorKind::device, e.what());
  } catch (const std::exception& e) {
    return tstitch::report(ErrorKind::internal, e.what());
  }
}
