/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exceptions and interrupts.  An exception inside try_*() is an answer; any
 * other one is a failed check and the end of the run.
 */
#include "firmware/guest/guest.h"

struct gate { /* SDM vol. 3, 6.14.1: 64-bit interrupt gate */
	uint16_t offset_low, selector;
	uint16_t type;
	uint16_t offset_mid;
	uint32_t offset_high, zero;
};
#define GATE_INTERRUPT 0x8e00
#define VECTOR_STRIDE 16

extern const uint8_t vectors[]; /* start.S */
void trap(struct trap_frame *f);

volatile unsigned int irq_count[NR_VECTORS];

static struct gate idt[NR_VECTORS];
static volatile uint64_t recover_at; /* only the boot CPU ever sets it */
static volatile int recovered;

/* Built before any other CPU runs: they and the interrupts they meet use it. */
void trap_init(void)
{
	for (unsigned int i = 0; i < NR_VECTORS; i++) {
		uint64_t at = (uintptr_t)vectors + i * VECTOR_STRIDE;

		idt[i] = (struct gate){
			.offset_low = (uint16_t)at,
			.selector = GDT_CODE64,
			.type = GATE_INTERRUPT,
			.offset_mid = (uint16_t)(at >> 16),
		};
	}
	trap_load();
}

void trap_load(void)
{
	const struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) idtr = { sizeof(idt) - 1, (uintptr_t)idt };

	__asm__ volatile("lidt %0" ::"m"(idtr));
}

void trap(struct trap_frame *f)
{
	uint64_t cr2;

	if (f->vector >= 32) {
		irq_count[f->vector]++;
		if (f->vector != VECTOR_SPURIOUS)
			apic_eoi();
		return;
	}
	if (recover_at) {
		recovered = (int)f->vector;
		f->rip = recover_at;
		recover_at = 0;
		return;
	}
	__asm__ volatile("mov %%cr2, %0" : "=r"(cr2));
	print("\n");
	check_is_at("exception (all ones: none)", f->rip, ~0ULL, f->vector);
	note("its error code", f->error);
	note("CR2", cr2);
	note("APIC id", apic_id());
	power_off();
}

/* $1f fits in 32 bits: the image lies at 1 MiB. */
#define TRY(instruction) \
	"movq $1f, %[at]\n\t" instruction "\n1:\tmovq $0, %[at]"

int try_rdmsr(uint32_t msr, uint64_t *value)
{
	uint32_t low = 0, high = 0;

	recovered = -1;
	__asm__ volatile(TRY("rdmsr")
			 : [at] "=m"(recover_at), "+a"(low), "+d"(high)
			 : "c"(msr)
			 : "memory");
	*value = (uint64_t)high << 32 | low;
	return recovered;
}

int try_wrmsr(uint32_t msr, uint64_t value)
{
	recovered = -1;
	__asm__ volatile(TRY("wrmsr")
			 : [at] "=m"(recover_at)
			 : "c"(msr), "a"((uint32_t)value),
			   "d"((uint32_t)(value >> 32))
			 : "memory");
	return recovered;
}
