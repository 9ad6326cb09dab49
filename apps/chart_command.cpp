#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "apps/commands.h"
#include "tstitch/base/error.h"
#include "tstitch/engine/command_files.h"
#include "tstitch/tune/curve.h"

namespace tstitch {
namespace {

struct ChartArguments {
  std::vector<std::string> curves;
  std::string metric = "fid", title, output = "chart.png";
};

int chart_command(const ChartArguments& a) {
  const std::vector<Metric> metrics = parse_metrics(a.metric);
  check(metrics.size() == 1, ErrorKind::usage, "--metric is \"", printable(a.metric),
        "\", expected one: a picture shows one metric");
  check(a.output.ends_with(".png") || a.output.ends_with(".svg"), ErrorKind::usage, "--output is \"",
        printable(a.output), "\", expected a name that ends in .png or .svg");
  CommandFiles files;
  for (const std::string& path : a.curves) files.reads("curves", path);
  files.writes("--output", a.output);
  std::vector<Curve> curves;
  for (const std::string& path : a.curves) curves.push_back(read_curve(path));
  share_times(curves);
  write_chart(a.output, chart_of(std::span<const Curve>(curves), metrics[0], a.title));
  std::printf("wrote %s\n", a.output.c_str());
  return kDone;
}

}  // namespace

Command add_chart_command(CLI::App& program) {
  auto* command = program.add_subcommand("chart", "Draw the curves of several sweeps in one picture");
  auto a = std::make_shared<ChartArguments>();
  command->add_option("curves", a->curves, "NAME.json of `tstitch sweep --metrics`, one or more")->required();
  command->add_option("--metric", a->metric, "One of " + metric_names())->capture_default_str();
  command->add_option("--title", a->title, "Above the picture");
  command->add_option("-o,--output", a->output, "A .png or .svg file")->capture_default_str();
  return [a] { return chart_command(*a); };
}

}  // namespace tstitch
