// The models of a run on one device: loaded, asked, timed, and their latents decoded.
#pragma once

#include <compare>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "tstitch/backend/backend.h"
#include "tstitch/engine/run.h"
#include "tstitch/engine/run_spec.h"
#include "tstitch/io/png.h"
#include "tstitch/models/autoencoder.h"
#include "tstitch/zoo/control_net.h"
#include "tstitch/zoo/model.h"

namespace tstitch {

// Takes the pictures of consecutive images, from `first` on, as soon as they are finished.
class PictureSink {
 public:
  virtual ~PictureSink() = default;
  // Throws Error{device} when they cannot be written; what was added before stays.
  virtual void add(int64_t first, const std::vector<Image>& pictures) = 0;
};

// Seconds of one evaluation; the spread is half of what lies between the quartiles.
struct EvaluationTime {
  double mean = 0, spread = 0;
};

// How a model is asked in an evaluation, as far as its time depends on it.
struct Asking {
  size_t model;
  double cfg_scale;   // 1: without guidance
  uint64_t controls;  // that steer it, see Row
  bool whole = true;  // it takes nothing from the evaluation before (BlockCache)

  auto operator<=>(const Asking&) const = default;
};

// In that step, were it the model's. whole: see above.
Asking asking_in(const RunSpec& spec, const Step& step, size_t model, bool whole);

// Has the networks and autoencoders that engines ask for: whoever keeps them for several engines. Threads may
// ask at once.
class ModelKeeper {
 public:
  virtual ~ModelKeeper() = default;
  virtual Model model(const ModelInfo& info) = 0;
  // See load_decoder.
  virtual std::shared_ptr<const Autoencoder> autoencoder(const std::string& path, const ModelInfo& model,
                                                         bool with_encoder) = 0;
  // See load_control_net.
  virtual std::shared_ptr<const ControlNetwork> control_net(const ControlNetInfo& net,
                                                            const ModelInfo& base) = 0;
};

class Engine {
 public:
  // models: in order of use. vae: the autoencoder's path, "" for what came with the last model. Loads
  // nothing.
  Engine(std::vector<ModelInfo> models, const BackendOptions& device, std::string vae = "");
  // On a device that others use, too, with what `keeper` has on it; models of the device's type. Who starts
  // it has seen to the memory.
  Engine(std::vector<ModelInfo> models, std::shared_ptr<Backend> device, std::string vae,
         ModelKeeper& keeper);

  // Of the run's type, of which stages may have others.
  Backend& backend() { return *backend_; }
  const Backend& backend() const { return *backend_; }
  // The device in words, with the types of its models: "cpu: avx512_bf16, 2 threads, int8 in bf16; bf16".
  std::string description() const;
  const std::vector<ModelInfo>& infos() const { return infos_; }
  const std::string& autoencoder() const { return vae_; }       // its path, "" where there is none
  const std::vector<Model>& models() const { return models_; }  // without networks until load()
  const EncodedInputs& inputs() const { return inputs_; }       // once loaded

  // Loads the models that the specs use, encodes prompts and an initial picture, and loads the autoencoder
  // where the last model's latents are no pictures and pictures come in or go out (`pictures`). The specs
  // differ in their trajectories only. beside: bytes that the caller will hold while they run. False when
  // `cancelled`, asked after every model, has ended it.
  bool load(std::span<const RunSpec> specs, bool pictures, const std::function<bool()>& cancelled,
            int64_t beside = 0);
  void load(const RunSpec& spec);  // with pictures, to the end

  // One evaluation of each loaded model, so that no run pays for fresh memory.
  void warm_up(const RunSpec& spec);

  // Samples these images of the spec (all, where none are named), batch by batch: pictures and latents go
  // where they are wanted; either may be null.
  RunResult sample(const RunSpec& spec, std::span<const IndexRange> images, RunObserver& observer,
                   PictureSink* pictures, BatchSink* latents = nullptr);
  // The same, with the networks asked through that evaluator.
  RunResult sample(Evaluator& evaluator, const RunSpec& spec, std::span<const IndexRange> images,
                   RunObserver& observer, PictureSink* pictures, BatchSink* latents = nullptr);
  // All images at once, in memory.
  std::vector<Image> sample(const RunSpec& spec);

  // Of one evaluation of each model on a batch of the spec, the models in turns, for `at_least` seconds and
  // `fewest` times each or more; 0 where one is not loaded. The mean, for a run's time is a sum: whatever
  // else the machine does now and then is part of it. Empty when it was cancelled, which is asked before
  // each.
  std::vector<EvaluationTime> time_evaluations(const RunSpec& spec, const std::function<bool()>& cancelled,
                                               double at_least = 2, int fewest = 3);
  // The same of every way of asking that is named, of models that are loaded.
  std::map<Asking, EvaluationTime> time_evaluations(const RunSpec& spec, const std::set<Asking>& askings,
                                                    const std::function<bool()>& cancelled,
                                                    double at_least = 2, int fewest = 3);
  // Seconds of making pictures of one image's latent, 0 where it is one.
  double time_decoding(const RunSpec& spec);
  // Seconds of a run, about, from an evaluation of each model or a few; 0 when it was cancelled.
  double estimate(const RunSpec& spec, const std::function<bool()>& cancelled);

 private:
  Model loaded(size_t i) const;
  // Adds to the conditions of models that see it the mask and what it leaves of the initial picture.
  void show_mask(const RunSpec& spec);
  // Seconds of one evaluation of model i, on average over its steps: some may be guided and some not.
  double timed(const RunSpec& spec, size_t i);
  Tensor decoded(const Tensor& latents, double& seconds);

  std::vector<ModelInfo> infos_;
  std::string vae_;
  int threads_ = 0;  // of the host
  std::shared_ptr<Backend> backend_;
  std::map<std::string, std::unique_ptr<Backend>> others_;  // by type
  ModelKeeper* keeper_ = nullptr;                           // or none: this engine loads its own
  std::shared_ptr<const Autoencoder> autoencoder_;
  EncodedInputs inputs_;
  std::vector<Model> models_;
};

// The images of the spec in batches, a last one that is not full as its share.
double batches_in(const RunSpec& spec);

// The autoencoder for the model's latents: `vae`, or what came with the model; "" when there is none.
std::string autoencoder_path(const ModelInfo& model, const std::string& vae);
// Whether pictures can be made of the model's latents.
bool is_decodable(const ModelInfo& model, const std::string& vae);
// Throws Error{usage} when they cannot, and for a `vae` that the model has no use for.
void check_decodable(const ModelInfo& model, const std::string& vae);

}  // namespace tstitch
