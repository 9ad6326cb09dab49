#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tstitch/base/clock.h"
#include "tstitch/engine/run.h"

namespace tstitch {

enum class Show : uint8_t {
  nothing,
  bar,           // one rewritten line on a terminal, nothing elsewhere
  bar_or_lines,  // the same; elsewhere a plain line at the start of each model's part
  images,  // of many images: how many are done, their rate, and the time left; elsewhere a line now and then
};

// Shows on stderr who is at work. Ends the run when the process is interrupted.
class ProgressBar final : public RunObserver {
 public:
  ProgressBar(std::vector<std::string> model_names, Show show);
  ~ProgressBar() override;

  void progress(const Progress& progress) override;
  bool cancelled() override;

 private:
  void draw(const Progress& progress);
  void count(const Progress& progress);

  std::vector<std::string> names_;
  bool terminal_;
  Show show_;
  int shown_model_ = -1;
  double shown_at_ = 0;  // seconds
  Stopwatch stopwatch_;
};

}  // namespace tstitch
