/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The local APIC as x2APIC where CPUID has it, else memory mapped; its timer;
 * and time: kvmclock says how fast the TSC runs.
 */
#include "firmware/guest/guest.h"

#define MSR_APIC_BASE 0x1b
#define APIC_BASE_EXTD (1ULL << 10)
#define MSR_TSC_DEADLINE 0x6e0
#define MSR_X2APIC 0x800               /* + register offset / 16 */
#define MSR_KVM_SYSTEM_TIME 0x4b564d01 /* KVM's msr.rst */

/* SDM vol. 3, table 11-1. */
#define APIC_ID 0x20
#define APIC_VERSION 0x30
#define APIC_TPR 0x80
#define APIC_EOI 0xb0
#define APIC_SVR 0xf0
#define APIC_SVR_ENABLE 0x100
#define APIC_ICR 0x300
#define APIC_ICR_HIGH 0x310
#define APIC_LVT_TIMER 0x320
#define APIC_LVT_MASKED (1u << 16)
#define APIC_LVT_TSC_DEADLINE (2u << 17)
#define APIC_TIMER_INITIAL 0x380
#define APIC_TIMER_CURRENT 0x390
#define APIC_TIMER_DIVIDE 0x3e0
#define APIC_TIMER_DIVIDE_BY_1 0xb
/* KVM's default; what a host may change is beyond this guest's reach. */
#define APIC_TIMER_HZ 1000000000ULL

#define NS_IN_MS 1000000ULL
#define NS_IN_S 1000000000ULL
#define TIMER_NS (2 * NS_IN_MS)
#define PATIENCE_NS (5 * NS_IN_S) /* hosts are busy, or emulated */

struct kvm_clock { /* KVM's msr.rst: pvclock_vcpu_time_info */
	uint32_t version, pad0;
	uint64_t tsc_timestamp, system_time;
	uint32_t tsc_to_system_mul;
	int8_t tsc_shift;
	uint8_t flags, pad[2];
};
static volatile struct kvm_clock clock __attribute__((aligned(64)));

static bool x2apic, deadline, timer_works;
static uint64_t tsc_hz = NS_IN_S; /* until it is known */

static uint32_t apic_read(uint32_t reg)
{
	if (x2apic)
		return (uint32_t)rdmsr(MSR_X2APIC + reg / 16);
	return mmio_read(uint32_t, X86_LAPIC + reg);
}

static void apic_write(uint32_t reg, uint32_t value)
{
	if (x2apic)
		wrmsr(MSR_X2APIC + reg / 16, value);
	else
		mmio_write(uint32_t, X86_LAPIC + reg, value);
}

void apic_eoi(void)
{
	apic_write(APIC_EOI, 0);
}

uint32_t apic_id(void)
{
	return apic_read(APIC_ID) >> (x2apic ? 0 : 24);
}

void apic_send(uint32_t id, uint32_t command)
{
	if (x2apic) {
		wrmsr(MSR_X2APIC + APIC_ICR / 16, (uint64_t)id << 32 | command);
		return;
	}
	mmio_write(uint32_t, X86_LAPIC + APIC_ICR_HIGH, id << 24);
	mmio_write(uint32_t, X86_LAPIC + APIC_ICR, command);
}

void apic_enable(void)
{
	x2apic = cpuid(1, 0).c & CPUID_1_C_X2APIC;
	if (x2apic)
		wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | APIC_BASE_EXTD);
	apic_write(APIC_SVR, APIC_SVR_ENABLE | VECTOR_SPURIOUS);
	apic_write(APIC_TPR, 0);
}

/* ---- Time ---- */

uint64_t ns_to_tsc(uint64_t ns)
{
	return ns / 1000 * (tsc_hz / 1000) / 1000;
}

static void spin_ns(uint64_t ns)
{
	for (uint64_t start = rdtsc(); rdtsc() - start < ns_to_tsc(ns);)
		__builtin_ia32_pause();
}

static void check_clock(void)
{
	uint64_t hz;

	wrmsr(MSR_KVM_SYSTEM_TIME, (uintptr_t)&clock | 1);
	check_that("kvmclock: filled in",
		   clock.tsc_to_system_mul && !(clock.version & 1));
	if (!clock.tsc_to_system_mul)
		return;
	/* ns = ((tsc << shift) * mul) >> 32, so for one second: */
	hz = (NS_IN_S << 32) / clock.tsc_to_system_mul;
	tsc_hz = clock.tsc_shift < 0 ? hz << -clock.tsc_shift
				     : hz >> clock.tsc_shift;
	check_in("TSC: MHz", 100, 10000, tsc_hz / 1000000);
}

