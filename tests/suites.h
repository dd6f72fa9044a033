/* SPDX-License-Identifier: Apache-2.0 */
/* The explicit list of test suites: no registration magic. */
#pragma once

#include <check.h>

Suite *base_suite(void);
Suite *acpi_suite(void);
Suite *power_suite(void);
Suite *blobs_suite(void);
Suite *serial_suite(void);
Suite *spool_suite(void);
Suite *pci_suite(void);
Suite *virtqueue_suite(void);
Suite *virtqueue_rules_suite(void);
Suite *virtio_suite(void);
Suite *rng_suite(void);
Suite *vsock_suite(void);
Suite *console_suite(void);
Suite *endpoint_suite(void);
Suite *blk_suite(void);
Suite *net_suite(void);
Suite *net_hostile_suite(void);
Suite *net_stream_suite(void);
Suite *terminal_suite(void);
Suite *event_suite(void);
Suite *fake_vm_suite(void);
Suite *fake_vcpu_suite(void);
Suite *launch_suite(void);
Suite *cpuid_suite(void);
Suite *exit_suite(void);
Suite *run_suite(void);
Suite *trace_suite(void);
Suite *memory_suite(void);
Suite *probe_suite(void);
Suite *image_suite(void);
Suite *elf_suite(void);
Suite *boot_suite(void);
Suite *unpack_suite(void);
Suite *kaslr_suite(void);
Suite *config_suite(void);
Suite *options_suite(void);
Suite *help_suite(void);
Suite *expect_suite(void);
Suite *testrun_suite(void);
Suite *machine_suite(void);
Suite *restart_suite(void);
