#pragma once

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

}  // namespace tstitch
