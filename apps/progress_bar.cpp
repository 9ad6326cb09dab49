#include "apps/progress_bar.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "apps/interrupt.h"

namespace tstitch {

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

void ProgressBar::count(const Progress& p) {
  const double interval = terminal_ ? 0.2 : 10, now = stopwatch_.seconds();
  if (now < shown_at_ + interval) return;
  shown_at_ = now;
  // The steps of the batch at work count as parts of its images.
  const double done =
      static_cast<double>(p.images_done) + static_cast<double>(p.images.count) * p.step / p.steps;
  const double rate = done / now;
  std::fprintf(stderr, "%s%lld/%lld images, %.3g images/s", terminal_ ? "\r\033[K" : "",
               static_cast<long long>(p.images_done), static_cast<long long>(p.images_total), rate);
  if (done > 0) {
    const auto left = static_cast<long long>((static_cast<double>(p.images_total) - done) / rate);
    std::fprintf(stderr, ", %lld:%02lld:%02lld left", left / 3600, left / 60 % 60, left % 60);
  }
  std::fputs(terminal_ ? "" : "\n", stderr);
  std::fflush(stderr);
}

}  // namespace tstitch
