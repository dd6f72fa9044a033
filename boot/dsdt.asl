/* SPDX-License-Identifier: Apache-2.0 */
/* Constant and method-free: every guest sees the same auditable bytes. */
#include "vmm/base/layout_x86.h"
DefinitionBlock ("", "DSDT", 2, "CVMM", "CVMMDSDT", 1)
{
	Name (_S5, Package () { X86_POWER_SLP_TYP_S5, 0, 0, 0 })
}
