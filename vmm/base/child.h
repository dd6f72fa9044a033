/* SPDX-License-Identifier: Apache-2.0 */
/* A program that runs for cvmm, and not longer than it. */
#pragma once

#include <sys/types.h>

struct child {
	pid_t pid;  /* 0: none */
	int out_fd; /* what it prints; does not block */
};

/*
 * Starts argv[0], a path, without a terminal or input.  Of our descriptors it
 * gets only fd, under the same number.  It is killed when the calling thread
 * ends.  That it could not be run is what it prints; then it ends.
 */
int child_start(struct child *c, const char *const *argv, int fd);

/*
 * Forgets the child when it has ended, which it may do by itself for grace_ms;
 * then it is killed.  Twice is fine.
 */
void child_stop(struct child *c, int grace_ms);

/*
 * What it has printed last, without the end of the line: the last of the
 * lines that have come until now, empty if none has.
 */
void child_last_line(const struct child *c, char *line, size_t size);
