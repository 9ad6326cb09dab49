#include "apps/session.h"

#include <algorithm>
#include <cstdio>
#include <numeric>

#include "apps/commands.h"
#include "apps/interrupt.h"
#include "tstitch/base/clock.h"
#include "tstitch/base/error.h"
#include "tstitch/condition/text_encoder.h"
#include "tstitch/engine/pixels.h"
#include "tstitch/zoo/latents.h"

namespace tstitch {

Session::Session(const Arguments& arguments, const std::vector<ModelInfo>& infos)
    : silent_(arguments.quiet),
      quiet_(arguments.quiet || arguments.json),
      vae_(vae_path(arguments, infos.back())),
      backend_(make_backend(arguments.backend)) {
  for (const ModelInfo& info : infos) models_.push_back({.info = info, .network = nullptr});
}

int Session::load(std::span<const RunSpec> specs, bool with_decoder) {
  // First, so that one that does not fit is known before the long part.
  const ModelInfo& last = models_.back().info;
  const RunSpec& spec = specs.front();
  const bool from_picture = static_cast<bool>(spec.init_image);
  if ((with_decoder || from_picture) && !last.pixels)
    decoder_ = load_decoder(*backend_, vae_, last, from_picture);
  if (from_picture)
    inputs_.init_latent = decoder_ ? encode(*backend_, *decoder_, spec.init_image)
                                   : spec.init_image.reshape({1, spec.channels, spec.height, spec.width});
  if (last.context_width) {
    std::vector<ModelInfo> infos;
    for (const Model& model : models_) infos.push_back(model.info);
    std::vector<std::string> texts = spec.prompts;
    texts.push_back(spec.negative_prompt);
    // Gone before the models come: its memory serves them.
    inputs_.contexts = TextEncoder(*backend_, model_with_text_encoder(infos), spec.clip_skip).encode(texts);
  }
  for (size_t i = 0; i < models_.size(); ++i) {
    const auto uses = [&](const RunSpec& p) { return p.uses(static_cast<int>(i)); };
    if (std::ranges::any_of(specs, uses)) models_[i] = load_model(models_[i].info, *backend_);
    if (interrupted()) return kInterrupted;
  }
  return kDone;
}

void Session::warm_up(const RunSpec& spec) {
  for (const Model& model : models_)
    if (model.network) time_evaluation(*backend_, model, spec, 1, inputs_);
}

RunResult Session::sample(const RunSpec& spec, PictureOutput* output, BatchSink* latents, Show show) {
  struct Sink final : BatchSink {
    Sink(Session& s, PictureOutput* o, BatchSink* l) : session(s), pictures(o), keep(l) {}
    void take(IndexRange images, const Tensor& batch) override {
      if (keep) keep->take(images, batch);
      if (pictures) pictures->add(images.first, decode_pixels(session.decoded(batch, decode_seconds)));
    }
    Session& session;
    PictureOutput* pictures;
    BatchSink* keep;
    double decode_seconds = 0;
  } sink(*this, output, latents);
  const std::vector<IndexRange> images =
      output ? output->missing() : std::vector<IndexRange>{{0, spec.images()}};
  ProgressBar progress(names(), (show == Show::images ? silent_ : quiet_) ? Show::nothing : show);
  RunResult result = tstitch::run(*backend_, models_, spec, images, progress, sink, inputs_);
  result.decode_seconds = sink.decode_seconds;
  return result;
}

Tensor Session::decoded(const Tensor& latents, double& seconds) {
  if (!decoder_) return latents;
  const Stopwatch stopwatch;
  Tensor pictures = decode(*backend_, *decoder_, latents);
  seconds += stopwatch.seconds();
  return pictures;
}

std::vector<Session::Times> Session::time_evaluations(const RunSpec& spec) {
  constexpr int kFewest = 3;
  constexpr double kSeconds = 2;
  std::vector<std::vector<double>> seconds(models_.size());
  const Stopwatch stopwatch;
  for (int round = 0; round < kFewest || stopwatch.seconds() < kSeconds; ++round)
    for (size_t i = 0; i < models_.size(); ++i)
      if (models_[i].network) seconds[i].push_back(time_evaluation(*backend_, models_[i], spec, 1, inputs_));
  std::vector<Times> times;
  for (std::vector<double>& of_model : seconds) {
    if (of_model.empty()) {
      times.push_back({0, 0});
      continue;
    }
    std::ranges::sort(of_model);
    const auto at = [&](size_t quarter) { return of_model[quarter * (of_model.size() - 1) / 4]; };
    const double sum = std::accumulate(of_model.begin(), of_model.end(), 0.0);
    times.push_back({sum / static_cast<double>(of_model.size()), (at(3) - at(1)) / 2});
  }
  return times;
}

double Session::time_decoding(const RunSpec& spec) {
  if (!decoder_) return 0;
  Tensor latents({1, spec.channels, spec.height, spec.width}, DType::f32);
  std::fill_n(latents.data<float>(), latents.elements(), 0.0f);
  double seconds = 0;
  decoded(latents, seconds);
  return seconds;
}

double Session::estimate(const RunSpec& spec) {
  double seconds = static_cast<double>(spec.images()) * time_decoding(spec);
  const std::vector<Times> times = time_evaluations(spec);
  for (size_t i = 0; i < models_.size(); ++i)
    seconds += times[i].mean * batches_in(spec) *
               static_cast<double>(evaluations(*backend_, spec, static_cast<int>(i)));
  return seconds;
}

void Session::print_times(const RunResult& result) const {
  double load_seconds = 0;
  for (size_t i = 0; i < models_.size(); ++i) {
    const ModelTime& time = result.models[i];
    load_seconds += models_[i].load_seconds;
    if (time.evaluations)
      std::printf("%s: %lld evaluations, %.2f ms each, %.2f s\n", models_[i].info.name.c_str(),
                  static_cast<long long>(time.evaluations),
                  1e3 * time.seconds / static_cast<double>(time.evaluations), time.seconds);
  }
  std::printf("loading %.2f s, sampling %.2f s", load_seconds, result.seconds);
  if (result.decode_seconds > 0) std::printf(", decoding %.2f s", result.decode_seconds);
  std::printf("\n");
}

std::vector<std::string> Session::names() const {
  std::vector<std::string> names;
  for (const Model& model : models_) names.push_back(model.info.name);
  return names;
}

double batches_in(const RunSpec& spec) {
  // time_evaluation takes the batch of a run that does not fill one.
  const int64_t batch = std::min(spec.batch_size, spec.images());
  return static_cast<double>(spec.images()) / static_cast<double>(batch);
}

std::string vae_path(const Arguments& arguments, const ModelInfo& model) {
  return arguments.vae.empty() ? model.files.vae : arguments.vae;
}

bool is_decodable(const Arguments& arguments, const ModelInfo& model) {
  return model.pixels || !vae_path(arguments, model).empty();
}

void check_decodable(const Arguments& arguments, const ModelInfo& model) {
  check(
      is_decodable(arguments, model), ErrorKind::usage, "the latents of ", model.name,
      " need an autoencoder to become pictures: name it with --vae, or use --save-latent FILE.npy instead of"
      " --output");
  check(!model.pixels || arguments.vae.empty(), ErrorKind::usage, model.name,
        " makes pictures itself and takes no --vae");
}

int report_interrupted(const std::string& kept) {
  std::fprintf(stderr, "tstitch: interrupted: %s\n", kept.empty() ? "nothing was written" : kept.c_str());
  return kInterrupted;
}

}  // namespace tstitch
