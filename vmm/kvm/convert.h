/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conversion between private and shared: one way for all who ask, be it a
 * hypercall, a memory fault or the launch.  What a page was before it changes
 * state is lost, and what held it is freed.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

#include "vmm/base/util.h"

struct memory;

enum convert_origin {
	CONVERT_LAUNCH, /* the VMM, before the first instruction */
	CONVERT_ASKED,  /* the guest, by a hypercall */
	CONVERT_FAULT,  /* the guest, by an access */
	CONVERT_ORIGINS
};

/* Index: 1 is to private.  A call that changes nothing is counted, too. */
struct convert_count {
	atomic_uint_least64_t calls[2][CONVERT_ORIGINS];
	atomic_uint_least64_t unaligned[2]; /* calls: not whole 2 MiB blocks */
	atomic_uint_least64_t bytes[2];     /* that changed state */
	atomic_uint_least64_t punched[2]; /* asked to be freed, of that state */
	atomic_uint_least64_t refused;    /* calls with a part outside RAM */
	atomic_uint_least64_t failures;   /* of the host */
};

/*
 * Converts what of [gpa, gpa + len), whole pages, is RAM; what already is as
 * wanted costs nothing.  -EINVAL: a part of it is not RAM, or RAM has but one
 * state.  Other errors are the host's: nothing of what is named is lost, and
 * a part may be converted.  Without text.  Any thread.
 */
int memory_convert(struct memory *mem, gpa_t gpa, uint64_t len, bool to_private,
		   enum convert_origin origin);

/*
 * KVM is told of private memory before the guest asks: of what nobody has
 * converted of [gpa, gpa + len), whole blocks of pages.h.  What of it is no
 * RAM, or of one state only, does not matter.  Any thread.
 */
void memory_touch_range(struct memory *mem, gpa_t gpa, uint64_t len);

/* A guest has run into such memory: the same for the aligned chunk there. */
#define CONVERT_CHUNK (64 * MIB)
void memory_touch(struct memory *mem, gpa_t gpa);

/* All that has changed state so far, in both directions. */
uint64_t convert_bytes(const struct convert_count *counts);

/*
 * Inside, and for sweep.c, with the block's lock: frees what holds pages in a
 * state that they are not in.  A failure is counted.
 */
void convert_discard(struct memory *mem, bool of_private, uint64_t off,
		     uint64_t len);
/* Inside: of struct pages. */
void convert_discard_again(void *ctx, uint64_t off, uint64_t len);
