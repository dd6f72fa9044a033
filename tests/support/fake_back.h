/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A vhost-user back end in a thread.  It maps what it is given, keeps what it
 * is told, and can be made to misbehave at one message.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define FAKE_BACK_QUEUES 2
#define FAKE_BACK_REGIONS 4

enum fake_back_fault {
	BACK_HONEST,
	BACK_DIES,           /* instead of taking the message */
	BACK_DIES_AFTER,     /* ... or when it has answered */
	BACK_SILENT,         /* takes it and never answers */
	BACK_REFUSES,        /* a status other than 0 */
	BACK_OTHER_REQUEST,  /* answers to something else */
	BACK_NO_REPLY_FLAG,  /* ... without saying that it does */
	BACK_OTHER_VERSION,  /* ... in another version */
	BACK_SHORT,          /* ... with less than belongs there */
	BACK_LONG,           /* ... or says that more comes than may */
	BACK_HALF_A_HEADER,  /* ... and dies */
	BACK_SENDS_FD,       /* an honest answer, and what nobody wants */
	BACK_SPEAKS_UNASKED, /* an honest answer, and another */
};

struct fake_back_ring {
	uint32_t num, base;
	uint64_t desc, used, avail;
	int kick, call; /* ours; -1: none */
	bool enabled, had_kick_disabled;
};

struct fake_back {                   /* zero but for the first part */
	uint64_t features, protocol; /* what it can do */
	uint64_t queues;
	unsigned int fault_at; /* number of the message, from 1; 0: none */
	enum fake_back_fault fault;

	char dir[64], path[80]; /* of its socket */
	int listener, fd;
	pthread_t thread;
	atomic_uint messages, nacks; /* taken so far; statuses sent */
	atomic_uint running;         /* rings: kicked, not stopped */
	uint64_t acked, acked_protocol;
	unsigned int nr_regions;
	struct {
		uint64_t gpa, len, user;
		uint8_t *map;
	} regions[FAKE_BACK_REGIONS];
	struct fake_back_ring rings[FAKE_BACK_QUEUES];
	atomic_uint misuse; /* what no front end may do: keep 0 */
};

/* Prepares an honest one that can do all there is. */
void fake_back_init(struct fake_back *b);
/* Listens at b->path from now on, for one front end. */
void fake_back_start(struct fake_back *b);
/* Hangs up, if it is connected. */
void fake_back_die(struct fake_back *b);
/* Ends it and frees all; twice is fine. */
void fake_back_stop(struct fake_back *b);

/* Guest memory as it sees it: by the front end's address. */
void *fake_back_at(struct fake_back *b, uint64_t user);
