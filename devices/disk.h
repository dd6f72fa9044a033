/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk as the host has it: a raw image or a block device, asked by one of
 * two engines.  io_uring is the one to have; reads and writes one after the
 * other serve where a host forbids it.  Everything but opening and destroying
 * is for the thread of the loop.
 *
 * A request may end in pieces, need buffers that are aligned, or not be known
 * to the file system: all of that is settled here, so that an engine does one
 * step at a time and its user hears once.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "vmm/base/event.h"

#define DISK_SECTOR 512u

enum disk_op { DISK_READ, DISK_WRITE, DISK_FLUSH, DISK_DISCARD, DISK_ZERO };

struct disk;

/* One request; of whoever asks, who leaves it alone until it is done. */
struct disk_request {
	enum disk_op op;
	bool unmap;        /* DISK_ZERO: may give the space back */
	bool stable;       /* not done before it is on the medium */
	uint64_t off, len; /* bytes within the disk; not for DISK_FLUSH */
	/* DISK_READ, DISK_WRITE: len bytes of memory.  Changes on the way. */
	struct iovec *iov;
	unsigned int nr;

	/* The disk's. */
	unsigned int tries;
	struct disk_request *next;
};

/*
 * How requests get to the host.  submit() takes one; push() has all that were
 * taken carried out, now or later, and calls disk_step() with what became of
 * each: bytes or -errno.
 */
struct disk_engine {
	const char *name;
	/* -errno without text: not on this host. */
	int (*create)(struct disk *d);
	void (*submit)(struct disk *d, struct disk_request *r);
	void (*push)(struct disk *d);
	void (*destroy)(struct disk *d);
};
extern const struct disk_engine disk_sync, disk_uring;

struct disk_params {
	const char *path;
	bool ro, direct;
	unsigned int depth;               /* the most requests at a time */
	struct event_loop *loop;          /* where completions come up */
	const struct disk_engine *engine; /* NULL: the best there is */
	/* The request is done: 0 or -errno.  The loop's thread. */
	void (*done)(struct disk *d, struct disk_request *r, int rc);
	/* No more are done for now. */
	void (*batch_done)(struct disk *d);
};

struct disk {
	int fd;
	bool is_open, block, direct, ro;
	uint64_t len;          /* a multiple of logical */
	uint32_t logical;      /* bytes a request must be a multiple of */
	uint32_t physical;     /* ... should be a multiple of */
	bool can_discard;      /* and give space back when zeroing */
	uint32_t memory_align; /* of buffers, when direct */
	bool writes_zeroes;    /* since the file system cannot */
	void *bounce;          /* for what is not aligned; made when needed */
	const struct disk_engine *engine;
	void *engine_data;
	struct disk_params p;
};

/*
 * Opens and locks the image, and picks the engine.  Errors name the file and
 * what is wrong.  A writable image is nobody else's; one that is only read is
 * shared with others who only read.
 */
int disk_open(struct disk *d, const struct disk_params *p);

/*
 * When its thread has ended: what is under way has finished or is given up,
 * and nothing touches guest memory any more.  Twice is fine.
 */
void disk_close(struct disk *d);

/*
 * Takes a request, which disk_push() hands over.  When the loop is to stop,
 * nothing is begun any more, and nobody hears of it.
 */
void disk_submit(struct disk *d, struct disk_request *r);
void disk_push(struct disk *d);

/* Takes n bytes off the beginning of *nr buffers. */
void disk_skip(struct iovec **iov, unsigned int *nr, uint64_t n);

/* --- for engines --- */

/* A step of r has ended with res: bytes, or -errno. */
void disk_step(struct disk *d, struct disk_request *r, int64_t res);
/* Carries out a step of r at once. */
int64_t disk_do(const struct disk *d, const struct disk_request *r);
/* The mode fallocate() takes for a DISK_DISCARD or DISK_ZERO. */
int disk_fallocate_mode(const struct disk_request *r);

/* --- block devices only: their ioctls (disk_block.c) --- */

/* Sizes of the blocks, zero where the device does not say. */
void disk_block_sizes(int fd, uint32_t *logical, uint32_t *physical);
bool disk_block_can_discard(int fd);
/* 0 or -errno. */
int disk_block_discard(int fd, uint64_t off, uint64_t len);
