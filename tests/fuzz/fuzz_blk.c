/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a guest asks of a disk: any chain, any request in it.  Input: a byte
 * that chooses the disk, then guest memory, which begins with a virtqueue of
 * 16: descriptors at 0, available ring at 256, used ring at 320.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "devices/blk_request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define MEM_LEN (64 * KIB)
#define DISK_LEN (32 * KIB)
#define BASE 0x100000ULL

static uint8_t memory[MEM_LEN];
static volatile uint8_t sum;

static void must(bool good)
{
	if (!good)
		abort();
}

static bool is_guests(const void *p, uint64_t len)
{
	const uint8_t *at = p;

	return at >= memory && at <= memory + MEM_LEN &&
	       len <= (uint64_t)(memory + MEM_LEN - at);
}

/* All of it is what the disk may be asked, and the guest's own memory. */
static void check(const struct disk_request *r, const struct blk_limits *l)
{
	uint64_t total = 0;

	if (r->op == DISK_FLUSH)
		return;
	must(r->len && r->off <= l->len && r->len <= l->len - r->off);
	must(r->off % l->block == 0 && r->len % l->block == 0);
	must(r->op == DISK_READ || !l->ro);
	if (r->op != DISK_READ && r->op != DISK_WRITE)
		return;
	must(r->nr && r->nr <= VIRTQ_MAX_SEGMENTS);
	for (unsigned int i = 0; i < r->nr; i++) {
		const struct iovec *v = &r->iov[i];

		must(v->iov_len && is_guests(v->iov_base, v->iov_len));
		total += v->iov_len;
		if (r->op == DISK_READ)
			memset(v->iov_base, 0x5a, v->iov_len);
		else
			sum = (uint8_t)(sum + *(uint8_t *)v->iov_base);
	}
	must(total == r->len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const struct guest_mem mem = {
		.count = 1,
		.regions = { { .base = BASE, .len = MEM_LEN, .host = memory } },
	};
	const struct virtq_layout layout = { 16, BASE, BASE + 256, BASE + 320 };
	struct blk_limits l = { .len = DISK_LEN, .serial = "serial" };
	struct virtqueue q = { 0 };
	static struct virtq_chain c;

	if (!len)
		return 0;
	l.block = *data & 1 ? 4096 : 512;
	l.ro = *data & 2;
	l.features = *data & 4 && !l.ro ? ~0ULL : 0;
	memset(memory, 0, sizeof(memory));
	memcpy(memory, data + 1, min_of(len - 1, sizeof(memory)));
	must(!virtq_start(&q, &mem, &layout, false));
	for (unsigned int i = 0; i < 16 && virtq_pop(&q, &c) == 1; i++) {
		struct disk_request r;
		struct blk_answer a;
		int status = blk_parse(&c, &l, &r, &a);

		if (status == -EPROTO)
			break;
		must(is_guests(a.status, 1));
		if (status == BLK_ASK)
			check(&r, &l);
		else
			must(status >= 0 && status <= VIRTIO_BLK_S_UNSUPP);
		virtq_push(&q, c.head, blk_answer(&a, (uint8_t)status));
	}
	return 0;
}
