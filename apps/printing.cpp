#include "apps/printing.h"

#include <cstdio>

#include "apps/commands.h"
#include "tstitch/engine/report.h"

namespace tstitch {

std::unique_ptr<ProgressBar> progress_of(const Arguments& a, const std::vector<ModelInfo>& models,
                                         Show show) {
  const bool shown = !a.quiet && (!a.json || show == Show::images);
  return std::make_unique<ProgressBar>(names_of(models), shown ? show : Show::nothing);
}

void print_what_is_left_out(const Arguments& a, const std::vector<ModelInfo>& models) {
  if (a.quiet) return;
  for (const std::string& line : describe_what_is_left_out(models))
    std::fprintf(stderr, "tstitch: LoRA %s\n", line.c_str());
}

void print_what_saves_nothing(const Arguments& a, const RunSpec& spec, const std::vector<ModelInfo>& models) {
  if (a.quiet) return;
  for (const std::string& line : describe_what_saves_nothing(spec, models))
    std::fprintf(stderr, "tstitch: %s\n", line.c_str());
}

void print_times(const Engine& engine, const RunResult& result) {
  double load_seconds = 0;
  for (size_t i = 0; i < engine.models().size(); ++i) {
    const ModelTime& time = result.models[i];
    load_seconds += engine.models()[i].load_seconds;
    if (time.evaluations)
      std::printf("%s: %lld evaluations, %.2f ms each, %.2f s\n", engine.infos()[i].name.c_str(),
                  static_cast<long long>(time.evaluations),
                  1e3 * time.seconds / static_cast<double>(time.evaluations), time.seconds);
  }
  std::printf("loading %.2f s, sampling %.2f s", load_seconds, result.seconds);
  if (result.decode_seconds > 0) std::printf(", decoding %.2f s", result.decode_seconds);
  std::printf("\n");
}

void add_what_is_kept(const Error& error, const std::string& kept) {
  if (kept.empty()) throw error;
  fail(error.kind(), error.what(), "; ", kept);
}

int report_interrupted(const std::string& kept) {
  std::fprintf(stderr, "tstitch: interrupted: %s\n", kept.empty() ? "nothing was written" : kept.c_str());
  return kInterrupted;
}

}  // namespace tstitch
