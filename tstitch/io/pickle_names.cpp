#include "tstitch/io/pickle_names.h"

#include <algorithm>
#include <span>
#include <string>

namespace tstitch {
namespace {

// Modules of which every name is dangerous, with those inside them.
constexpr std::string_view kModules[] = {
    "_aix_support",
    "_bootsubprocess",
    "_osx_support",
    "_pickle",
    "_posixsubprocess",
    "_pyrepl",
    "_winapi",
    "aiohttp",
    "asyncio",
    "bdb",
    "cProfile",
    "cgitb",
    "cloudpickle",
    "codeop",
    "compileall",
    "ctypes",
    "dill",
    "distutils",
    "doctest",
    "ensurepip",
    "ftplib",
    "http",
    "httplib",
    "idlelib",
    "imaplib",
    "imp",
    "importlib",
    "lib2to3",
    "linecache",
    "marshal",
    "msvcrt",
    "nntplib",
    "nt",
    "os",
    "pdb",
    "pickle",
    "pip",
    "pkgutil",
    "platform",
    "popen2",
    "poplib",
    "posix",
    "pty",
    "py_compile",
    "pydoc",
    "requests",
    "rlcompleter",
    "runpy",
    "setuptools",
    "shelve",
    "shutil",
    "smtplib",
    "socket",
    "socketserver",
    "sqlite3",
    "subprocess",
    "sys",
    "telnetlib",
    "timeit",
    "urllib",
    "urllib2",
    "venv",
    "webbrowser",
    "xmlrpc",
    "zipimport",
};

// Modules that are dangerous inside others too: torch.serialization.os.system.
constexpr std::string_view kAnywhere[] = {
    "__builtin__", "__builtins__", "builtins", "ctypes", "importlib",  "nt",
    "os",          "posix",        "pty",      "runpy",  "subprocess", "sys",
};

// Parts of modules that are otherwise harmless, or whose name others may use too.
constexpr std::string_view kNames[] = {
    "code.InteractiveConsole",
    "code.InteractiveInterpreter",
    "code.interact",
    "commands.getoutput",
    "commands.getstatusoutput",
    "joblib.load",
    "multiprocessing.util",
    "numpy.testing",
    "operator.attrgetter",
    "operator.methodcaller",
    "profile.Profile",
    "profile.run",
    "profile.runctx",
    "test.support",
    "torch._dynamo",
    "torch._inductor",
    "torch.fx",
    "torch.hub",
    "torch.jit",
    "torch.load",
    "torch.package",
    "torch.serialization.load",
    "torch.utils._config_module",
    "torch.utils.bottleneck",
    "torch.utils.collect_env",
    "torch.utils.cpp_extension",
    "torch.utils.data.datapipes",
    "trace.Trace",
    "uuid._get_command_stdout",
    "uuid._popen",
};

// The builtins that act; the others make plain values.
constexpr std::string_view kBuiltins[] = {
    "__build_class__",
    "__import__",
    "apply",
    "breakpoint",
    "compile",
    "delattr",
    "eval",
    "exec",
    "execfile",
    "exit",
    "file",
    "getattr",
    "globals",
    "help",
    "input",
    "locals",
    "map",
    "open",
    "print",
    "quit",
    "raw_input",
    "reload",
    "setattr",
    "vars",
};

// `a.b` is in `a.b` and `a.b.c` is, `a.bc` is not.
bool is_within(std::string_view name, std::string_view outer) {
  return name.starts_with(outer) && (name.size() == outer.size() || name[outer.size()] == '.');
}

bool contains(std::span<const std::string_view> names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

// Attributes by which Python code climbs from an object to what it must not reach: __globals__, __class__.
bool is_special(std::string_view part) { return part.starts_with("__") && part.ends_with("__"); }

}  // namespace

bool is_dangerous(std::string_view module, std::string_view name) {
  if (module == "builtins" || module == "__builtin__" || module == "__builtins__")
    return name.find('.') != name.npos || contains(kBuiltins, name);

  std::string full(module);
  full.append(".").append(name);
  const auto within_full = [&](std::string_view outer) { return is_within(full, outer); };
  if (std::ranges::any_of(kModules, within_full) || std::ranges::any_of(kNames, within_full)) return true;

  // The last part is no module, and may share the name of one.
  std::string_view rest = full;
  for (size_t dot = rest.find('.'); dot != rest.npos; dot = rest.find('.')) {
    if (contains(kAnywhere, rest.substr(0, dot))) return true;
    rest.remove_prefix(dot + 1);
  }
  for (std::string_view attribute = name;;) {
    const size_t dot = attribute.find('.');
    if (is_special(attribute.substr(0, dot))) return true;
    if (dot == attribute.npos) return false;
    attribute.remove_prefix(dot + 1);
  }
}

bool gives_container(std::string_view module, std::string_view name) {
  return !is_within(module, "torch") || name.ends_with("Dict") || name.ends_with("List");
}

}  // namespace tstitch
