/* SPDX-License-Identifier: Apache-2.0 */
/* Small things every file may use.  Depends on nothing else in the tree. */
#pragma once

#include <stddef.h>
#include <stdint.h>

typedef uint64_t gpa_t; /* guest physical address */

#define KIB 1024ULL
#define MIB (1024ULL * KIB)
#define GIB (1024ULL * MIB)
#define PAGE_SIZE 4096ULL

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) \
	((type *)(void *)((char *)(ptr)-offsetof(type, member)))
#define is_pow2(x) ((x) && !((x) & ((x)-1)))
#define align_down(x, a) ((x) & ~((__typeof__(x))(a)-1))
/* The caller rules out that it wraps. */
#define align_up(x, a) align_down((x) + (a)-1, (a))
#define min_of(a, b) ((a) < (b) ? (a) : (b))
#define max_of(a, b) ((a) > (b) ? (a) : (b))

/* A compile-time check usable inside an expression; its value is zero. */
#define STATIC_ZERO(cond, why)              \
	(0 * sizeof(struct {                \
		 _Static_assert(cond, why); \
		 int unused;                \
	 }))

/*
 * The three scope guards this project allows.  Each releases a local variable
 * when it goes out of scope: a file descriptor (-1: none) and an allocation
 * (NULL: none); a guarded mapping is a struct map_guard with addr NULL: none.
 */
struct map_guard {
	void *addr;
	size_t len;
};
void util_close(const int *fd);
void util_free(void *pointer_to_pointer);
void util_unmap(struct map_guard *map);
#define auto_close __attribute__((cleanup(util_close)))
#define auto_free __attribute__((cleanup(util_free)))
#define auto_unmap __attribute__((cleanup(util_unmap)))

/* EINTR-safe read of exactly len bytes at off; -errno, -ENODATA at the end. */
int util_pread(int fd, void *buf, size_t len, uint64_t off);

/*
 * Maps a file from its beginning, shared, to be read and written.  What is
 * longer than a huge page lies as one has to, so that it can have them.  NULL,
 * errno is set.
 */
void *util_map(int fd, size_t len);

/* Milliseconds of a clock that nobody sets. */
int64_t util_now_ms(void);
