#include "tstitch/engine/form_options.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "tstitch/base/error.h"
#include "tstitch/base/numbers.h"

namespace tstitch {
namespace {

// One at the least.
std::vector<std::string> parts_of(const std::string& text, char between) {
  std::vector<std::string> parts;
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find(between, at), text.size());
    parts.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return parts;
}

constexpr double kMostMerged = 0.75;  // all that are no targets
constexpr int64_t kLeastOften = 1000;
constexpr double kLargestPower = 10;
constexpr int64_t kMostBlocks = 1024;

}  // namespace

double parse_merge(const std::string& what, const std::string& text) {
  const double merge = read_fraction(what, text);
  check(0 < merge && merge <= kMostMerged, ErrorKind::usage, what, " is ", printable(text),
        ", expected more than 0 ... ", kMostMerged, " of the tokens");
  return merge;
}

BlockCache parse_cache(const std::string& what, const std::string& text) {
  const std::vector<std::string> parts = parts_of(text, ':');
  BlockCache cache;
  cache.every = read_number<int64_t>(what, parts[0]);
  check(2 <= cache.every && cache.every <= kLeastOften, ErrorKind::usage, what, " is ", printable(text),
        ", expected that one of 2 ... ", kLeastOften, " evaluations is whole");
  std::optional<std::string> form, center, power;
  for (size_t i = 1; i < parts.size(); ++i) {
    const std::string& part = parts[i];
    const size_t equals = part.find('=');
    const std::string name = part.substr(0, equals);
    std::optional<std::string>* const place = part == "paper" || part == "helper" ? &form
                                              : equals == part.npos               ? nullptr
                                              : name == "center"                  ? &center
                                              : name == "power"                   ? &power
                                                                                  : nullptr;
    check(place && !*place, ErrorKind::usage, what, " is \"", printable(text),
          "\", expected N, N:paper or N:helper, and perhaps :center=EVALUATION and :power=POWER");
    *place = equals == part.npos ? part : part.substr(equals + 1);
  }
  if (form == "helper") cache.form = BlockCache::Form::helper;
  check(center || !power, ErrorKind::usage, what, " is \"", printable(text),
        "\": power= is for evaluations around a center=, which is not said");
  if (!center) return cache;
  BlockCache::Focus& focus = *(cache.focus = BlockCache::Focus{});
  focus.center = read_number<int64_t>(what + " center=", *center);
  check(0 <= focus.center && focus.center <= kLeastOften, ErrorKind::usage, what, " center= is ",
        printable(*center), ", expected 0 ... ", kLeastOften, ", an evaluation of the stage");
  if (power) focus.power = read_number<double>(what + " power=", *power);
  check(1 < focus.power && focus.power <= kLargestPower, ErrorKind::usage, what, " power= is ",
        printable(power.value_or("")), ", expected more than 1 ... ", kLargestPower);
  return cache;
}

std::string to_string(const BlockCache& cache) {
  std::string text = concat(cache.every, cache.form == BlockCache::Form::helper ? ":helper" : "");
  if (!cache.focus) return text;
  const BlockCache::Focus usual{.center = cache.focus->center};
  return concat(text, ":center=", cache.focus->center,
                *cache.focus == usual ? "" : ":power=" + number_text(cache.focus->power));
}

void add_blocks(const std::string& what, const std::string& text, std::vector<int64_t>& blocks) {
  // -1 of what is no number: of a list the whole is quoted.
  const auto number = [](const std::string& digits) {
    int64_t value = -1;
    const char* const end = digits.data() + digits.size();
    const auto read = std::from_chars(digits.data(), end, value);
    return read.ec == std::errc() && read.ptr == end ? value : -1;
  };
  for (const std::string& part : parts_of(text, '+')) {
    const size_t dash = part.find('-');
    const int64_t first = number(part.substr(0, dash)),
                  last = dash == part.npos ? first : number(part.substr(dash + 1));
    check(0 <= first && first <= last && last < kMostBlocks, ErrorKind::usage, what, " is \"",
          printable(text), "\", expected the numbers of blocks, from 0, as 3+7+12 or 3-5+12");
    for (int64_t block = first; block <= last; ++block) blocks.push_back(block);
  }
  std::ranges::sort(blocks);
  const auto twice = std::ranges::adjacent_find(blocks);
  check(twice == blocks.end(), ErrorKind::usage, what, " names block ", twice == blocks.end() ? 0 : *twice,
        " twice");
}

}  // namespace tstitch
