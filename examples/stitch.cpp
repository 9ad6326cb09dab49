// The demo family, stitched, in a program of one's own: twenty steps of the small model, thirty of the large
// one.
#include <cstdio>

#include "tstitch/base/error.h"
#include "tstitch/engine/engine.h"
#include "tstitch/engine/report.h"
#include "tstitch/output/grid.h"
#include "tstitch/zoo/assets.h"

int main() try {
  const auto models = tstitch::read_model_infos(tstitch::builtin_models());
  const tstitch::RunSpec spec =
      tstitch::make_run_spec(models, {.fractions = {0.4, 0.6}, .steps = "50", .classes = {1, 8, 9}});
  tstitch::Engine engine(models, {});
  engine.load(spec);
  tstitch::write_png("stitch.png", tstitch::make_grid(engine.sample(spec), 3), {});
  std::printf("stitch.png: %s\n", tstitch::describe(spec, models).c_str());
} catch (const tstitch::Error& e) {
  std::fprintf(stderr, "%s\n", e.what());
  return 1;
}
