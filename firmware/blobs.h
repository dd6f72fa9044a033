/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes linked into the binary by firmware/blobs.S. */
#pragma once

#include <stdint.h>

extern const uint8_t blob_dsdt[], blob_dsdt_end[];   /* boot/dsdt.asl */
extern const uint8_t blob_reset[], blob_reset_end[]; /* X86_RESET_VECTOR */
extern const uint8_t blob_guest[], blob_guest_end[]; /* firmware/guest/ */
