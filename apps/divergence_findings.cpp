#include "apps/divergence_findings.h"

#include <cmath>

#include "tstitch/base/error.h"
#include "tstitch/base/join.h"
#include "tstitch/io/csv.h"

namespace tstitch {
namespace {

// The distance of a step's first evaluation.
const Distance& first_of(const FormDivergence& form, size_t evaluation, int64_t age) {
  return form.at[evaluation][static_cast<size_t>(age)];
}

// "0.0123 s", or of a form with cached blocks "0.0123 s whole, 0.004 s not": the mean over the steps.
std::string times_of(const RunSpec& spec, const MeasuredDivergence& measured, size_t form) {
  const auto mean = [&](bool whole) {
    double sum = 0;
    for (const Step& step : spec.trajectory)
      sum += measured.times.at(asking_in(spec, step, form, whole)).mean;
    return sum / spec.trajectory.size();
  };
  return measured.divergence.forms[form].ages == 1
             ? format("%.3g s an evaluation", mean(true))
             : format("%.3g s a whole evaluation, %.3g s another", mean(true), mean(false));
}

// Which ages of a form are shown: of one with cached blocks not the whole ones, if there are others.
std::vector<int64_t> shown_ages(const FormDivergence& form) {
  constexpr size_t kMostAges = 4;
  const size_t ages = form.at.back().size();
  if (ages == 1) return {0};
  std::vector<int64_t> shown;
  for (const size_t i : spread(ages - 1, kMostAges)) shown.push_back(static_cast<int64_t>(i) + 1);
  return shown;
}

}  // namespace

Findings describe_divergence(const RunSpec& spec, const MeasuredDivergence& measured) {
  const Divergence& divergence = measured.divergence;
  const size_t last = measured.models.size() - 1;
  Findings findings{.json = {{"divergence", to_json(measured)}},
                    .csv = std::string(kDivergenceColumns),
                    .table = concat(measured.models[last], ": ", times_of(spec, measured, last), "\n"),
                    .chart = {.title = concat("from ", measured.models[last], ": ", settings(spec)),
                              .x_label = "steps taken",
                              .y_label = "w d",
                              .series = {}}};
  std::vector<size_t> first = {0};  // evaluation of every step
  for (const int count : divergence.evaluations) first.push_back(first.back() + static_cast<size_t>(count));

  for (size_t f = 0; f < last; ++f) {
    const FormDivergence& form = divergence.forms[f];
    const std::string& name = measured.models[f];
    for (const Step& step : spec.trajectory) {
      const auto number = static_cast<size_t>(step.index);
      const double weight = divergence.weights[number], count = divergence.evaluations[number];
      for (size_t n = first[number]; n < first[number + 1]; ++n)
        for (size_t age = 0; age < form.at[n].size(); ++age) {
          const Distance& at = form.at[n][age];
          findings.csv += concat(csv_field(name), ",", n, ",", step.index, ",") +
                          format("%.9g,%.9g,%.9g,%.9g,%zu,%.9g,%.9g,%.9g,%.9g\n", step.level.t,
                                 step.level.alpha, step.level.sigma, weight, age, at.rms, at.relative,
                                 at.cosine, weight * at.rms / count);
        }
    }
    findings.table += concat(name, ": ", times_of(spec, measured, f), "; alone ") +
                      format("%.4g\n", whole_divergence(divergence, f));
    for (const int64_t age : shown_ages(form)) {
      const std::string title = form.ages == 1 ? name : concat(name, ", age ", age);
      Chart::Series series{.name = title, .x = {}, .y = {}, .dots = false};
      // What begins with the trajectory is as old only later.
      std::vector<int> steps;
      for (int step = 0; step < spec.trajectory.size(); ++step)
        if (static_cast<size_t>(age) < form.at[first[static_cast<size_t>(step)]].size())
          steps.push_back(step);
      for (const int step : steps) {
        series.x.push_back(step);
        series.y.push_back(step_divergence(divergence, f, step, age));
      }
      if (form.ages > 1) findings.table += concat("  age ", age, "\n");
      findings.table += format("%6s %9s  %9s %10s %10s %9s %10s\n", "step", "timestep", "w", "d",
                               "d / |eps|", "cosine", "w d");
      for (const size_t i : spread(steps.size(), kShown)) {
        const Step& step = spec.trajectory[steps[i]];
        const Distance& at = first_of(form, first[static_cast<size_t>(step.index)], age);
        findings.table +=
            format("%6d %9g  %9.4g %10.4g %10.4g %9.5f %10.4g\n", step.index + 1, step.level.t,
                   divergence.weights[static_cast<size_t>(step.index)], at.rms, at.relative, at.cosine, series.y[i]);
      }
      if (!series.x.empty()) findings.chart.series.push_back(std::move(series));
    }
  }
  return findings;
}

}  // namespace tstitch
