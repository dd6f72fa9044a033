/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The embedded guest: checks the machine it finds itself on, one line on the
 * serial port for each check, and powers off.  Freestanding, identity mapped,
 * single threaded but for the short time in which the other CPUs report.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "firmware/guest/layout.h"
#include "vmm/base/layout_x86.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define PAGE 4096ULL
#define GIB (1ULL << 30)
/* RAM behind the image that nobody clears; see guest.ld. */
#define SCRATCH __attribute__((section(".bss.scratch")))

/* ---- start.S ---- */

struct entry_state { /* what the monitor handed over, as found */
	uint64_t boot_params, rflags, cr0, cr4, cs, ds, ss;
};
extern struct entry_state entry;
extern const uint8_t image_end[]; /* first page that is not ours */

struct trap_frame {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx,
		rbx, rax;
	uint64_t vector, error, rip, cs, rflags, rsp, ss;
};

/* Marsaglia's xorshift64; *state is not 0. */
static inline uint32_t random_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return (uint32_t)(*state >> 16);
}

/* ---- instructions ---- */

static inline uint64_t rdtsc(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high)::"memory");
	return (uint64_t)high << 32 | low;
}

static inline void outb(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" ::"a"(value), "Nd"(port));
}

static inline uint8_t inb(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline uint64_t rdmsr(uint32_t msr)
{
	uint32_t low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
	return (uint64_t)high << 32 | low;
}

static inline void wrmsr(uint32_t msr, uint64_t value)
{
	__asm__ volatile("wrmsr" ::"c"(msr), "a"((uint32_t)value),
			 "d"((uint32_t)(value >> 32))
			 : "memory");
}

struct cpuid {
	uint32_t a, b, c, d;
};

static inline struct cpuid cpuid(uint32_t leaf, uint32_t subleaf)
{
	struct cpuid r = { .a = leaf, .c = subleaf };

	__asm__ volatile("cpuid" : "+a"(r.a), "=b"(r.b), "+c"(r.c), "=d"(r.d));
	return r;
}

static inline uint64_t read_cr0(void)
{
	uint64_t value;

	__asm__ volatile("mov %%cr0, %0" : "=r"(value));
	return value;
}

static inline uint64_t read_cr3(void)
{
	uint64_t value;

	__asm__ volatile("mov %%cr3, %0" : "=r"(value));
	return value;
}

static inline void write_cr3(uint64_t value)
{
	__asm__ volatile("mov %0, %%cr3" ::"r"(value) : "memory");
}

/* Device memory and memory that only looks like plain C. */
#define mmio_read(type, addr) (*(const volatile type *)(uintptr_t)(addr))
#define mmio_write(type, addr, value) \
	(*(volatile type *)(uintptr_t)(addr) = (value))

/* Unaligned little-endian fields of tables. */
static inline uint32_t load32(uint64_t addr)
{
	uint32_t value;

	__builtin_memcpy(&value, (const void *)addr, sizeof(value));
	return value;
}

static inline uint64_t load64(uint64_t addr)
{
	uint64_t value;

	__builtin_memcpy(&value, (const void *)addr, sizeof(value));
	return value;
}

/* ---- print.c ---- */

void serial_init(void);
bool serial_read(char *c); /* false: nothing has come in */
void print_bytes(const char *text, size_t len);
void print(const char *text);
void print_number(uint64_t n); /* decimal */
void print_hex(uint64_t n);    /* with 0x */

/* One line of the report each; what names the thing that is looked at. */
void check_is(const char *what, uint64_t expected, uint64_t got);
void check_bits(const char *what, uint64_t expected, uint64_t got); /* in hex */
void check_is_at(const char *what, uint64_t addr, uint64_t expected,
		 uint64_t got);
void check_in(const char *what, uint64_t low, uint64_t high, uint64_t got);
void check_that(const char *what, bool holds);
void note(const char *what, uint64_t value); /* not a check */
unsigned int checks_end(void);               /* prints the totals: failures */

/* ---- main.c ---- */

/*
 * The value of key ("guest.hold=") on the command line, with an optional
 * suffix K, M or G; absent when it is not there or is not a number.
 */
uint64_t option_number(const char *key, uint64_t absent);
void power_off(void) __attribute__((noreturn));

/* ---- trap.c ---- */

enum {
	VECTOR_GP = 13,
	VECTOR_IPI = 32,
	VECTOR_TIMER,
	VECTOR_DEVICE,
	VECTOR_SPURIOUS = 47
};

void trap_init(void); /* on the boot CPU */
void trap_load(void); /* on every other one */
extern volatile unsigned int irq_count[NR_VECTORS];

/* Vector of the exception it raised, or -1. */
int try_rdmsr(uint32_t msr, uint64_t *value);
int try_wrmsr(uint32_t msr, uint64_t value);

/* ---- cpu.c ---- */

#define EFER_LME (1ULL << 8)
#define EFER_LMA (1ULL << 10)
#define MSR_EFER 0xc0000080
#define CR0_PE (1ULL << 0)
#define CR0_PG (1ULL << 31)

void cpu_check(void);
void cpu_check_topology(unsigned int nr_cpus);

/* ---- memory.c ---- */

void memory_check(void);
/*
 * Has this CPU see [addr, addr + len), 2 MiB blocks below 4 GiB, as shared
 * memory, where its page tables say which kind they mean.
 */
void memory_see_shared(uint64_t addr, uint64_t len);
extern uint64_t memory_low_end; /* of RAM below the hole */

/* ---- io.c ---- */

void io_check(void);

/* ---- apic.c ---- */

#define CPUID_1_C_X2APIC (1u << 21)
#define CPUID_1_C_TSC_DEADLINE (1u << 24)

void apic_enable(void); /* on every CPU */
void apic_check(void);
uint32_t apic_id(void);
void apic_eoi(void);
#define ICR_FIXED 0x4000 /* assert, physical destination; | vector */
#define ICR_INIT 0x4500
#define ICR_STARTUP 0x4600 /* | page number */
void apic_send(uint32_t id, uint32_t command);
/* Interrupts on until vector has come once more, or it took too long. */
bool wait_irq(unsigned int vector, unsigned int before);
uint64_t ns_to_tsc(uint64_t ns);
void sleep_ms(unsigned int ms); /* halted, if the timer works */

/* ---- acpi.c ---- */

struct acpi {
	unsigned int nr_cpus;
	uint32_t cpus[MAX_CPUS]; /* APIC ids */
	uint16_t sleep_port, reset_port;
	uint8_t reset_value;
};
extern struct acpi acpi;

void acpi_check(void); /* fills acpi as far as the tables are sound */

/* ---- smp.c ---- */

void smp_check(void);
/*
 * Runs job on every CPU at a time, on this one as number 0; false if not all
 * came back.  The others begin anew each time, with interrupts off.
 */
bool smp_run(void (*job)(unsigned int cpu));

/* ---- convert.c ---- */

bool can_convert(void);
/* Has pages shared (attributes 0) or private; 0 or a negative errno. */
uint64_t map_gpa(uint64_t gpa, uint64_t pages, uint64_t attributes);
#define MAP_GPA_PRIVATE (1 << 4)
void convert_check(uint64_t rounds);

/* ---- stress.c ---- */

void stress_check(uint64_t seconds);