/* Both clocks count one stretch of time; the outer one cannot see less. */
static void check_count(void)
{
	uint64_t t0, t1, t2, t3, count;

	apic_write(APIC_LVT_TIMER, APIC_LVT_MASKED | VECTOR_TIMER);
	apic_write(APIC_TIMER_DIVIDE, APIC_TIMER_DIVIDE_BY_1);
	t0 = rdtsc();
	apic_write(APIC_TIMER_INITIAL, 0xffffffff);
	t1 = rdtsc();
	spin_ns(TIMER_NS);
	t2 = rdtsc();
	count = 0xffffffff - apic_read(APIC_TIMER_CURRENT);
	t3 = rdtsc();
	apic_write(APIC_TIMER_INITIAL, 0);
	count = ns_to_tsc(count * (NS_IN_S / APIC_TIMER_HZ));
	check_in("APIC timer and TSC agree, TSC ticks", (t2 - t1) * 9 / 10,
		 (t3 - t0) * 11 / 10, count);
}

/* ---- Interrupts ---- */

bool wait_irq(unsigned int vector, unsigned int before)
{
	uint64_t start = rdtsc();

	__asm__ volatile("sti" ::: "memory");
	while (irq_count[vector] == before &&
	       rdtsc() - start < ns_to_tsc(PATIENCE_NS))
		__builtin_ia32_pause();
	__asm__ volatile("cli" ::: "memory");
	return irq_count[vector] != before;
}

static void timer_start(uint64_t ns)
{
	if (deadline) {
		apic_write(APIC_LVT_TIMER,
			   APIC_LVT_TSC_DEADLINE | VECTOR_TIMER);
		wrmsr(MSR_TSC_DEADLINE, rdtsc() + ns_to_tsc(ns));
		return;
	}
	apic_write(APIC_TIMER_DIVIDE, APIC_TIMER_DIVIDE_BY_1);
	apic_write(APIC_LVT_TIMER, VECTOR_TIMER);
	apic_write(APIC_TIMER_INITIAL,
		   (uint32_t)(ns * APIC_TIMER_HZ / NS_IN_S));
}

static void check_timer(void)
{
	unsigned int before = irq_count[VECTOR_TIMER];
	uint64_t start = rdtsc(), took;

	timer_start(TIMER_NS);
	timer_works = wait_irq(VECTOR_TIMER, before);
	took = rdtsc() - start;
	check_that(deadline ? "timer interrupt: TSC deadline"
			    : "timer interrupt: one-shot",
		   timer_works);
	check_in("timer: TSC ticks", ns_to_tsc(TIMER_NS) * 9 / 10,
		 ns_to_tsc(PATIENCE_NS), took);
	spin_ns(TIMER_NS);
	check_is("timer: interrupts from one shot", 1,
		 irq_count[VECTOR_TIMER] - before);
}

void sleep_ms(unsigned int ms)
{
	if (!timer_works) {
		spin_ns(ms * NS_IN_MS);
		return;
	}
	timer_start(ms * NS_IN_MS);
	/* STI lets the interrupt in only after HLT has begun. */
	__asm__ volatile("sti; hlt; cli" ::: "memory");
}

static void check_halt(void)
{
	unsigned int before = irq_count[VECTOR_TIMER];
	uint64_t start = rdtsc();

	if (!timer_works)
		return; /* nothing would wake us */
	sleep_ms(TIMER_NS / NS_IN_MS);
	check_is("HLT: ends with the timer interrupt", before + 1,
		 irq_count[VECTOR_TIMER]);
	check_in("HLT: TSC ticks", ns_to_tsc(TIMER_NS) * 9 / 10,
		 ns_to_tsc(PATIENCE_NS), rdtsc() - start);
}

void apic_check(void)
{
	unsigned int before = irq_count[VECTOR_IPI];

	deadline = cpuid(1, 0).c & CPUID_1_C_TSC_DEADLINE;
	check_that("APIC: has a version", (apic_read(APIC_VERSION) & 0xff) > 0);
	apic_send(apic_id(), ICR_FIXED | VECTOR_IPI);
	check_is("IPI: held back while RFLAGS.IF is clear", before,
		 irq_count[VECTOR_IPI]);
	wait_irq(VECTOR_IPI, before);
	check_is("IPI to this CPU: delivered", before + 1,
		 irq_count[VECTOR_IPI]);
	check_clock();
	check_count();
	check_timer();
	check_halt();
}
