#include "apps/progress_bar.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "apps/interrupt.h"
#include "tstitch/base/error.h"
#include "tstitch/base/utf8.h"

namespace tstitch {
namespace {

std::string formatted(const char* format, double number) {
  char text[64];
  std::snprintf(text, sizeof text, format, number);
  return text;
}

// ", 0:01:40 left"
std::string left_text(double seconds) {
  const auto left = static_cast<long long>(seconds);
  char text[64];
  std::snprintf(text, sizeof text, ", %lld:%02lld:%02lld left", left / 3600, left / 60 % 60, left % 60);
  return text;
}

// Of the terminal, but for the last: a line that fills it may already wrap.
size_t columns() {
  winsize size{};
  const bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1;
  return known ? size.ws_col - 1u : 1000;
}

// Writes over the terminal's last line. One that wraps could not be written over by the next.
void rewrite(const std::string& line) {
  std::string cut = line.substr(0, columns());  // no character takes more columns than bytes
  cut.resize(valid_utf8_prefix(cut));
  std::fprintf(stderr, "\r\033[K%s", cut.c_str());
  std::fflush(stderr);
}

}  // namespace

ProgressBar::ProgressBar(std::vector<std::string> model_names, Show show)
    : names_(std::move(model_names)), terminal_(isatty(STDERR_FILENO) != 0), show_(show) {}

ProgressBar::~ProgressBar() {
  if (terminal_ && show_ != Show::nothing) std::fputs("\r\033[K", stderr);
}

bool ProgressBar::cancelled() { return interrupted(); }

void ProgressBar::progress(const Progress& progress) {
  if (show_ == Show::images) {
    count(progress);
  } else if (show_ != Show::nothing && terminal_) {
    draw(progress);
  } else if (show_ == Show::bar_or_lines && progress.model != shown_model_) {
    std::fprintf(stderr, "batch %lld/%lld, step %d/%d: %s\n", static_cast<long long>(progress.batch + 1),
                 static_cast<long long>(progress.batches), progress.step + 1, progress.steps,
                 names_[static_cast<size_t>(progress.model)].c_str());
  }
  shown_model_ = progress.model;
}

void ProgressBar::draw(const Progress& progress) {
  constexpr size_t kNarrowest = 8, kWidest = 30;
  const int64_t done = progress.batch * progress.steps + progress.step,
                all = progress.batches * progress.steps;
  std::string text = concat(" ", done, "/", all);
  if (done > 0) {
    const double per_step = stopwatch_.seconds() / static_cast<double>(done);
    text +=
        concat(left_text(per_step * static_cast<double>(all - done)), formatted(", %.3f s/step", per_step));
  }
  text += "  " + names_[static_cast<size_t>(progress.model)];
  const size_t edges = 2, room = columns() - std::min(columns(), text.size() + edges),
               width = std::clamp(room, kNarrowest, kWidest),
               filled = width * static_cast<size_t>(done) / static_cast<size_t>(all);
  std::string bar(width, ' ');
  std::fill_n(bar.begin(), filled, '=');
  bar[filled] = '>';
  rewrite(concat("|", bar, "|", text));
}

void ProgressBar::count(const Progress& p) {
  const double interval = terminal_ ? 0.2 : 10, now = stopwatch_.seconds();
  if (now < shown_at_ + interval) return;
  shown_at_ = now;
  // The steps of the batch at work count as parts of its images.
  const double done =
      static_cast<double>(p.images_done) + static_cast<double>(p.images.count) * p.step / p.steps;
  const double rate = done / now;
  std::string line =
      concat(p.images_done, "/", p.images_total, " images", formatted(", %.3g images/s", rate));
  if (done > 0) line += left_text((static_cast<double>(p.images_total) - done) / rate);
  if (terminal_)
    rewrite(line);
  else
    std::fprintf(stderr, "%s\n", line.c_str());
}

}  // namespace tstitch
