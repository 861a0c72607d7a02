/*
 * Preloaded into a process: its disk flushes do not end while the file STALLED_FLUSHES exists. With the content
 * "database" only those of the database, with "restart" those of a log that starts afresh: the flush before was of the
 * database.
 * Each flush is a line in FLUSH_LOG: the thread, and the file.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int after_database = 0;

static int ends_with(const char *text, const char *end) {
  size_t length = strlen(text), n = strlen(end);
  return length >= n && strcmp(text + length - n, end) == 0;
}

static int stalled(int database, int restarts) {
  char content[16] = "";
  FILE *file = fopen(getenv("STALLED_FLUSHES"), "r");
  if (file == NULL) return 0;
  size_t length = fread(content, 1, sizeof content - 1, file);
  content[length] = 0;
  fclose(file);
  if (strcmp(content, "database") == 0) return database;
  if (strcmp(content, "restart") == 0) return restarts;
  return 1;
}

static void flushing(int fd) {
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  path[length > 0 ? length : 0] = 0;
  int restarts = after_database && ends_with(path, "-wal");
  int database = after_database = ends_with(path, ".db");
  FILE *log = fopen(getenv("FLUSH_LOG"), "a");
  if (log != NULL) {
    fprintf(log, "%s %s\n", syscall(SYS_gettid) == getpid() ? "loop" : "thread", path);
    fclose(log);
  }
  struct timespec pause = {0, 5000000};
  while (stalled(database, restarts)) nanosleep(&pause, NULL);
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
