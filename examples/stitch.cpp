// The demo family, stitched, in a program of one's own: twenty steps of the small model, thirty of the large
// one.
#include <cstdio>

#include "tstitch/base/error.h"
#include "tstitch/engine/pixels.h"
#include "tstitch/engine/run.h"
#include "tstitch/output/grid.h"
#include "tstitch/zoo/assets.h"

int main() try {
  const auto infos = tstitch::read_model_infos(tstitch::builtin_models());
  const tstitch::RunSpec spec =
      tstitch::make_run_spec(infos, {.fractions = {0.4, 0.6}, .steps = "50", .classes = {1, 8, 9}});

  const auto backend = tstitch::make_backend({});
  std::vector<tstitch::Model> models;
  for (const auto& info : infos) models.push_back(tstitch::load_model(info, *backend));

  tstitch::RunObserver silent;
  const tstitch::RunResult result = tstitch::run(*backend, models, spec, silent);
  tstitch::write_png("stitch.png", tstitch::make_grid(tstitch::decode_pixels(result.latents), 3), {});
  std::printf("stitch.png: %.2f s\n", result.seconds);
} catch (const tstitch::Error& e) {
  std::fprintf(stderr, "%s\n", e.what());
  return 1;
}
