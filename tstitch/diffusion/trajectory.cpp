#include "tstitch/diffusion/trajectory.h"

#include <algorithm>
#include <charconv>

#include "tstitch/base/error.h"

namespace tstitch {
namespace {

// Runs of equal elements.
std::vector<Segment> runs(std::span<const int> assignment) {
  std::vector<Segment> segments;
  for (int i = 0; i < std::ssize(assignment); ++i) {
    if (segments.empty() || segments.back().denoiser != assignment[i])
      segments.push_back({assignment[i], i, 0});
    ++segments.back().count;
  }
  return segments;
}

}  // namespace

Trajectory::Trajectory(std::span<const NoiseLevel> levels, std::span<const int> assignment) {
  check(!assignment.empty(), ErrorKind::usage, "a trajectory without steps");
  check_internal(levels.size() == assignment.size() + 1, levels.size(), " noise levels for ",
                 assignment.size(), " steps, expected one more than steps");
  steps_.reserve(assignment.size());
  for (int i = 0; i < std::ssize(assignment); ++i) {
    check_internal(assignment[i] >= 0, "step ", i, " is assigned to denoiser ", assignment[i]);
    steps_.push_back({.index = i, .level = levels[i], .next = levels[i + 1], .denoiser = assignment[i]});
  }
}

std::vector<int> Trajectory::assignment() const {
  std::vector<int> assignment;
  assignment.reserve(steps_.size());
  for (const Step& step : steps_) assignment.push_back(step.denoiser);
  return assignment;
}

std::vector<Segment> Trajectory::segments() const { return runs(assignment()); }

int Trajectory::steps_of(int denoiser) const {
  return static_cast<int>(std::ranges::count(steps_, denoiser, &Step::denoiser));
}

std::string Trajectory::describe(std::span<const std::string> names) const {
  std::string text;
  for (const auto& [denoiser, first, count] : segments()) {
    check_internal(denoiser < std::ssize(names), "denoiser ", denoiser, " has no name");
    text += concat(text.empty() ? "" : ", ", names[denoiser], ": ",
                   first > 0   ? ""
                   : count > 1 ? "steps "
                               : "step ",
                   first + 1);
    if (count > 1) text += concat("-", first + count);
  }
  for (int denoiser = 0; denoiser < std::ssize(names); ++denoiser)
    if (steps_of(denoiser) == 0) text += concat(", ", names[denoiser], ": no step");
  return text;
}

std::string format_assignment(std::span<const int> assignment) {
  std::string text;
  for (const auto& [denoiser, first, count] : runs(assignment))
    text += concat(text.empty() ? "" : " ", denoiser, "*", count);
  return text;
}

std::vector<int> parse_assignment(std::string_view text) {
  constexpr int kMostSteps = 1'000'000;
  const std::string shown = printable(std::string(text));
  const auto number = [&](std::string_view part, int least) {
    int value = 0;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), value);
    check(error == std::errc() && end == part.data() + part.size() && value >= least, ErrorKind::usage,
          "assignment '", shown, "': found '", printable(std::string(part)),
          "', expected denoiser*count pairs such as 0*40 1*60");
    return value;
  };
  std::vector<int> assignment;
  for (size_t begin = text.find_first_not_of(' '); begin != std::string_view::npos;) {
    const std::string_view pair = text.substr(begin, text.find(' ', begin) - begin);
    const size_t star = pair.find('*');
    const int denoiser = number(pair.substr(0, star), 0);
    const int count = star == std::string_view::npos ? 1 : number(pair.substr(star + 1), 1);
    check(count <= kMostSteps - std::ssize(assignment), ErrorKind::usage, "assignment '", shown,
          "' has more than ", kMostSteps, " steps");
    assignment.insert(assignment.end(), count, denoiser);
    begin = text.find_first_not_of(' ', begin + pair.size());
  }
  return assignment;
}

std::vector<int> parse_assignment(std::string_view text, int steps) {
  std::vector<int> assignment = parse_assignment(text);
  check(std::ssize(assignment) == steps, ErrorKind::usage, "assignment '", printable(std::string(text)),
        "' has ", assignment.size(), " steps, expected ", steps);
  return assignment;
}

}  // namespace tstitch
