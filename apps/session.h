#pragma once

#include <memory>
#include <string>
#include <vector>

#include "apps/arguments.h"
#include "apps/progress_bar.h"
#include "tstitch/backend/backend.h"
#include "tstitch/pipeline/model.h"
#include "tstitch/pipeline/plan.h"
#include "tstitch/pipeline/run.h"

namespace tstitch {

// The models of one command on one device.
class Session {
 public:
  Session(const Arguments& arguments, const std::vector<ModelInfo>& infos);

  Backend& backend() { return *backend_; }
  const std::vector<Model>& models() const { return models_; }

  // Loads the models that are used. Returns kDone, or kInterrupted when a signal came.
  int load(const std::vector<bool>& used);
  void warm_up(
      const Plan& plan);  // one evaluation of each loaded model, so that no run pays for fresh memory
  RunResult run(const Plan& plan, Show show);
  double estimate(const Plan& plan);  // seconds of a run, from timed evaluations of each model
  void print_times(const RunResult& result) const;

 private:
  std::vector<std::string> names() const;

  bool quiet_;
  std::unique_ptr<Backend> backend_;
  std::vector<Model> models_;
};

// Says that nothing was written, and gives the exit code.
int report_interrupted();

}  // namespace tstitch
