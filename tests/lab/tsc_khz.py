#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# Prints how many kHz this machine's TSC has, which is also that of QEMU's emulator.

import ctypes
import mmap
import time

page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
page.write(b"\x0f\x31\x48\xc1\xe2\x20\x48\x09\xd0\xc3")  # rdtsc; shl $32, %rdx; or %rdx, %rax; ret
rdtsc = ctypes.CFUNCTYPE(ctypes.c_uint64)(ctypes.addressof(ctypes.c_char.from_buffer(page)))


def both():
    """Time in ns and the TSC, as near to each other as one of many tries gets."""
    tries = [(time.monotonic_ns(), rdtsc(), time.monotonic_ns()) for _ in range(20)]
    before, ticks, after = min(tries, key=lambda t: t[2] - t[0])
    return (before + after) // 2, ticks


ns0, ticks0 = both()
time.sleep(0.1)
ns1, ticks1 = both()
print(round((ticks1 - ticks0) * 1000000 / (ns1 - ns0)))
