#include "apps/interrupt.h"

#include <signal.h>
#include <unistd.h>

#include <initializer_list>

namespace tstitch {
namespace {

volatile sig_atomic_t signals = 0;

void on_signal(int signal) {
  // Not a second wish: a session that ends sends SIGHUP right after SIGTERM.
  if (signals > 0 && signal != SIGHUP) _exit(130);
  signals = 1;
}

}  // namespace

void catch_interrupts() {
  struct sigaction action = {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction before = {};
    sigaction(signal, nullptr, &before);
    if (before.sa_handler != SIG_IGN) sigaction(signal, &action, nullptr);  // nohup has SIGHUP ignored
  }
  // A file that may not grow is an error of the write, as a full disk is; a reader of our output that goes
  // away is none of a run's business.
  signal(SIGXFSZ, SIG_IGN);
  signal(SIGPIPE, SIG_IGN);
}

bool interrupted() { return signals > 0; }

}  // namespace tstitch
