// The sub-commands: each registers its options and returns what runs it. The exit code is returned; errors
// are thrown (tstitch/base/error.h).
#pragma once

#include <CLI/App.hpp>
#include <functional>

namespace tstitch {

using Command = std::function<int()>;

Command add_sample_command(CLI::App& program);
Command add_pack_command(CLI::App& program);
Command add_plan_command(CLI::App& program);
Command add_sweep_command(CLI::App& program);
Command add_chart_command(CLI::App& program);
Command add_eval_command(CLI::App& program);
Command add_analyze_command(CLI::App& program);
Command add_inspect_command(CLI::App& program);
Command add_convert_command(CLI::App& program);
Command add_serve_command(CLI::App& program);

inline constexpr int kDone = 0;
inline constexpr int kInterrupted = 130;

}  // namespace tstitch
