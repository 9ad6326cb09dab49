#include "tstitch/text/prompt.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <numeric>
#include <optional>

#include "tstitch/text/unsupported_grammar.h"
#include "tstitch/text/word_edges.h"

namespace tstitch {
namespace {

constexpr std::string_view kSpecial = "\\()[]:", kSpace = " \t\n\v\f\r", kBreak = "BREAK";
constexpr double kMaxWeight = 1e6;
constexpr size_t kOpen = std::numeric_limits<size_t>::max();

struct Piece {
  std::string text;
  bool is_break = false;
};

// A pair of brackets around the pieces [begin, end).
struct Bracket {
  size_t begin, end = kOpen;
  double factor;
};

// One kind of brackets, in the order in which they open. The two kinds do not see each other: "(a[b)c]" is
// fine.
class Brackets {
 public:
  explicit Brackets(double factor) : factor_(factor) {}

  bool any_open() const { return !open_.empty(); }

  void open(size_t piece) {
    open_.push_back(all_.size());
    all_.push_back({piece, kOpen, factor_});
  }

  void close(size_t piece, std::optional<double> factor = {}) {
    Bracket& bracket = all_[open_.back()];
    open_.pop_back();
    bracket.end = piece;
    bracket.factor = factor.value_or(factor_);
  }

  // Multiplies weights[i] by the factors around piece i, in one pass however deep they nest.
  void apply(std::vector<double>& weights) const {
    struct Inside {
      size_t end;
      double product;
    };
    std::vector<Inside> inside = {{kOpen, 1}};
    auto next = all_.begin();
    for (size_t piece = 0; piece < weights.size(); ++piece) {
      while (inside.back().end <= piece) inside.pop_back();
      for (; next != all_.end() && next->begin == piece; ++next)
        if (next->end > piece) inside.push_back({next->end, limited(inside.back().product * next->factor)});
      weights[piece] = limited(weights[piece] * inside.back().product);
    }
  }

 private:
  static double limited(double weight) { return std::clamp(weight, -kMaxWeight, kMaxWeight); }

  double factor_;
  std::vector<Bracket> all_;
  std::vector<size_t> open_;  // indices of all_
};

class PromptReader {
 public:
  explicit PromptReader(std::string_view prompt) : rest_(prompt) {}

  std::vector<PromptSection> read() {
    while (!rest_.empty()) read_piece();
    std::vector<double> weights(pieces_.size(), 1);
    round_.apply(weights);
    square_.apply(weights);
    std::vector<PromptSection> sections(1);
    for (size_t i = 0; i < pieces_.size(); ++i) {
      PromptSection& section = sections.back();
      const std::string& text = pieces_[i].text;
      if (pieces_[i].is_break) {
        sections.emplace_back();
      } else if (!section.empty() && section.back().weight == weights[i]) {
        section.back().text += text;
      } else if (!text.empty()) {
        section.push_back({text, weights[i]});
      }
    }
    return sections;
  }

 private:
  std::string_view take(size_t length) {
    const std::string_view taken = rest_.substr(0, length);
    rest_.remove_prefix(taken.size());
    return taken;
  }

  void read_piece() {
    const char first = rest_[0];
    if (first == '\\') {
      take(1);
      if (!rest_.empty() && rest_[0] != ':' && kSpecial.find(rest_[0]) != kSpecial.npos) add(take(1));
    } else if (first == '(' || first == '[') {
      take(1);
      (first == '(' ? round_ : square_).open(pieces_.size());
    } else if (first == ')' && round_.any_open()) {
      take(1);
      round_.close(pieces_.size());
    } else if (first == ']' && square_.any_open()) {
      take(1);
      square_.close(pieces_.size());
    } else if (const std::optional<double> factor = take_factor()) {
      round_.close(pieces_.size(), factor);
    } else if (kSpecial.find(first) != kSpecial.npos) {
      add(take(1));
    } else {
      add_words(take(rest_.find_first_of(kSpecial)));
    }
  }

  // ":1.3)" that closes a round bracket.
  std::optional<double> take_factor() {
    if (rest_[0] != ':' || !round_.any_open()) return {};
    const size_t begin = std::min(rest_.find_first_not_of(kSpace, 1), rest_.size());
    std::string_view number = rest_.substr(begin);
    const bool plus = number.starts_with('+');
    if (plus) number.remove_prefix(1);
    number =
        number.substr(0, number.find_first_not_of("0123456789.", !plus && number.starts_with('-') ? 1 : 0));
    const size_t close = rest_.find_first_not_of(kSpace, begin + plus + number.size());
    if (close == rest_.npos || rest_[close] != ')') return {};
    double factor = 0;
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), factor);
    if (error != std::errc{} || end != number.data() + number.size()) return {};
    take(close + 1);
    return factor;
  }

