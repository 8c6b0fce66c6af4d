// Signals become bytes in a pipe: the one thing that a handler may do is to write one.

#include "system_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

static int ends[2] = {-1, -1};

static void open_pipe(void) {
  int made[2];
  if (pipe(made) != 0) return;
  for (int i = 0; i < 2; i++) fcntl(made[i], F_SETFD, FD_CLOEXEC);
  // A full pipe holds enough requests to end; a handler must not wait.
  fcntl(made[1], F_SETFL, O_NONBLOCK);
  ends[0] = made[0];
  ends[1] = made[1];
}

int ra_signal_descriptor(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, open_pipe);
  return ends[0];
}

static void note_signal(int number) {
  int code = errno;
  unsigned char byte = (unsigned char)number;
  ssize_t written = write(ends[1], &byte, 1);
  (void)written;
  errno = code;
}

int ra_catch_signal(int number) {
  struct sigaction action = {0};
  action.sa_handler = note_signal;
  // Calls that a signal interrupts go on: whoever waits for a descriptor knows nothing of signals.
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  return sigaction(number, &action, NULL);
}

int ra_ignores_signal(int number) {
  struct sigaction action;
  return sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}
