/* SPDX-License-Identifier: Apache-2.0 */
/* Runs every unit test suite; CK_RUN_SUITE=name runs one. */
#include <stdio.h>
#include <stdlib.h>

#include "suites.h"
#include "vmm/base/util.h"

/* clang-format off */
static Suite *(*const suites[])(void) = {
	base_suite,
	window_suite,
	acpi_suite,
	power_suite,
	blobs_suite,
	serial_suite,
	spool_suite,
	pci_suite,
	virtqueue_suite,
	virtqueue_rules_suite,
	virtqueue_private_suite,
	private_race_suite,
	virtio_suite,
	virtio_pci_suite,
	msix_suite,
	rng_suite,
	vsock_suite,
	net_vhost_suite,
	fs_suite,
	fs_create_suite,
	console_suite,
	endpoint_suite,
	blk_suite,
	net_suite,
	net_hostile_suite,
	net_stream_suite,
	balloon_suite,
	blk_rules_suite,
	disk_medium_suite,
	disk_suite,
	terminal_suite,
	thread_suite,
	event_suite,
	child_suite,
	fake_vm_suite,
	fake_vcpu_suite,
	launch_suite,
	convert_suite,
	emulated_suite,
	huge_suite,
	convert_race_suite,
	convert_errors_suite,
	launch_device_suite,
	cpuid_suite,
	exit_suite,
	run_suite,
	posted_suite,
	trace_suite,
	memory_suite,
	prefault_suite,
	wiring_suite,
	probe_suite,
	image_suite,
	elf_suite,
	boot_suite,
	kaslr_suite,
	unpack_suite,
	config_suite,
	config_list_suite,
	options_suite,
	help_suite,
	expect_suite,
	testrun_suite,
	device_set_suite,
	machine_suite,
	machine_net_suite,
	restart_suite,
	proof_suite,
	sweep_suite,
	control_suite,
};
/* clang-format on */

int main(void)
{
	SRunner *runner = srunner_create(NULL);
	int failed, run;

	for (size_t i = 0; i < ARRAY_SIZE(suites); i++)
		srunner_add_suite(runner, suites[i]());
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	run = srunner_ntests_run(runner);
	srunner_free(runner);
	printf("unit: %d passed, %d failed\n", run - failed, failed);
	return failed || !run ? EXIT_FAILURE : EXIT_SUCCESS;
}
