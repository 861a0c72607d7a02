/*
 * Preloaded into a process: its disk flushes do not end while the file STALLED_FLUSHES exists. Each flush is a line in
 * FLUSH_LOG: the file.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static void flushing(int fd) {
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  path[length > 0 ? length : 0] = 0;
  FILE *log = fopen(getenv("FLUSH_LOG"), "a");
  if (log != NULL) {
    fprintf(log, "%s\n", path);
    fclose(log);
  }
  struct timespec pause = {0, 5000000};
  while (access(getenv("STALLED_FLUSHES"), F_OK) == 0) nanosleep(&pause, NULL);
}

int fsync(int fd) {
  int (*next)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
  flushing(fd);
  return next(fd);
}

int fdatasync(int fd) {
  int (*next)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
  flushing(fd);
  return next(fd);
}
