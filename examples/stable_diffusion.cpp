// Stable Diffusion behind a small sibling, from a prompt to a picture, in a program of one's own:
//
//   stable_diffusion bk-sdm-tiny/ stable-diffusion-v1-5/ "a squirrel in the park" out.png
#include <cstdio>

#include "tstitch/base/error.h"
#include "tstitch/engine/engine.h"
#include "tstitch/engine/report.h"

int main(int argc, char** argv) try {
  if (argc != 5) {
    std::fprintf(stderr, "usage: stable_diffusion SMALL LARGE PROMPT OUT.png\n");
    return 2;
  }
  const auto models = tstitch::read_model_infos({argv[1], argv[2]});
  const tstitch::RunSpec spec = tstitch::make_run_spec(
      models, {.fractions = {0.4, 0.6}, .steps = "25", .prompts = {argv[3]}, .seed = 1});
  std::printf("%s\n", tstitch::describe(spec, models).c_str());

  tstitch::Engine engine(models, {});
  engine.load(spec);
  tstitch::write_png(argv[4], engine.sample(spec)[0], tstitch::png_text(spec, models, 0));
} catch (const tstitch::Error& e) {
  std::fprintf(stderr, "%s\n", e.what());
  return 1;
}
