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
#include "apps/help.h"
#include "apps/interrupt.h"
#include "apps/printing.h"
#include "apps/suggest.h"
#include "tstitch/base/error.h"
#include "tstitch/base/join.h"
#include "tstitch/base/version.h"
#include "tstitch/engine/fields.h"
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
std::vector<std::string> with_dashes(const CLI::App& program, const std::vector<char*>& words) {
  std::vector<std::string> arguments(words.begin() + 1, words.end());
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

const CLI::App& parsed_command(const CLI::App& program) {
  const CLI::App* command = &program;
  while (!command->get_subcommands().empty()) command = command->get_subcommands()[0];
  return *command;
}

// What CLI11 says, in one line of English.
std::string sentence_of(const CLI::ParseError& error) {
  std::string message = error.what();
  std::ranges::replace(message, '\n', ' ');
  if (error.get_name() != "ArgumentMismatch") return message;
  const std::string option = message.substr(0, message.find(':'));
  return message.find("At Most") == message.npos ? option + " expects a value"
                                                 : option + " was given several times, expected once";
}

// An empty value says nothing, but for texts.
void check_not_empty(const CLI::App& command) {
  for (const CLI::Option* option : command.get_options()) {
    const auto field = std::ranges::find_if(
        fields(), [&](const Field& one) { return one.may_be_empty && one.option() == option->get_name(); });
    const bool empty = std::ranges::any_of(option->results(), &std::string::empty);
    check(!empty || field != fields().end(), ErrorKind::usage, option->get_name(), " is empty");
  }
}

int run_program(int argc, char** argv) {
  open_standard_descriptors();
  catch_interrupts();
  survive_truncation();
  CLI::App program(
      "Samples images from diffusion models along stitched trajectories: a small model takes the first,\n"
      "noisy steps, larger ones the rest (T-Stitch, arXiv 2402.14167). With no model named, a demo family\n"
      "that comes with the program is used.",
      "tstitch");
  program.set_version_flag("--version", std::string("tstitch ") + kVersion);
  program.require_subcommand(1);
  std::vector<char*> words(argv, argv + argc);
  std::string help = "--help";
  if (words.size() > 1 && std::string_view(words[1]) == "help") {  // tstitch help sample
    words.erase(words.begin() + 1);
    words.push_back(help.data());
  }
  const std::pair<const char*, Command> commands[] = {
      {"sample", add_sample_command(program)},   {"pack", add_pack_command(program)},
      {"sweep", add_sweep_command(program)},     {"plan", add_plan_command(program)},
      {"chart", add_chart_command(program)},     {"eval", add_eval_command(program)},
      {"analyze", add_analyze_command(program)}, {"inspect", add_inspect_command(program)},
      {"convert", add_convert_command(program)}, {"serve", add_serve_command(program)}};
  add_help_levels(program);
  if (words.size() > 1 && words[1][0] != '-') {
    std::vector<std::string> names;
    for (const auto& [name, command] : commands) names.push_back(name);
    const std::string alike = written_alike(words[1], names);
    check(std::ranges::count(names, words[1]) > 0, ErrorKind::usage, "there is no command \"",
          printable(words[1]), "\", expected ", join(names),
          alike.empty() ? "" : concat(": did you mean ", alike, "?"), " (see tstitch --help)");
  }
  try {
    program.parse(with_dashes(program, words));
  } catch (const CLI::ExtrasError&) {
    const std::vector<std::string> rest = program.remaining(true);
    const auto option =
        std::ranges::find_if(rest, [](const std::string& one) { return one.starts_with("-"); });
    fail(ErrorKind::usage,
         unexpected(program, parsed_command(program), option == rest.end() ? rest.at(0) : *option));
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) {  // help and version
      program.exit(e, std::cout, std::cerr);
      std::cout.flush();
      finish_stdout();
      return kDone;
    }
    fail(ErrorKind::usage, printable(sentence_of(e), 400), " (see ", full_name(parsed_command(program)),
         " --help)");
  }
  check_not_empty(parsed_command(program));
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
