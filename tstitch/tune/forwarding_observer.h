#pragma once

#include <cstdint>

#include "tstitch/engine/run.h"

namespace tstitch {

// Observes a run for an analysis, and lets another one see how far it is and end it.
class ForwardingObserver : public RunObserver {
 public:
  explicit ForwardingObserver(RunObserver& outer) : outer_(outer) {}

  void progress(const Progress& progress) override { outer_.progress(progress); }
  bool cancelled() override { return outer_.cancelled(); }

 protected:
  RunObserver& outer_;
};

// The same of one of several runs of as many batches, for the progress.
class PartObserver : public ForwardingObserver {
 public:
  PartObserver(RunObserver& outer, int64_t part, int64_t parts)
      : ForwardingObserver(outer), part_(part), parts_(parts) {}

  void progress(const Progress& progress) override {
    Progress whole = progress;
    whole.batch += part_ * progress.batches;
    whole.batches *= parts_;
    outer_.progress(whole);
  }

 private:
  int64_t part_, parts_;
};

}  // namespace tstitch
