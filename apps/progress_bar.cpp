#include "apps/progress_bar.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "apps/interrupt.h"

namespace tstitch {

ProgressBar::ProgressBar(std::vector<std::string> model_names, Show show)
    : names_(std::move(model_names)),
      bar_(show != Show::nothing && isatty(STDERR_FILENO) != 0),
      lines_(show == Show::bar_or_lines && !bar_) {}

ProgressBar::~ProgressBar() {
  if (bar_) std::fputs("\r\033[K", stderr);
}

bool ProgressBar::cancelled() { return interrupted(); }

void ProgressBar::progress(const Progress& progress) {
  if (bar_) {
    draw(progress);
  } else if (lines_ && progress.model != shown_model_) {
    std::fprintf(stderr, "batch %lld/%lld, step %d/%d: %s\n", static_cast<long long>(progress.batch + 1),
                 static_cast<long long>(progress.batches), progress.step + 1, progress.steps,
                 names_[static_cast<size_t>(progress.model)].c_str());
  }
  shown_model_ = progress.model;
}

void ProgressBar::draw(const Progress& progress) {
  constexpr int kWidth = 30;
  const int64_t done = progress.batch * progress.steps + progress.step,
                all = progress.batches * progress.steps;
  const auto filled = static_cast<int>(kWidth * done / all);
  std::string bar(kWidth, ' ');
  std::fill_n(bar.begin(), filled, '=');
  bar[static_cast<size_t>(filled)] = '>';
  const double per_step = done ? stopwatch_.seconds() / static_cast<double>(done) : 0;
  std::fprintf(stderr, "\r\033[K|%s| %lld/%lld  %.3f s/step  %s", bar.c_str(), static_cast<long long>(done),
               static_cast<long long>(all), per_step, names_[static_cast<size_t>(progress.model)].c_str());
  std::fflush(stderr);
}

}  // namespace tstitch
