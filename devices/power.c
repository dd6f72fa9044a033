/* SPDX-License-Identifier: Apache-2.0 */
/* What power.h declares.  Other sizes, values and registers do nothing. */
#include "devices/power.h"

#include <string.h>

#include "vmm/base/layout_x86.h"

/* ACPI 6.5, 4.8.3.7: sleep control register. */
#define SLP_EN 0x20
#define SLP_TYP_SHIFT 2
#define SLP_TYP_MASK (7 << SLP_TYP_SHIFT)

static void power_read(struct bus_window *w, uint64_t off, void *data,
		       unsigned int len)
{
	struct power *power = container_of(w, struct power, window);

	memset(data, 0, len);
	if (off == X86_POWER_GUEST_STATUS && len == 1)
		*(uint8_t *)data = atomic_load(&power->status);
}

static void power_write(struct bus_window *w, uint64_t off, const void *data,
			unsigned int len)
{
	struct power *power = container_of(w, struct power, window);
	const uint8_t value = *(const uint8_t *)data;

	if (len != 1)
		return;
	if (off == X86_POWER_SLEEP_CONTROL && (value & SLP_EN) &&
	    (value & SLP_TYP_MASK) >> SLP_TYP_SHIFT == X86_POWER_SLP_TYP_S5)
		power->request(power->ctx, POWER_OFF);
	else if (off == X86_POWER_RESET && value == X86_POWER_RESET_VALUE)
		power->request(power->ctx, POWER_RESET);
	else if (off == X86_POWER_GUEST_STATUS)
		atomic_store(&power->status, value);
}

static const struct bus_ops power_ops = { .read = power_read,
					  .write = power_write };

void power_init(struct power *power,
		void (*request)(void *ctx, enum power_request what), void *ctx)
{
	*power = (struct power){
		.window = { .name = "power",
			    .base = X86_POWER,
			    .len = X86_POWER_LEN,
			    .ops = &power_ops },
		.request = request,
		.ctx = ctx,
	};
}
