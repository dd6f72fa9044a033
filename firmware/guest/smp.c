/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The other CPUs: each is started with INIT-SIPI-SIPI, comes from real mode
 * through the trampoline in start.S to ap_main(), looks at itself, writes its
 * own slot, counts itself and halts for good; the first one also interrupts
 * the boot CPU, which only waits while they do all that and reads a slot
 * after its CPU has been counted.
 */
#include "firmware/guest/guest.h"

#define SIPI_PAUSE_MS 1
#define PATIENCE_S 20 /* without one more CPU */

extern uint8_t trampoline[], trampoline_end[];
extern uint32_t trampoline_cr3, ap_next;
void ap_main(unsigned int index);

struct slot {
	uint32_t apic_id, cpuid_id, topology_id;
	uint32_t long_mode;
	uint64_t mark;
};
static struct slot slots[MAX_CPUS] SCRATCH;
static volatile unsigned int nr_up;
static uint32_t boot_id;
static void (*volatile work)(unsigned int cpu);

static uint64_t mark(uint32_t id)
{
	return 0x0123456789abcdefULL * (id + 1);
}

void ap_main(unsigned int index)
{
	struct slot *s = &slots[index];

	trap_load();
	apic_enable();
	if (work) {
		work(index + 1);
		__atomic_fetch_add(&nr_up, 1, __ATOMIC_SEQ_CST);
		return;
	}
	s->apic_id = apic_id();
	s->cpuid_id = cpuid(1, 0).b >> 24;
	s->topology_id = cpuid(0, 0).a < 0xb ? s->apic_id : cpuid(0xb, 0).d;
	s->long_mode = !!(rdmsr(MSR_EFER) & EFER_LMA) &&
		       (read_cr0() & CR0_PG) == CR0_PG;
	s->mark = mark(s->apic_id);
	if (!index)
		apic_send(boot_id, ICR_FIXED | VECTOR_IPI);
	__atomic_fetch_add(&nr_up, 1, __ATOMIC_SEQ_CST);
}

static void start_others(void)
{
	uint32_t cr3 = (uint32_t)read_cr3();

	__builtin_memcpy((void *)TRAMPOLINE, trampoline,
			 (size_t)(trampoline_end - trampoline));
	__builtin_memcpy((uint8_t *)TRAMPOLINE +
				 ((uint8_t *)&trampoline_cr3 - trampoline),
			 &cr3, sizeof(cr3));
	for (unsigned int i = 0; i < acpi.nr_cpus; i++)
		if (acpi.cpus[i] != boot_id)
			apic_send(acpi.cpus[i], ICR_INIT);
	for (unsigned int twice = 0; twice < 2; twice++) {
		sleep_ms(SIPI_PAUSE_MS);
		for (unsigned int i = 0; i < acpi.nr_cpus; i++)
			if (acpi.cpus[i] != boot_id)
				apic_send(acpi.cpus[i],
					  ICR_STARTUP | TRAMPOLINE >> 12);
	}
}

static void wait_others(unsigned int expected)
{
	unsigned int seen = 0;
	uint64_t since = rdtsc();

	while (nr_up < expected) {
		if (nr_up != seen) {
			seen = nr_up;
			since = rdtsc();
		}
		if (rdtsc() - since > ns_to_tsc(PATIENCE_S * 1000000000ULL))
			return;
		sleep_ms(SIPI_PAUSE_MS);
	}
}

static bool listed(uint32_t id)
{
	for (unsigned int i = 0; i < acpi.nr_cpus; i++)
		if (acpi.cpus[i] == id)
			return true;
	return false;
}

static void check_slots(unsigned int up)
{
	unsigned int bad_id = 0, bad_mode = 0, bad_mark = 0, twice = 0;

	for (unsigned int i = 0; i < up; i++) {
		const struct slot *s = &slots[i];

		bad_id += !listed(s->apic_id) || s->apic_id == boot_id ||
			  s->cpuid_id != (s->apic_id & 0xff) ||
			  s->topology_id != s->apic_id;
		bad_mode += !s->long_mode;
		bad_mark += s->mark != mark(s->apic_id);
		for (unsigned int k = 0; k < i; k++)
			twice += slots[k].apic_id == s->apic_id;
	}
	check_is("other CPUs: with a wrong APIC id", 0, bad_id);
	check_is("other CPUs: sharing an APIC id", 0, twice);
	check_is("other CPUs: not in 64-bit mode", 0, bad_mode);
	check_is("other CPUs: whose memory write is lost", 0, bad_mark);
}

bool smp_run(void (*job)(unsigned int cpu))
{
	unsigned int others = acpi.nr_cpus - 1;

	nr_up = 0;
	ap_next = 0;
	work = job;
	if (others)
		start_others();
	job(0);
	wait_others(others);
	return nr_up == others;
}

void smp_check(void)
{
	unsigned int others = acpi.nr_cpus ? acpi.nr_cpus - 1 : 0;
	unsigned int before = irq_count[VECTOR_IPI];

	boot_id = apic_id();
	check_that("MADT: lists the boot CPU", listed(boot_id));
	if (others) {
		start_others();
		wait_others(others);
		check_that("IPI from another CPU: delivered",
			   wait_irq(VECTOR_IPI, before));
		check_slots(nr_up);
	}
	check_is("CPUs up", option_number("guest.cpus=", others + 1),
		 nr_up + 1);
}
