#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "apps/arguments.h"
#include "apps/progress_bar.h"
#include "tstitch/backend/backend.h"
#include "tstitch/engine/run.h"
#include "tstitch/engine/run_spec.h"
#include "tstitch/models/autoencoder.h"
#include "tstitch/output/picture_output.h"
#include "tstitch/zoo/model.h"

namespace tstitch {

// The models of one command on one device.
class Session {
 public:
  Session(const Arguments& arguments, const std::vector<ModelInfo>& infos);

  Backend& backend() { return *backend_; }
  const std::vector<Model>& models() const { return models_; }
  const EncodedInputs& inputs() const { return inputs_; }  // once loaded

  // Loads the models that the specs use, and the autoencoder where the last one's latents are no pictures and
  // pictures come in or go out. The specs differ in their trajectories only. Returns kDone, or kInterrupted
  // when a signal came.
  int load(std::span<const RunSpec> specs, bool with_decoder);
  void warm_up(
      const RunSpec& spec);  // one evaluation of each loaded model, so that no run pays for fresh memory
  // Samples what the output lacks, or without output all images, batch by batch: pictures into `output`,
  // latents into `latents`; either may be null.
  RunResult sample(const RunSpec& spec, PictureOutput* output, BatchSink* latents, Show show);
  struct Times {
    double mean, spread;  // seconds; the spread is half of what lies between the quartiles
  };
  // Of one evaluation of each model on a batch of the spec, the models in turns, for two seconds but at least
  // three times each; 0 where one is not loaded. The mean, for a run's time is a sum: whatever else the
  // machine does now and then is part of it.
  std::vector<Times> time_evaluations(const RunSpec& spec);
  // Seconds of making pictures of one image's latent, 0 where it is one.
  double time_decoding(const RunSpec& spec);
  double estimate(const RunSpec& spec);  // seconds of a run, from timed evaluations of each model
  void print_times(const RunResult& result) const;

 private:
  std::vector<std::string> names() const;
  Tensor decoded(const Tensor& latents, double& seconds);

  bool silent_;  // also about progress over many images
  bool quiet_;
  std::string vae_;
  std::unique_ptr<Autoencoder> decoder_;
  EncodedInputs inputs_;
  std::unique_ptr<Backend> backend_;
  std::vector<Model> models_;
};

// The images of the spec in batches, a last one that is not full as its share.
double batches_in(const RunSpec& spec);

// The autoencoder for the model's latents: --vae, or what came with the model; "" when there is none.
std::string vae_path(const Arguments& arguments, const ModelInfo& model);
// Whether pictures can be made of the model's latents.
bool is_decodable(const Arguments& arguments, const ModelInfo& model);
// Throws Error{usage} when they cannot.
void check_decodable(const Arguments& arguments, const ModelInfo& model);

// Says what was kept, "" for nothing, and gives the exit code.
int report_interrupted(const std::string& kept = "");

}  // namespace tstitch
