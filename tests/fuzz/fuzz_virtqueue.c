/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtqueue between a device that behaves and a driver that does anything.
 * Input: size and flags, a byte each; places of the three rings, two bytes
 * each; how much guest memory follows, two bytes; then steps of four bytes
 * each: what, a small number, a large one.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "devices/virtqueue.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define LOW 0x10000ULL
#define LOW_LEN (8 * KIB)
#define HIGH 0x100000000ULL
#define HIGH_LEN (4 * KIB)
#define HEADER 10
#define STEP 4

enum { EVENT_IDX = 1, MAY_TURN_PRIVATE = 2, STRICT = 4 }; /* flags */

static uint8_t low[LOW_LEN], high[HIGH_LEN];
static struct pages pages;
static struct window window; /* the second page of the lower ones */

static void must(bool good)
{
	if (!good)
		abort();
}

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

static bool is_guests(const struct iovec *v)
{
	const uint8_t *at = v->iov_base;

	if (window.strict)
		return at >= low + PAGE_SIZE && at < low + LOW_LEN &&
		       v->iov_len <= (size_t)(low + LOW_LEN - at);
	if (at >= high && at < high + HIGH_LEN)
		return v->iov_len <= (size_t)(high + HIGH_LEN - at);
	return at >= low && at < low + LOW_LEN &&
	       v->iov_len <= (size_t)(low + LOW_LEN - at);
}

/* A chain is guest memory and nothing else, and its sums are right. */
static void check(const struct virtq_chain *c)
{
	uint64_t out = 0, in = 0;

	must(c->nr_out + c->nr_in <= VIRTQ_MAX_SEGMENTS);
	must(c->nr_out + c->nr_in > 0);
	for (unsigned int i = 0; i < c->nr_out + c->nr_in; i++) {
		must(c->iov[i].iov_len && is_guests(&c->iov[i]));
		if (i < c->nr_out)
			out += c->iov[i].iov_len;
		else
			in += c->iov[i].iov_len;
	}
	must(out == c->out_len && in == c->in_len);
}

/* A copy ends where the chain does, and no earlier. */
static void copy(const struct virtq_chain *c, uint64_t off, size_t want)
{
	static uint8_t buf[4 * KIB];
	size_t n;

	want = min_of(want, sizeof(buf));
	n = virtq_read(c, off, buf, want);
	must(n == (off > c->out_len ? 0 : min_of(want, c->out_len - off)));
	n = virtq_write(c, off, buf, want);
	must(n == (off > c->in_len ? 0 : min_of(want, c->in_len - off)));
}

/* False: the driver broke the rules, and the device stops. */
static bool step(struct virtqueue *q, struct virtq_chain *c, const uint8_t *p)
{
	static bool have;
	uint16_t n = get16(p + 2);
	int rc;

	switch (p[0] % 10) {
	case 0:
	case 1:
		rc = virtq_pop(q, c);
		must(rc == 0 || rc == 1 || rc == -EPROTO);
		if (rc == 1)
			check(c);
		have = rc == 1;
		return rc >= 0;
	case 2:
		if (have)
			virtq_unpop(q, c->head);
		have = false;
		break;
	case 3:
		virtq_push(q, c->head, n);
		break;
	case 4:
		virtq_fill(q, c->head, n);
		break;
	case 5:
		virtq_flush(q);
		break;
	case 6:
		virtq_must_notify(q);
		break;
	case 7:
		virtq_kicks_off(q);
		virtq_kicks_on(q);
		break;
	case 8: /* the driver goes on meanwhile */
		low[n % LOW_LEN] = p[1];
		break;
	default:
		if (have)
			copy(c, p[1], n);
	}
	return true;
}

/* All is shared, and nobody turns it private. */
static void keep_window(struct guest_mem *mem, unsigned int flags)
{
	memset(&window, 0, sizeof(window));
	if (!(flags & MAY_TURN_PRIVATE))
		return;
	must(!pages_init(&pages, LOW_LEN + HIGH_LEN, false));
	mem->pages = &pages;
	mem->window = &window;
	window.strict = flags & STRICT;
	window.span = (LOW / PAGE_SIZE + 1) << 32 | 1;
}

static void check_end(void)
{
	must(!window.in_use);
	for (unsigned int i = 0; i < PAGES_GROUPS; i++)
		must(!pages.groups[i].count[0] && !pages.groups[i].count[1]);
	pages_destroy(&pages);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const uint16_t sizes[] = { 1, 2,  4,  8,   16,   32,   64, 256,
					  8, 16, 32, 128, 1024, 2048, 0,  6 };
	struct guest_mem mem = {
		.count = 2,
		.regions = { { .base = LOW, .len = LOW_LEN, .host = low },
			     { .base = HIGH,
			       .len = HIGH_LEN,
			       .host = high,
			       .off = LOW_LEN } },
	};
	static struct virtq_chain c;
	struct virtqueue q = { 0 };
	struct virtq_layout l;
	size_t image;

	if (len < HEADER)
		return 0;
	l = (struct virtq_layout){ sizes[data[0] % ARRAY_SIZE(sizes)],
				   LOW + get16(data + 2), LOW + get16(data + 4),
				   LOW + get16(data + 6) };
	image = min_of(min_of((size_t)get16(data + 8), LOW_LEN), len - HEADER);
	memset(low, 0, sizeof(low));
	memset(high, 0, sizeof(high));
	memcpy(low, data + HEADER, image);
	memset(&c, 0, sizeof(c));
	keep_window(&mem, data[1]);
	if (virtq_start(&q, &mem, &l, data[1] & EVENT_IDX))
		must(!q.mem);
	data += HEADER + image;
	len -= HEADER + image;
	while (len >= STEP && step(&q, &c, data)) {
		data += STEP;
		len -= STEP;
	}
	virtq_stop(&q);
	check_end();
	return 0;
}
