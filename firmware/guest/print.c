/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The report: text on the serial port, and the count of what failed.  A line
 * is put together in memory and leaves in bursts of `rep outsb`, so string
 * I/O is exercised by whatever is printed.
 */
#include "firmware/guest/guest.h"

/* 16550 registers and bits. */
#define FCR 2
#define FCR_ENABLE 0x07 /* FIFOs on and cleared */
#define IIR_FIFO 0xc0
#define LCR 3
#define LCR_8N1 0x03
#define MCR 4
#define MCR_DTR_RTS 0x03 /* ready for input */
#define LSR 5
#define LSR_DR 0x01
#define LSR_THRE 0x20
#define FIFO_SIZE 16

static size_t burst = 1;
static unsigned int done, failed;
static char line[256];
static size_t line_len;

/* The compiler may call these for what C does with structs and arrays. */
void *memcpy(void *restrict dst, const void *restrict src, size_t len);
void *memset(void *dst, int value, size_t len);

void *memcpy(void *restrict dst, const void *restrict src, size_t len)
{
	void *d = dst;

	__asm__ volatile("rep movsb" : "+D"(d), "+S"(src), "+c"(len)::"memory");
	return dst;
}

void *memset(void *dst, int value, size_t len)
{
	void *d = dst;

	__asm__ volatile("rep stosb"
			 : "+D"(d), "+c"(len)
			 : "a"(value)
			 : "memory");
	return dst;
}

void serial_init(void)
{
	outb(X86_SERIAL + LCR, LCR_8N1);
	outb(X86_SERIAL + FCR, FCR_ENABLE);
	if ((inb(X86_SERIAL + FCR) & IIR_FIFO) == IIR_FIFO)
		burst = FIFO_SIZE;
	outb(X86_SERIAL + MCR, MCR_DTR_RTS);
}

bool serial_read(char *c)
{
	if (!(inb(X86_SERIAL + LSR) & LSR_DR))
		return false;
	*c = (char)inb(X86_SERIAL);
	return true;
}

void print_bytes(const char *text, size_t len)
{
	while (len) {
		size_t n = len < burst ? len : burst;

		while (!(inb(X86_SERIAL + LSR) & LSR_THRE))
			__builtin_ia32_pause();
		len -= n;
		__asm__ volatile("rep outsb"
				 : "+S"(text), "+c"(n)
				 : "d"((uint16_t)X86_SERIAL)
				 : "memory");
	}
}

static void put(char c)
{
	line[line_len++] = c;
	if (c != '\n' && line_len < sizeof(line))
		return;
	print_bytes(line, line_len);
	line_len = 0;
}

void print(const char *text)
{
	for (; *text; text++) {
		if (*text == '\n')
			put('\r');
		put(*text);
	}
}

static void print_base(uint64_t n, unsigned int base)
{
	char digits[20];
	unsigned int i = 0;

	do {
		digits[i++] = "0123456789abcdef"[n % base];
		n /= base;
	} while (n);
	while (i)
		put(digits[--i]);
}

void print_number(uint64_t n)
{
	print_base(n, 10);
}

void print_hex(uint64_t n)
{
	print("0x");
	print_base(n, 16);
}

static void print_value(uint64_t n)
{
	if (n < 1000000)
		print_number(n);
	else
		print_hex(n);
}

static void check_begin(const char *what, bool ok)
{
	done++;
	failed += !ok;
	print(ok ? "ok   " : "FAIL ");
	print(what);
}

static void check_end(bool ok, uint64_t expected, uint64_t got,
		      void (*print_one)(uint64_t))
{
	print(": ");
	if (!ok) {
		print("expected ");
		print_one(expected);
		print(", got ");
	}
	print_one(got);
	print("\n");
}

void check_is(const char *what, uint64_t expected, uint64_t got)
{
	check_begin(what, expected == got);
	check_end(expected == got, expected, got, print_value);
}

void check_bits(const char *what, uint64_t expected, uint64_t got)
{
	check_begin(what, expected == got);
	check_end(expected == got, expected, got, print_hex);
}

void check_is_at(const char *what, uint64_t addr, uint64_t expected,
		 uint64_t got)
{
	check_begin(what, expected == got);
	if (expected != got) {
		print(" at ");
		print_hex(addr);
	}
	check_end(expected == got, expected, got, print_hex);
}

void check_in(const char *what, uint64_t low, uint64_t high, uint64_t got)
{
	uint64_t nearest = got < low ? low : got > high ? high : got;

	check_begin(what, nearest == got);
	if (got < low)
		print(" (at least)");
	if (got > high)
		print(" (at most)");
	check_end(nearest == got, nearest, got, print_value);
}

void check_that(const char *what, bool holds)
{
	check_begin(what, holds);
	print(holds ? "\n" : ": expected yes, got no\n");
}

void note(const char *what, uint64_t value)
{
	print("     ");
	print(what);
	print(": ");
	print_value(value);
	print("\n");
}

unsigned int checks_end(void)
{
	print("guest: ");
	print_number(done);
	print(" checks, ");
	print_number(failed);
	print(" failed\n");
	return failed;
}
