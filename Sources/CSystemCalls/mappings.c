// Files that become shorter while they are mapped.
//
// Touching a page that its file no longer has raises SIGBUS in the thread that touched it. The handler puts a page of
// zeros in its place, so that the thread goes on, and notes that what it computes is worthless. Nothing here waits or
// allocates inside the handler: ranges are a table of atomic numbers.

#define _GNU_SOURCE

#include "system_calls.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

// Each KV head of each open context takes one, and each file of a session. Untouched entries take no memory.
enum { WATCH_LIMIT = 1 << 18 };

typedef struct {
  // 0 for an entry that is free. Written last when a range is entered, first when it goes.
  _Atomic(uintptr_t) start;
  _Atomic(size_t) byte_count;
  atomic_int is_cut;
  int next_free;
} Watch;

static Watch watches[WATCH_LIMIT];
static atomic_int watch_end = 0;
static atomic_uint cut_count = 0;
static _Atomic(const char *) final_sentence = NULL;
static int first_free = -1;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct sigaction previous;
static uintptr_t page_size;

static void on_bus_error(int number, siginfo_t *info, void *context) {
  (void)context;
  uintptr_t address = (uintptr_t)info->si_addr;
  int end = atomic_load_explicit(&watch_end, memory_order_acquire);
  for (int i = 0; i < end; i++) {
    uintptr_t start = atomic_load_explicit(&watches[i].start, memory_order_acquire);
    if (start == 0 || address < start) continue;
    if (address - start >= atomic_load_explicit(&watches[i].byte_count, memory_order_relaxed)) continue;
    void *page = (void *)(address / page_size * page_size);
    void *zeros = mmap(page, page_size, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE | MAP_ANON, -1, 0);
    if (zeros == MAP_FAILED) break;
    atomic_store_explicit(&watches[i].is_cut, 1, memory_order_release);
    atomic_fetch_add_explicit(&cut_count, 1, memory_order_release);
    return;
  }
  const char *sentence = atomic_load(&final_sentence);
  if (sentence != NULL) {
    ssize_t written = write(STDERR_FILENO, sentence, strlen(sentence));
    (void)written;
    _exit(1);
  }
  // The same access again, with whatever handled it before.
  sigaction(number, &previous, NULL);
}

static void install(void) {
  page_size = (uintptr_t)sysconf(_SC_PAGESIZE);
  struct sigaction action = {0};
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO;
  sigemptyset(&action.sa_mask);
  sigaction(SIGBUS, &action, &previous);
}

static void install_once(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, install);
}

int ra_watch_mapping(void *start, size_t byte_count) {
  if (start == NULL || byte_count == 0) return -1;
  install_once();
  pthread_mutex_lock(&mutex);
  int watch = first_free;
  if (watch >= 0) {
    first_free = watches[watch].next_free;
  } else if (atomic_load(&watch_end) < WATCH_LIMIT) {
    watch = atomic_load(&watch_end);
  }
  if (watch >= 0) {
    atomic_store_explicit(&watches[watch].is_cut, 0, memory_order_relaxed);
    atomic_store_explicit(&watches[watch].byte_count, byte_count, memory_order_relaxed);
    atomic_store_explicit(&watches[watch].start, (uintptr_t)start, memory_order_release);
    if (watch == atomic_load(&watch_end)) atomic_store_explicit(&watch_end, watch + 1, memory_order_release);
  }
  pthread_mutex_unlock(&mutex);
  return watch;
}

void ra_unwatch_mapping(int watch) {
  if (watch < 0 || watch >= WATCH_LIMIT) return;
  pthread_mutex_lock(&mutex);
  atomic_store_explicit(&watches[watch].start, 0, memory_order_release);
  watches[watch].next_free = first_free;
  first_free = watch;
  pthread_mutex_unlock(&mutex);
}

int ra_mapping_is_cut(int watch) {
  if (watch < 0 || watch >= WATCH_LIMIT) return 0;
  return atomic_load_explicit(&watches[watch].is_cut, memory_order_acquire);
}

unsigned ra_mapping_cut_count(void) { return atomic_load_explicit(&cut_count, memory_order_acquire); }

void ra_set_bus_error_sentence(const char *sentence) {
  install_once();
  atomic_store(&final_sentence, sentence);
}
