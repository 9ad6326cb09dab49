#pragma once

#include <string>
#include <vector>

#include "tstitch/base/clock.h"
#include "tstitch/pipeline/run.h"

namespace tstitch {

// Shows on stderr who is at work: one rewritten line on a terminal, a plain line at the start of each model's part
// otherwise. Ends the run when the process is interrupted.
class ProgressBar final : public RunObserver {
 public:
  // names: of the models; quiet: show nothing.
  ProgressBar(std::vector<std::string> names, bool quiet);
  ~ProgressBar() override;

  void progress(const Progress& progress) override;
  bool cancelled() override;

 private:
  void show(const Progress& progress);

  std::vector<std::string> names_;
  bool quiet_, terminal_;
  int shown_model_ = -1;
  Stopwatch stopwatch_;
};

}  // namespace tstitch
