#include "tstitch/engine/engine.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <utility>

#include "tstitch/base/clock.h"
#include "tstitch/base/error.h"
#include "tstitch/condition/mask_conditions.h"
#include "tstitch/engine/controls.h"
#include "tstitch/engine/evaluation_counts.h"
#include "tstitch/engine/mask.h"
#include "tstitch/engine/memory_check.h"
#include "tstitch/engine/pixels.h"
#include "tstitch/zoo/latents.h"

namespace tstitch {
namespace {

// Of some, one or more, which it sorts.
EvaluationTime summary_of(std::vector<double>& seconds) {
  std::ranges::sort(seconds);
  const auto at = [&](size_t quarter) { return seconds[quarter * (seconds.size() - 1) / 4]; };
  const double sum = std::accumulate(seconds.begin(), seconds.end(), 0.0);
  return {sum / static_cast<double>(seconds.size()), (at(3) - at(1)) / 2};
}

}  // namespace

Asking asking_in(const RunSpec& spec, const Step& step, size_t model, bool whole) {
  Step own = step;
  own.denoiser = static_cast<int>(model);
  return {.model = model,
          .cfg_scale = spec.cfg_scale_at(own),
          .controls = spec.controls_at(own.denoiser, own.index),
          .whole = whole};
}

Engine::Engine(std::vector<ModelInfo> models, const BackendOptions& device, std::string vae)
    : infos_(std::move(models)),
      vae_(autoencoder_path(infos_.back(), vae)),
      threads_(device.threads),
      backend_(make_backend(device)) {
  for (const ModelInfo& info : infos_) {
    models_.push_back({.info = info, .network = nullptr});
    if (info.dtype.empty() || others_.contains(info.dtype)) continue;
    BackendOptions options = device;
    options.dtype = info.dtype;
    others_[info.dtype] = make_backend(options);
  }
}

Engine::Engine(std::vector<ModelInfo> models, std::shared_ptr<Backend> device, std::string vae,
               ModelKeeper& keeper)
    : infos_(std::move(models)),
      vae_(autoencoder_path(infos_.back(), vae)),
      backend_(std::move(device)),
      keeper_(&keeper) {
  for (const ModelInfo& info : infos_) models_.push_back({.info = info, .network = nullptr});
}

std::string Engine::description() const {
  std::vector<std::string> types;  // in order of use, "" for the run's
  for (const ModelInfo& info : infos_)
    if (!std::ranges::count(types, info.dtype)) types.push_back(info.dtype);
  const auto backend_of = [&](const std::string& type) -> const Backend& {
    const auto other = others_.find(type);
    return other == others_.end() ? *backend_ : *other->second;
  };
  std::string text = backend_of(types[0]).description();
  for (const std::string& type : std::span(types).subspan(1)) {
    const std::string other = backend_of(type).description();  // which ends in its type
    text += concat("; ", other.substr(other.rfind(", ") + 2));
  }
  return text;
}

bool Engine::load(std::span<const RunSpec> specs, bool pictures, const std::function<bool()>& cancelled,
                  int64_t beside) {
  const ModelInfo& last = infos_.back();
  RunSpec spec = specs.front();
  // Which models serve, and so which texts are read and which of their words are known, differs between them.
  for (const RunSpec& other : specs)
    for (const Embedding& embedding : other.embeddings)
      if (std::ranges::none_of(spec.embeddings, [&](const Embedding& known) {
            return known.path() == embedding.path() && known.names() == embedding.names();
          }))
        spec.embeddings.push_back(embedding);
  const bool from_picture = static_cast<bool>(spec.options.init_image);
  std::vector<bool> used, to_load;
  for (size_t i = 0; i < infos_.size(); ++i) {
    used.push_back(std::ranges::any_of(specs, [&](const RunSpec& s) { return s.uses(static_cast<int>(i)); }));
    to_load.push_back(used[i] && !models_[i].network);
  }
  const bool fills_host = backend_->memory().place().on_host() && std::ranges::count(to_load, true) > 0;
  if (!keeper_ && !spec.options.no_memory_check && fills_host)
    if (const auto free = bytes_free())
      check_memory(
          spec.options,
          memory_needed(infos_, to_load, spec, pictures && !last.pixels ? vae_ : "").total() + beside, *free);
  // First, so that one that does not fit is known before the long part.
  if ((pictures || from_picture) && !last.pixels)
    autoencoder_ = keeper_ ? keeper_->autoencoder(vae_, last, from_picture)
                           : load_decoder(*backend_, vae_, last, from_picture);
  if (from_picture)
    inputs_.init_latent = autoencoder_
                              ? encode(*backend_, *autoencoder_, spec.options.init_image)
                              : spec.options.init_image.reshape({1, spec.channels, spec.height, spec.width});
  // A text encoder is gone before the models come: its memory serves them.
  inputs_.conditions = make_condition_makers(*backend_, infos_, spec, used);
  show_mask(spec);
  if (!keeper_) backend_->memory().trim();
  ControlLoader of_keeper;
  if (keeper_)
    of_keeper = [this](const ControlNetInfo& net, const ModelInfo& base) {
      return keeper_->control_net(net, base);
    };
  steer(inputs_.conditions, infos_, load_controls(*backend_, infos_, spec, used, of_keeper));
  for (size_t i = 0; i < models_.size(); ++i) {
    if (used[i]) models_[i] = loaded(i);
    if (cancelled()) return false;
  }
  return true;
}

void Engine::show_mask(const RunSpec& spec) {
  Tensor beside;
  for (size_t i = 0; i < infos_.size(); ++i) {
    auto& conditions = inputs_.conditions[i];
    if (!infos_[i].condition.sees_mask || !conditions) continue;
    if (!beside) {
      const Tensor rest = encode(*backend_, *autoencoder_, without_hole(spec.options.init_image, spec.mask));
      beside = beside_latent(rest, spec.mask);
    }
    conditions = std::make_shared<MaskConditions>(conditions, beside);
  }
}

void Engine::load(const RunSpec& spec) {
  load({&spec, 1}, true, [] { return false; });
}

void Engine::warm_up(const RunSpec& spec) {
  for (size_t i = 0; i < models_.size(); ++i)
    if (models_[i].network) timed(spec, i);
}

RunResult Engine::sample(const RunSpec& spec, std::span<const IndexRange> images, RunObserver& observer,
                         PictureSink* pictures, BatchSink* latents) {
  DirectEvaluator evaluator;
  return sample(evaluator, spec, images, observer, pictures, latents);
}

RunResult Engine::sample(Evaluator& evaluator, const RunSpec& spec, std::span<const IndexRange> images,
                         RunObserver& observer, PictureSink* pictures, BatchSink* latents) {
  struct Sink final : BatchSink {
    Sink(Engine& e, const RunSpec& s, PictureSink* p, BatchSink* l)
        : engine(e), spec(s), pictures(p), keep(l) {}
    void take(IndexRange range, const Tensor& batch) override {
      if (keep) keep->take(range, batch);
      if (pictures) pictures->add(range.first, finished(batch));
    }
    std::vector<Image> finished(const Tensor& batch) {
      std::vector<Image> images = decode_pixels(engine.decoded(batch, decode_seconds));
      if (spec.mask) keep_known(images, spec.options.init_image, spec.mask);
      return images;
    }
    Engine& engine;
    const RunSpec& spec;
    PictureSink* pictures;
    BatchSink* keep;
    double decode_seconds = 0;
  } sink(*this, spec, pictures, latents);
  RunResult result = run(*backend_, evaluator, models_, spec, images, observer, sink, inputs_);
  result.decode_seconds = sink.decode_seconds;
  return result;
}

std::vector<Image> Engine::sample(const RunSpec& spec) {
  struct Kept final : PictureSink {
    void add(int64_t, const std::vector<Image>& pictures) override {
      images.insert(images.end(), pictures.begin(), pictures.end());
    }
    std::vector<Image> images;
  } kept;
  RunObserver silent;
  const IndexRange all{0, spec.images()};
  sample(spec, {&all, 1}, silent, &kept);
  return std::move(kept.images);
}

Model Engine::loaded(size_t i) const {
  for (const Model& other : models_)
    if (other.network && same_network(other.info, infos_[i]))
      return {.info = infos_[i], .network = other.network};
  if (keeper_) return keeper_->model(infos_[i]);
  const auto other = others_.find(infos_[i].dtype);
  return load_model(infos_[i], other == others_.end() ? *backend_ : *other->second, threads_);
}

double Engine::timed(const RunSpec& spec, size_t i) {
  const auto stage = static_cast<int>(i);
  std::map<std::pair<double, uint64_t>, int> ways;  // how it is asked, and in how many steps
  for (const Step& step : spec.trajectory)
    if (step.denoiser == stage) ++ways[{spec.cfg_scale_at(step), spec.controls_at(stage, step.index)}];
  if (ways.empty()) ways[{spec.stages[i].cfg_scale, ~uint64_t{0}}] = 1;
  const double whole = evaluation_counts(spec, stage).whole_share(infos_[i].form.cache);
  double seconds = 0, steps = 0;
  for (const auto& [way, count] : ways) {
    const auto [cfg_scale, controls] = way;
    for (const bool is_whole : {true, false})
      if (const double share = is_whole ? whole : 1 - whole; share > 0)
        seconds += count * share *
                   time_evaluation(*backend_, models_[i], spec, cfg_scale, controls, 1,
                                   *inputs_.conditions[i], is_whole);
    steps += count;
  }
  return seconds / steps;
}

Tensor Engine::decoded(const Tensor& latents, double& seconds) {
  if (!autoencoder_) return latents;
  const Stopwatch stopwatch;
  Tensor pictures = decode(*backend_, *autoencoder_, latents);
  seconds += stopwatch.seconds();
  return pictures;
}

std::vector<EvaluationTime> Engine::time_evaluations(const RunSpec& spec,
                                                     const std::function<bool()>& cancelled, double at_least,
                                                     int fewest) {
  std::vector<std::vector<double>> seconds(models_.size());
  const Stopwatch stopwatch;
  for (int round = 0; round < fewest || stopwatch.seconds() < at_least; ++round)
    for (size_t i = 0; i < models_.size(); ++i) {
      if (cancelled()) return {};
      if (models_[i].network) seconds[i].push_back(timed(spec, i));
    }
  std::vector<EvaluationTime> times;
  for (std::vector<double>& of_model : seconds)
    times.push_back(of_model.empty() ? EvaluationTime() : summary_of(of_model));
  return times;
}

std::map<Asking, EvaluationTime> Engine::time_evaluations(const RunSpec& spec,
                                                          const std::set<Asking>& askings,
                                                          const std::function<bool()>& cancelled,
                                                          double at_least, int fewest) {
  std::map<Asking, std::vector<double>> seconds;
  const Stopwatch stopwatch;
  for (int round = 0; round < fewest || stopwatch.seconds() < at_least; ++round)
    for (const Asking& asking : askings) {
      if (cancelled()) return {};
      const size_t i = asking.model;
      seconds[asking].push_back(time_evaluation(*backend_, models_[i], spec, asking.cfg_scale,
                                                asking.controls, 1, *inputs_.conditions[i], asking.whole));
    }
  std::map<Asking, EvaluationTime> times;
  for (auto& [asking, some] : seconds) times[asking] = summary_of(some);
  return times;
}

double Engine::time_decoding(const RunSpec& spec) {
  if (!autoencoder_) return 0;
  Tensor latents({1, spec.channels, spec.height, spec.width}, DType::f32);
  std::fill_n(latents.data<float>(), latents.elements(), 0.0f);
  double seconds = 0;
  decoded(latents, seconds);
  return seconds;
}

double Engine::estimate(const RunSpec& spec, const std::function<bool()>& cancelled) {
  // Who asks how long it takes wants to know soon: each is warmed up before it is timed, and that once will
  // do.
  constexpr double kSeconds = 0.02;
  const std::vector<EvaluationTime> times = time_evaluations(spec, cancelled, kSeconds, 1);
  if (times.empty()) return 0;
  double seconds = static_cast<double>(spec.images()) * time_decoding(spec);
  for (size_t i = 0; i < models_.size(); ++i)
    seconds += times[i].mean * batches_in(spec) *
               static_cast<double>(evaluations(*backend_, spec, static_cast<int>(i)));
  return seconds;
}

double batches_in(const RunSpec& spec) {
  // time_evaluation takes the batch of a run that does not fill one.
  const int64_t batch = std::min(spec.options.batch_size, spec.images());
  return static_cast<double>(spec.images()) / static_cast<double>(batch);
}

std::string autoencoder_path(const ModelInfo& model, const std::string& vae) {
  return vae.empty() ? model.files.vae : vae;
}

bool is_decodable(const ModelInfo& model, const std::string& vae) {
  return model.pixels || !autoencoder_path(model, vae).empty();
}

void check_decodable(const ModelInfo& model, const std::string& vae) {
  check(
      is_decodable(model, vae), ErrorKind::usage, "the latents of ", model.name,
      " need an autoencoder to become pictures: name it with --vae, or use --save-latent FILE.npy instead of"
      " --output");
  check(!model.pixels || vae.empty(), ErrorKind::usage, model.name,
        " makes pictures itself and takes no --vae");
}

}  // namespace tstitch
