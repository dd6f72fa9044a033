/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The run page as KVM may fill it: decoding, words, and the bus behind.
 * Input: one byte of what KVM_RUN returned, then the page.
 */
#include <stdlib.h>
#include <string.h>

#include "vmm/base/bus.h"
#include "vmm/kvm/exit.h"

#define RUN_SIZE (3 * PAGE_SIZE)
#define MAX_STEPS 64 /* accesses looked at of a long string */

static volatile uint8_t sum; /* so that no read is dropped */

static void touch(struct bus_window *w, uint64_t off, const void *data,
		  unsigned int len)
{
	/* What bus.h promises to devices. */
	if ((len != 1 && len != 2 && len != 4 && len != 8) || off >= w->len ||
	    len > w->len - off)
		abort();
	for (unsigned int i = 0; i < len; i++)
		sum = (uint8_t)(sum + ((const uint8_t *)data)[i]);
}

static void fill(struct bus_window *w, uint64_t off, void *data,
		 unsigned int len)
{
	touch(w, off, data, len);
	memset(data, 0x5a, len);
}

static const struct bus_ops ops = { .read = fill, .write = touch };

static void access_bus(struct kvm_run *run, const struct vm_exit *e)
{
	struct bus_window low = {
		.name = "low", .base = 0, .len = 16, .ops = &ops
	};
	struct bus_window high = {
		.name = "high", .base = UINT64_MAX - 15, .len = 16, .ops = &ops
	};
	struct bus bus = { 0 };

	if (bus_add(&bus, &low) || bus_add(&bus, &high))
		abort();
	if (!e->count || e->data < (uint8_t *)run ||
	    (uint64_t)e->len * e->count >
		    RUN_SIZE - (uint64_t)(e->data - (uint8_t *)run))
		abort();
	for (unsigned int i = 0; i < e->count && i < MAX_STEPS; i++) {
		uint8_t *data = e->data + (size_t)i * e->len;

		if (e->write)
			bus_write(&bus, e->addr, data, e->len);
		else
			bus_read(&bus, e->addr, data, e->len);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct kvm_run *run = calloc(1, RUN_SIZE);
	struct vm_exit e;
	char words[64];

	if (!run || !len)
		goto out;
	memcpy(run, data + 1, min_of(len - 1, (size_t)RUN_SIZE));
	if (exit_decode(run, RUN_SIZE, -(int)(data[0] & 0x7f), &e))
		goto out;
	if (e.kind >= EXIT_KINDS)
		abort();
	exit_describe(&e, words, sizeof(words));
	if (!memchr(words, '\0', sizeof(words)) || !words[0])
		abort();
	if (e.kind == EXIT_PIO || e.kind == EXIT_MMIO)
		access_bus(run, &e);
out:
	free(run);
	return 0;
}