  void add(std::string_view text) { pieces_.push_back({std::string(text)}); }

  // Text without brackets, cut at each BREAK that is a word of its own.
  void add_words(std::string_view text) {
    for (size_t at = text.find(kBreak); at != text.npos;) {
      const std::string_view before = text.substr(0, at), after = text.substr(at + kBreak.size());
      if (ends_with_word(before) || begins_with_word(after)) {
        at = text.find(kBreak, at + 1);
        continue;
      }
      add(before.substr(0, before.find_last_not_of(kSpace) + 1));
      pieces_.push_back({"", true});
      text = after.substr(std::min(after.find_first_not_of(kSpace), after.size()));
      at = text.find(kBreak);
    }
    add(text);
  }

  std::string_view rest_;
  std::vector<Piece> pieces_;
  Brackets round_{1.1}, square_{1 / 1.1};
};

std::vector<PromptSection> sections_of(std::string_view prompt, PromptStyle style) {
  if (style == PromptStyle::webui) return PromptReader(prompt).read();
  return {{{std::string(prompt), 1}}};
}

}  // namespace

std::vector<PromptSection> parse_prompt(std::string_view prompt) { return PromptReader(prompt).read(); }

PromptChunk PromptChunk::empty(int32_t padding_id) {
  PromptChunk chunk;
  chunk.ids.fill(padding_id);
  chunk.ids[0] = ClipTokenizer::kBegin;
  chunk.ids[1] = ClipTokenizer::kEnd;
  chunk.weights.fill(1);
  return chunk;
}

std::string_view name_of(PromptStyle style) { return style == PromptStyle::webui ? "webui" : "plain"; }

std::optional<PromptStyle> parse_prompt_style(std::string_view name) {
  for (const PromptStyle style : {PromptStyle::webui, PromptStyle::plain})
    if (name == name_of(style)) return style;
  return std::nullopt;
}

std::vector<PromptChunk> tokenize_prompt(const ClipTokenizer& tokenizer, std::string_view prompt,
                                         PromptStyle style, int32_t padding_id, const PromptWords& words) {
  check_prompt(prompt, style, AndMeans::word);  // whoever knows that it is no negative one has asked before
  std::vector<PromptChunk> chunks;
  const std::vector<PromptSection> sections = sections_of(prompt, style);
  for (const PromptSection& section : sections) {
    const size_t before = chunks.size();
    size_t used = PromptChunk::kMaxTokens;
    for (const auto& [text, weight] : section) {
      const auto add = [&, weight = static_cast<float>(weight)](std::span<const int32_t> together) {
        if (used + together.size() > PromptChunk::kMaxTokens) {
          chunks.push_back(PromptChunk::empty(padding_id));
          used = 0;
        }
        PromptChunk& chunk = chunks.back();
        for (const int32_t id : together) {
          chunk.weights[++used] = weight;
          chunk.ids[used] = id;
        }
        chunk.ids[used + 1] = ClipTokenizer::kEnd;
      };
      const auto add_text = [&](std::string_view part) {
        for (const int32_t id : tokenizer.encode(part)) add({&id, 1});
      };
      size_t from = 0;
      while (const auto found = words.find(text, from)) {
        add_text(std::string_view(text).substr(from, found->at - from));
        const PromptWord& word = words[found->word];
        std::vector<int32_t> ids(static_cast<size_t>(word.count));
        std::iota(ids.begin(), ids.end(), word.first_id);
        add(ids);
        from = found->at + found->length;
      }
      add_text(std::string_view(text).substr(from));
    }
    // BREAKs around nothing leave an empty chunk, except the last.
    const bool is_last = &section == &sections.back();
    if (chunks.size() == before && (!is_last || chunks.empty()))
      chunks.push_back(PromptChunk::empty(padding_id));
  }
  return chunks;
}

std::vector<bool> words_in(std::string_view prompt, PromptStyle style, const PromptWords& words) {
  std::vector<bool> found(words.size());
  for (const PromptSection& section : sections_of(prompt, style))
    for (const auto& [text, weight] : section)
      for (auto word = words.find(text); word; word = words.find(text, word->at + word->length))
        found[word->word] = true;
  return found;
}

}  // namespace tstitch
