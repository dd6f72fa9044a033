/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The DSDT: constant and without code, so that every guest of every VM type
 * sees the same bytes and has nothing of the host's to execute.  Named
 * objects and resource buffers only; a test looks for methods.
 */
#include "vmm/base/layout_x86.h"

DefinitionBlock ("", "DSDT", 2, "CVMM", "CVMMDSDT", 1)
{
	Name (_S5, Package () { X86_POWER_SLP_TYP_S5, 0, 0, 0 })

	Scope (_SB)
	{
		/* Bus 0 only.  No I/O window: nothing here has I/O BARs. */
		Device (PCI0)
		{
			Name (_HID, EisaId ("PNP0A08"))
			Name (_CID, EisaId ("PNP0A03"))
			Name (_UID, 0)
			Name (_SEG, 0)
			Name (_BBN, 0)
			Name (_CRS, ResourceTemplate ()
			{
				WordBusNumber (ResourceProducer, MinFixed,
					MaxFixed, PosDecode, 0, 0, 0, 0, 1)
				DWordMemory (ResourceProducer, PosDecode,
					MinFixed, MaxFixed, NonCacheable,
					ReadWrite, 0, X86_PCI_MMIO32,
					X86_PCI_MMIO32_LAST, 0,
					X86_PCI_MMIO32_LEN)
				QWordMemory (ResourceProducer, PosDecode,
					MinFixed, MaxFixed, NonCacheable,
					ReadWrite, 0, X86_PCI_MMIO64,
					X86_PCI_MMIO64_LAST, 0,
					X86_PCI_MMIO64_LEN)
			})
		}

		/*
		 * Linux trusts the MCFG's range only when a motherboard
		 * device claims it (PCI Firmware 3.3, 4.1.2).
		 */
		Device (MBRD)
		{
			Name (_HID, EisaId ("PNP0C02"))
			Name (_UID, 0)
			Name (_CRS, ResourceTemplate ()
			{
				Memory32Fixed (ReadWrite, X86_ECAM,
					X86_ECAM_LEN)
				IO (Decode16, X86_POWER, X86_POWER, 1,
					X86_POWER_LEN)
			})
		}

		/* No interrupt: there is no IOAPIC, the guest polls. */
		Device (COM1)
		{
			Name (_HID, EisaId ("PNP0501"))
			Name (_UID, 0)
			Name (_CRS, ResourceTemplate ()
			{
				IO (Decode16, X86_SERIAL, X86_SERIAL, 1,
					X86_SERIAL_LEN)
			})
		}
	}
}
