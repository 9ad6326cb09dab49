// The program in a folder of its own: started, waited for, and refused.
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <set>
#include <string>
#include <vector>

namespace tstitch {

namespace fs = std::filesystem;

inline std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

struct Outcome {
  int code;
  std::string out, err;
};

class Cli : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/tstitch_cli_XXXXXX";
    outside_ = mkdtemp(name);
    folder_ = outside_ / "work";
    fs::create_directory(folder_);
  }
  void TearDown() override { fs::remove_all(outside_); }

  fs::path path(const std::string& name) const { return folder_ / name; }

  // Starts the program inside the folder, with its output in files beside it that end in `log`; `prepare`
  // runs in the new process first.
  pid_t start(
      const std::vector<std::string>& arguments, const std::string& log = "",
      const std::function<void()>& prepare = [] {}) const {
    std::vector<std::string> command = {TSTITCH_PROGRAM};
    command.insert(command.end(), arguments.begin(), arguments.end());
    return start_any(command, log, prepare);
  }

  // The same with any program, found by its path or in $PATH.
  pid_t start_any(
      const std::vector<std::string>& command, const std::string& log = "",
      const std::function<void()>& prepare = [] {}) const {
    const pid_t child = fork();
    if (child != 0) return child;
    prepare();
    if (chdir(folder_.c_str()) != 0 || !freopen(log_file("out" + log).c_str(), "w", stdout) ||
        !freopen(log_file("err" + log).c_str(), "w", stderr))
      _exit(99);
    std::vector<char*> argv;
    for (const std::string& argument : command) argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);
    execvp(argv[0], argv.data());
    _exit(99);
  }

  Outcome wait(pid_t child, const std::string& log = "") const {
    int status = 0;
    waitpid(child, &status, 0);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), read(log_file("out" + log)),
            read(log_file("err" + log))};
  }

  Outcome run(const std::vector<std::string>& arguments) const { return wait(start(arguments)); }

  // The program must refuse with this code, in one line that holds every part, and leave no file.
  void expect_refused(int code, const std::vector<std::string>& parts,
                      const std::vector<std::string>& arguments) const {
    const auto before = files();
    const Outcome outcome = run(arguments);
    std::string command;
    for (const std::string& argument : arguments) command += argument + " ";
    EXPECT_EQ(outcome.code, code) << command << "\n" << outcome.err;
    EXPECT_EQ(std::ranges::count(outcome.err, '\n'), 1) << command << "\n" << outcome.err;
    EXPECT_TRUE(outcome.err.starts_with("tstitch: error: ")) << outcome.err;
    EXPECT_LE(outcome.err.size(), 600u) << outcome.err;
    for (const std::string& part : parts)
      EXPECT_NE(outcome.err.find(part), std::string::npos) << command << "\n" << outcome.err;
    EXPECT_EQ(files(), before) << command;
  }

  std::set<std::string> files() const {
    std::set<std::string> names;
    for (const auto& entry : fs::recursive_directory_iterator(folder_)) names.insert(entry.path().string());
    return names;
  }

 private:
  std::string log_file(const std::string& name) const { return (outside_ / name).string(); }

  fs::path outside_, folder_;
};

}  // namespace tstitch
