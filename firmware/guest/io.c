/* SPDX-License-Identifier: Apache-2.0 */
/* Port and memory mapped I/O: what answers, and what nobody answers to. */
#include "firmware/guest/guest.h"

#define PORT_NOBODY 0x5f0                      /* below the power block */
#define MMIO_NOBODY (X86_ECAM + 0x10000000ULL) /* between ECAM and IOAPIC */
#define SERIAL_SCRATCH 7
#define PCI_DEVICE(n) (X86_ECAM + ((uint64_t)(n) << 15)) /* function 0 */
#define PCI_FUNCTION(n) ((n) << 12)
#define PCI_CLASS 0xa
#define PCI_CLASS_HOST_BRIDGE 0x0600

#define IN(type, suffix, port)                              \
	({                                                  \
		type in_value;                              \
		__asm__ volatile("in" suffix " %1, %0"      \
				 : "=a"(in_value)           \
				 : "Nd"((uint16_t)(port))); \
		in_value;                                   \
	})

static void check_ports(void)
{
	uint64_t text = 0;
	void *dst = &text;
	uint64_t count = sizeof(text);

	check_bits("unclaimed port, 1 byte", 0xff,
		   IN(uint8_t, "b", PORT_NOBODY));
	check_bits("unclaimed port, 2 bytes", 0xffff,
		   IN(uint16_t, "w", PORT_NOBODY));
	check_bits("unclaimed port, 4 bytes", 0xffffffff,
		   IN(uint32_t, "l", PORT_NOBODY));
	__asm__ volatile("rep insb"
			 : "+D"(dst), "+c"(count)
			 : "d"((uint16_t)PORT_NOBODY)
			 : "memory");
	check_bits("unclaimed port, string input", ~0ULL, text);
	outb(PORT_NOBODY, 0x5a);
	outb(X86_SERIAL + SERIAL_SCRATCH, 0x5a);
	check_bits("serial port: scratch register", 0x5a,
		   inb(X86_SERIAL + SERIAL_SCRATCH));
}

static void check_unclaimed_mmio(void)
{
	mmio_write(uint32_t, MMIO_NOBODY, 0);
	check_bits("unclaimed MMIO, 1 byte", 0xff,
		   mmio_read(uint8_t, MMIO_NOBODY));
	check_bits("unclaimed MMIO, 2 bytes", 0xffff,
		   mmio_read(uint16_t, MMIO_NOBODY + 2));
	check_bits("unclaimed MMIO, 4 bytes", 0xffffffff,
		   mmio_read(uint32_t, MMIO_NOBODY));
	check_bits("unclaimed MMIO, 8 bytes", ~0ULL,
		   mmio_read(uint64_t, MMIO_NOBODY));
	/* KVM makes two accesses of it, one of 3 bytes. */
	mmio_write(uint32_t, MMIO_NOBODY + 0xffd, 0);
	check_bits("unclaimed MMIO, 4 bytes across pages", 0xffffffff,
		   mmio_read(uint32_t, MMIO_NOBODY + 0xffd));
}

static void check_pci(void)
{
	uint32_t id = mmio_read(uint32_t, PCI_DEVICE(0));

	check_that("PCI 00:00.0 is there", id != 0xffffffff && (uint16_t)id);
	check_bits("PCI 00:00.0 vendor, 2 bytes", (uint16_t)id,
		   mmio_read(uint16_t, PCI_DEVICE(0)));
	check_bits("PCI 00:00.0 device, 2 bytes", id >> 16,
		   mmio_read(uint16_t, PCI_DEVICE(0) + 2));
	check_bits("PCI 00:00.0 device, 1 byte", id >> 24,
		   mmio_read(uint8_t, PCI_DEVICE(0) + 3));
	check_bits("PCI 00:00.0 class: host bridge", PCI_CLASS_HOST_BRIDGE,
		   mmio_read(uint16_t, PCI_DEVICE(0) + PCI_CLASS));
	/* Slots may all be taken; functions but the first never are. */
	check_bits("PCI 00:1f.7 absent, 4 bytes", 0xffffffff,
		   mmio_read(uint32_t, PCI_DEVICE(31) + PCI_FUNCTION(7)));
	check_bits("PCI 00:1f.7 absent, 2 bytes", 0xffff,
		   mmio_read(uint16_t, PCI_DEVICE(31) + PCI_FUNCTION(7)));
}

void io_check(void)
{
	check_ports();
	check_unclaimed_mmio();
	check_pci();
}
