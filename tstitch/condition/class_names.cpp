#include "tstitch/condition/class_names.h"

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <utility>

#include "tstitch/base/edit_distance.h"
#include "tstitch/base/error.h"
#include "tstitch/condition/imagenet_classes.h"

namespace tstitch {
namespace {

constexpr size_t kMostShown = 5;
constexpr size_t kLongestName = 100;  // asked for; bounds the search for names written alike

std::string lower_case(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

// Whether `words` stands in `text` with nothing of a word before or after it.
bool holds_words(const std::string& text, const std::string& words) {
  const auto in_word = [&](size_t i) {
    return i < text.size() && std::isalnum(static_cast<unsigned char>(text[i]));
  };
  for (size_t at = text.find(words); at != std::string::npos; at = text.find(words, at + 1))
    if (!(at > 0 && in_word(at - 1)) && !in_word(at + words.size())) return true;
  return false;
}

// How a name asked for, in lower case, may fit the names of a class; the first that fits a class decides.
using Fits = bool (*)(const std::vector<std::string>& names, const std::string& asked);
constexpr Fits kTiers[] = {
    [](const auto& names, const auto& asked) { return lower_case(names[0]) == asked; },
    [](const auto& names, const auto& asked) {
      return std::ranges::any_of(names, [&](const auto& name) { return lower_case(name) == asked; });
    },
    [](const auto& names, const auto& asked) {
      return std::ranges::any_of(names,
                                 [&](const auto& name) { return holds_words(lower_case(name), asked); });
    },
};

}  // namespace

ClassNames::ClassNames(const ModelInfo& model) : model_(model.name), count_(model.condition.num_classes) {
  std::vector<std::string> lines = model.classes;
  if (lines.empty() && count_ == std::ssize(imagenet_classes()))
    lines.assign(imagenet_classes().begin(), imagenet_classes().end());
  for (const std::string& line : lines) {
    std::vector<std::string>& names = names_.emplace_back();
    size_t begin = 0;
    for (size_t end; (end = line.find(", ", begin)) != std::string::npos; begin = end + 2)
      names.push_back(line.substr(begin, end - begin));
    names.push_back(line.substr(begin));
  }
}

std::string ClassNames::usual(int64_t c) const {
  return known() ? names_[static_cast<size_t>(c)][0] : concat("class ", c);
}

std::string ClassNames::numbered(int64_t c) const { return known() ? concat(c, " ", usual(c)) : usual(c); }

int64_t ClassNames::find(const std::string& name) const {
  const std::string where = concat("--class \"", printable(name), "\"");
  check(count_ > 0, ErrorKind::usage, where, ": ", model_,
        " draws what a text says and has no classes, expected --prompt");
  check(known(), ErrorKind::usage, where, ": the classes of ", model_,
        " have no names, expected numbers 0 ... ", count_ - 1, ", or \"random\"");
  check(!name.empty() && name.size() <= kLongestName, ErrorKind::usage, where,
        " is not a class number, expected one, or a name of 1 ... ", kLongestName, " letters");
  const std::string asked = lower_case(name);
  for (const Fits fits : kTiers) {
    std::vector<int64_t> found;
    for (int64_t c = 0; c < count_; ++c)
      if (fits(names_[static_cast<size_t>(c)], asked)) found.push_back(c);
    if (found.size() == 1) return found[0];
    check(found.empty(), ErrorKind::usage, where, " fits several classes, use a number: ", list(found));
  }
  const std::vector<int64_t> alike = written_alike(asked);
  fail(ErrorKind::usage, where, " is no class of ", model_,
       alike.empty()
           ? concat(", expected a number 0 ... ", count_ - 1, " or a name that \"tstitch inspect\" lists")
           : concat("; written alike: ", list(alike)));
}

// "134 crane, 517 crane", and how many more.
std::string ClassNames::list(const std::vector<int64_t>& classes) const {
  std::string text;
  for (size_t i = 0; i < std::min(kMostShown, classes.size()); ++i)
    text += (i ? ", " : "") + numbered(classes[i]);
  if (classes.size() > kMostShown) text += concat(" and ", classes.size() - kMostShown, " more");
  return text;
}

// The classes with a name of which at most a third would have to change, the nearest first.
std::vector<int64_t> ClassNames::written_alike(const std::string& asked) const {
  std::vector<std::pair<size_t, int64_t>> ranked;
  for (int64_t c = 0; c < count_; ++c) {
    size_t nearest = SIZE_MAX;
    for (const std::string& name : names_[static_cast<size_t>(c)]) {
      const size_t distance = edit_distance(lower_case(name), asked);
      if (3 * distance <= std::max(name.size(), asked.size())) nearest = std::min(nearest, distance);
    }
    if (nearest != SIZE_MAX) ranked.emplace_back(nearest, c);
  }
  std::ranges::sort(ranked);
  std::vector<int64_t> found;
  for (size_t i = 0; i < std::min(kMostShown, ranked.size()); ++i) found.push_back(ranked[i].second);
  return found;
}

}  // namespace tstitch
