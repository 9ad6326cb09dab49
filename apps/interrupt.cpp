#include "apps/interrupt.h"

#include <signal.h>
#include <unistd.h>

#include <initializer_list>

namespace tstitch {
namespace {

volatile sig_atomic_t ending = 0, wishes = 0;

void on_signal(int signal) {
  ending = 1;
  // SIGHUP is nobody's wish: a session that ends sends it together with SIGTERM, in whichever order they
  // arrive.
  if (signal == SIGHUP) return;
  if (wishes > 0) _exit(130);
  wishes = 1;
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

bool interrupted() { return ending != 0; }

void end_if_interrupted() {
  if (interrupted()) throw Interrupted();
}

}  // namespace tstitch
