/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order of the checks, what the command line asks for, and the end:
 *
 *	guest.cpus=N guest.memory=SIZE	what the machine must have
 *	guest.fail=1			fail one check
 *	guest.flood=KIB			write so much to the console
 *	guest.hostile=ROUNDS		misuse every virtio device, by
 *	guest.seed=N			numbers that follow from N
 *	guest.strict=1			... where memory.window is strict
 *	guest.vhost=1			that others serve: see hostile.c
 *	guest.convert=ROUNDS		make memory private and shared
 *	guest.stress=SECONDS		the same while devices use it
 *	guest.echo=1			give back lines of input until "quit"
 *					(or switch off at "poweroff")
 *	guest.hold=SECONDS		sleep so long before the end
 *	guest.end=HOW			poweroff, reboot, panic, triplefault
 *					or hang; default poweroff
 */
#include "firmware/guest/guest.h"
#include "firmware/guest/virtio.h"

/* Documentation/arch/x86/zero-page.rst */
#define BP_EXT_CMD_LINE 0xc8
#define BP_CMD_LINE 0x228

#define SLP_EN (1 << 5) /* ACPI 6.5, 4.8.3.7 */
#define SLP_TYP_SHIFT 2
#define POLL_MS 5
#define FLOOD_LINE 64

void main(void);

static const char *cmdline;

/* What follows key at the start of a word of the command line, or NULL. */
static const char *option(const char *key)
{
	bool start = true;

	for (const char *c = cmdline; c && *c; start = *c++ == ' ') {
		const char *k = key, *v = c;

		while (start && *k && *v == *k)
			v++, k++;
		if (start && !*k)
			return v;
	}
	return NULL;
}

static bool option_is(const char *key, const char *value)
{
	const char *v = option(key);

	while (v && *value && *v == *value)
		v++, value++;
	return v && !*value && (!*v || *v == ' ');
}

uint64_t option_number(const char *key, uint64_t absent)
{
	const char *v = option(key);
	uint64_t n = 0;

	if (!v || *v < '0' || *v > '9')
		return absent;
	for (; *v >= '0' && *v <= '9'; v++)
		n = n * 10 + (uint64_t)(*v - '0');
	if (*v == 'K')
		n <<= 10;
	if (*v == 'M')
		n <<= 20;
	if (*v == 'G')
		n <<= 30;
	return n;
}

static void __attribute__((noreturn)) halt(void)
{
	for (;;)
		__asm__ volatile("cli; hlt");
}

/* Totals for people, and a status for the monitor's exit status. */
static void report(void)
{
	unsigned int failed = checks_end();

	outb(X86_POWER + X86_POWER_GUEST_STATUS,
	     (uint8_t)(failed < 255 ? failed : 255));
}

void power_off(void)
{
	report();
	outb(acpi.sleep_port, X86_POWER_SLP_TYP_S5 << SLP_TYP_SHIFT | SLP_EN);
	halt();
}

static void __attribute__((noreturn)) reset(void)
{
	outb(acpi.reset_port, acpi.reset_value);
	halt();
}

static void __attribute__((noreturn)) triple_fault(void)
{
	static const struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) none;

	__asm__ volatile("lidt %0; ud2" ::"m"(none));
	halt();
}

/* ---- What else the command line may ask for ---- */

static void hold(uint64_t seconds)
{
	note("holding, seconds", seconds);
	for (uint64_t i = 0; i < seconds * 10; i++)
		sleep_ms(100);
}

static bool same(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return *a == *b;
}

/* Gives back each line it reads, until one says "quit" or "poweroff". */
static void echo(void)
{
	char text[128];
	size_t len = 0;

	print("echo: ready\n");
	for (;;) {
		char c;

		if (!serial_read(&c)) {
			sleep_ms(POLL_MS);
			continue;
		}
		if (c != '\r' && c != '\n') {
			if (len < sizeof(text) - 1)
				text[len++] = c;
			continue;
		}
		text[len] = '\0';
		len = 0;
		print("echo: ");
		print(text);
		print("\n");
		if (same(text, "quit"))
			return; /* to what guest.end= says */
		if (same(text, "poweroff"))
			power_off();
	}
}

/* Numbered lines of 64 bytes, so that a lost or changed byte shows. */
static void flood(uint64_t kib)
{
	char text[FLOOD_LINE];

	for (unsigned int i = 0; i < FLOOD_LINE - 2; i++)
		text[i] = (char)('!' + i);
	text[FLOOD_LINE - 2] = '\r';
	text[FLOOD_LINE - 1] = '\n';
	for (uint64_t n = 0; n < kib * (1024 / FLOOD_LINE); n++) {
		for (unsigned int i = 0; i < 8; i++)
			text[i] = "0123456789abcdef"[n >> (28 - 4 * i) & 15];
		text[8] = ' ';
		print_bytes(text, FLOOD_LINE);
	}
	note("flooded, KiB", kib);
}

static void extras(void)
{
	uint64_t n = option_number("guest.flood=", 0);

	if (n)
		flood(n);
	n = option_number("guest.hostile=", 0);
	if (n)
		hostile_check(n);
	n = option_number("guest.convert=", 0);
	if (n)
		convert_check(n);
	n = option_number("guest.stress=", 0);
	if (n)
		stress_check(n);
	if (option_is("guest.echo=", "1"))
		echo();
	n = option_number("guest.hold=", 0);
	if (n)
		hold(n);
}

static void __attribute__((noreturn)) end(void)
{
	if (!option("guest.end=") || option_is("guest.end=", "poweroff"))
		power_off();
	report();
	if (option_is("guest.end=", "panic"))
		print("Kernel panic - not syncing: asked for\n");
	if (option_is("guest.end=", "triplefault"))
		triple_fault();
	if (option_is("guest.end=", "hang"))
		halt();
	reset();
}

void main(void)
{
	cmdline = (const char *)((uint64_t)load32(entry.boot_params +
						  BP_EXT_CMD_LINE)
					 << 32 |
				 load32(entry.boot_params + BP_CMD_LINE));
	serial_init();
	print("cvmm guest: checking this machine\n");
	trap_init();
	cpu_check();
	memory_see_shared(X86_HOLE, X86_HOLE_END - X86_HOLE); /* devices */
	io_check();
	memory_check();
	acpi_check();
	apic_enable();
	apic_check();
	cpu_check_topology(acpi.nr_cpus);
	smp_check();
	if (option_is("guest.fail=", "1"))
		check_is("asked to fail", 0, 1);
	extras();
	end();
}
