/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of devices/vsock.c, and with it of devices/vhost.c. */
#include "devices/vsock.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>
#include <linux/virtio_vsock.h>
#include <string.h>
#include <sys/eventfd.h>

#include "suites.h"
#include "support/fake_driver.h"
#include "support/fake_vhost.h"
#include "vmm/base/log.h"

#define COMMON(f) offsetof(struct virtio_pci_common_cfg, f)
#define QUEUE_RESET 58 /* virtio 1.2, 4.1.4.3 */
#define BIT(n) (1ULL << (n))
#define RING_RESET 40
#define CID 0x12345678

static struct fake_vhost kernel;
static struct fake_driver *d;

static void setup(void)
{
	log_set_level(LOG_ERR);
	fake_vhost_init(&kernel);
	d = NULL;
}

static void teardown(void)
{
	if (d)
		fake_driver_free(d);
	ck_assert_uint_eq(kernel.misuse, 0);
}

static void start(void)
{
	const struct vsock_params p = { .cid = CID, .sys = &kernel.sys };

	d = fake_driver_new(vsock_create, &p);
	fake_driver_start(d, ~0ULL, 64);
}

static void wait_for(const atomic_uint *counter, unsigned int value)
{
	for (unsigned int ms = 0; ms < FAKE_WAIT_MS && *counter != value; ms++)
		fake_driver_interrupts(d, FAKE_CONFIG, 1);
	ck_assert_uint_eq(*counter, value);
}

START_TEST(tells_the_guest_its_cid)
{
	start();
	ck_assert_uint_eq(fake_config_in(d, 2, 2), 0x1040 + VIRTIO_ID_VSOCK);
	ck_assert_uint_eq(d->nr_queues, 3);
	ck_assert_uint_eq(fake_in(d, d->device, 4), CID);
	ck_assert_uint_eq(fake_in(d, d->device + 4, 4), 0);
	ck_assert_uint_eq(kernel.cid, CID);
}
END_TEST

START_TEST(offers_what_the_kernel_can_do)
{
	const uint64_t seqpacket = BIT(VIRTIO_VSOCK_F_SEQPACKET);

	kernel.features &= ~BIT(VIRTIO_RING_F_EVENT_IDX);
	if (_i)
		kernel.features |= seqpacket;
	start();
	ck_assert(!(d->features & BIT(VIRTIO_RING_F_EVENT_IDX)));
	ck_assert(d->features & BIT(VIRTIO_RING_F_INDIRECT_DESC));
	ck_assert(!(d->features & seqpacket) == !_i);
}
END_TEST

START_TEST(hides_from_the_kernel_what_is_not_its_business)
{
	start();
	wait_for(&kernel.starts, 1);
	ck_assert(d->features & BIT(VIRTIO_F_ACCESS_PLATFORM));
	ck_assert(d->features & BIT(RING_RESET));
	ck_assert_uint_eq(kernel.acked,
			  BIT(VIRTIO_F_VERSION_1) |
				  BIT(VIRTIO_RING_F_EVENT_IDX) |
				  BIT(VIRTIO_RING_F_INDIRECT_DESC));
}
END_TEST

START_TEST(gives_the_kernel_all_of_guest_memory_and_the_rings)
{
	start();
	wait_for(&kernel.starts, 1);
	ck_assert_uint_eq(kernel.nr_regions, d->guest.mem.count);
	for (unsigned int i = 0; i < kernel.nr_regions; i++) {
		const struct guest_region *r = &d->guest.mem.regions[i];

		ck_assert_uint_eq(kernel.regions[i].gpa, r->base);
		ck_assert_uint_eq(kernel.regions[i].len, r->len);
		ck_assert_uint_eq(kernel.regions[i].user, (uintptr_t)r->host);
	}
	for (unsigned int i = 0; i < 2; i++) {
		const struct virtq_layout *l = &d->queues[i].layout;

		ck_assert_uint_eq(kernel.rings[i].num, 64);
		ck_assert_uint_eq(kernel.rings[i].base, 0);
		ck_assert_uint_eq(kernel.rings[i].desc,
				  (uintptr_t)fake_at(&d->guest, l->desc));
		ck_assert_uint_eq(kernel.rings[i].avail,
				  (uintptr_t)fake_at(&d->guest, l->avail));
		ck_assert_uint_eq(kernel.rings[i].used,
				  (uintptr_t)fake_at(&d->guest, l->used));
	}
}
END_TEST

START_TEST(connects_the_driver_and_the_kernel_with_each_other)
{
	eventfd_t count;

	start();
	wait_for(&kernel.starts, 1);
	for (unsigned int i = 0; i < 2; i++) {
		/* Once by us: it may have been rung before. */
		ck_assert_int_eq(eventfd_read(kernel.rings[i].kick, &count), 0);
		fake_driver_kick(d, i);
		ck_assert_int_eq(eventfd_read(kernel.rings[i].kick, &count), 0);
		ck_assert_uint_eq(count, 1);
		ck_assert_uint_eq(fake_driver_interrupts(d, i, 0), 0);
		eventfd_write(kernel.rings[i].call, 1);
		ck_assert_uint_eq(fake_driver_interrupts(d, i, 1000), 1);
	}
}
END_TEST

static void set_vector(unsigned int q, uint16_t vector)
{
	fake_out(d, d->common + COMMON(queue_select), q, 2);
	fake_out(d, d->common + COMMON(queue_msix_vector), vector, 2);
}

START_TEST(has_the_kernel_signal_the_vector_that_the_driver_moves_to)
{
	start();
	wait_for(&kernel.starts, 1);
	set_vector(0, 2);
	/* One for the signal that may have gone the old way. */
	ck_assert_uint_eq(fake_driver_interrupts(d, 2, 1000), 1);
	eventfd_write(kernel.rings[0].call, 1);
	ck_assert_uint_eq(fake_driver_interrupts(d, 2, 1000), 1);
	ck_assert_uint_eq(fake_driver_interrupts(d, 0, 0), 0);
	set_vector(0, VIRTIO_NO_VECTOR);
	set_vector(1, 0);
	ck_assert_uint_eq(fake_driver_interrupts(d, 0, 1000), 1);
	ck_assert_int_eq(kernel.rings[0].call, -1);
}
END_TEST

START_TEST(has_stopped_the_kernel_when_a_reset_is_done)
{
	for (unsigned int i = 1; i <= 3; i++) {
		if (d)
			fake_driver_start(d, ~0ULL, 64);
		else
			start();
		wait_for(&kernel.starts, i);
		fake_driver_reset(d);
		ck_assert(!kernel.running);
		ck_assert_int_eq(kernel.rings[0].kick, -1);
		ck_assert_int_eq(kernel.rings[1].call, -1);
	}
}
END_TEST

START_TEST(stops_and_starts_with_any_one_queue)
{
	start();
	wait_for(&kernel.starts, 1);
	fake_out(d, d->common + COMMON(queue_select), (uint64_t)_i, 2);
	fake_out(d, d->common + QUEUE_RESET, 1, 2);
	for (unsigned int ms = 0;
	     fake_in(d, d->common + QUEUE_RESET, 2) && ms < FAKE_WAIT_MS; ms++)
		fake_driver_interrupts(d, FAKE_CONFIG, 1);
	ck_assert_uint_eq(fake_in(d, d->common + QUEUE_RESET, 2), 0);
	/* The third one is not the kernel's. */
	ck_assert_int_eq(kernel.running, _i == 2);
	fake_driver_queue(d, (unsigned int)_i, 16);
	wait_for(&kernel.starts, _i == 2 ? 1 : 2);
	ck_assert(kernel.running);
	ck_assert_uint_eq(kernel.rings[0].num, _i == 0 ? 16 : 64);
}
END_TEST

START_TEST(breaks_when_the_kernel_finds_the_rules_broken)
{
	start();
	wait_for(&kernel.starts, 1);
	eventfd_write(kernel.rings[1].err, 1);
	fake_driver_wait_status(d, VIRTIO_CONFIG_S_NEEDS_RESET, true);
	fake_driver_start(d, ~0ULL, 64);
	wait_for(&kernel.starts, 2);
}
END_TEST

START_TEST(forgets_complaints_with_the_driver_they_are_of)
{
	start();
	kernel.complains = true;
	for (unsigned int i = 1; i <= 20; i++) {
		wait_for(&kernel.starts, i);
		fake_driver_start(d, ~0ULL, 64);
		fake_driver_interrupts(d, FAKE_CONFIG, 1);
		ck_assert_uint_eq(fake_driver_wait_status(
					  d, VIRTIO_CONFIG_S_DRIVER_OK, true) &
					  VIRTIO_CONFIG_S_NEEDS_RESET,
				  0);
	}
}
END_TEST

/* After the four calls of creation: 7 for each queue, and one to run. */
START_TEST(breaks_when_any_call_to_start_it_fails)
{
	kernel.error_at = 5 + _i;
	kernel.error = -EFAULT;
	start();
	fake_driver_wait_status(d, VIRTIO_CONFIG_S_NEEDS_RESET, true);
	ck_assert(!kernel.running);
	fake_driver_start(d, ~0ULL, 64);
	wait_for(&kernel.starts, 1);
	ck_assert(!(fake_in(d, d->common + COMMON(device_status), 1) &
		    VIRTIO_CONFIG_S_NEEDS_RESET));
}
END_TEST

/* --- what cannot be made --- */

static int create_alone(void)
{
	const struct vsock_params p = { .cid = CID, .sys = &kernel.sys };
	struct guest_mem mem = { 0 };
	struct iothread thread;
	struct virtio_host host = { "vsock", &mem, &thread };
	struct virtio *made = NULL;
	int rc;

	ck_assert_int_eq(iothread_init(&thread), 0);
	rc = vsock_create(&host, &p, &made);
	if (!rc)
		made->ops->destroy(made);
	iothread_destroy(&thread);
	return rc;
}

static const struct {
	int open_error, error_at, error;
	const char *text;
} refusals[] = {
	{ -ENOENT, 0, 0, "load the kernel module vhost_vsock" },
	{ -ENODEV, 0, 0, "load the kernel module vhost_vsock" },
	{ -EACCES, 0, 0, "no permission to open /dev/vhost-vsock" },
	{ -EMFILE, 0, 0, "/dev/vhost-vsock: Too many open files" },
	{ 0, 1, -ENOMEM, "/dev/vhost-vsock: Cannot allocate" },
	{ 0, 2, -EFAULT, "/dev/vhost-vsock: Bad address" },
	{ 0, 3, -E2BIG, "/dev/vhost-vsock: Argument list" },
	{ 0, 4, -EADDRINUSE, "another VM's: choose another vsock.cid" },
	{ 0, 4, -EINVAL, "cid 305419896: Invalid" },
};

START_TEST(says_why_there_can_be_none)
{
	kernel.open_error = refusals[_i].open_error;
	kernel.error_at = refusals[_i].error_at;
	kernel.error = refusals[_i].error;
	ck_assert_int_eq(create_alone(),
			 refusals[_i].open_error | refusals[_i].error);
	ck_assert_msg(strstr(err_text(), refusals[_i].text), "%s", err_text());
}
END_TEST

START_TEST(refuses_a_kernel_older_than_virtio_1)
{
	ck_assert_int_eq(create_alone(), 0);
	kernel.features &= ~BIT(VIRTIO_F_VERSION_1);
	ck_assert_int_eq(create_alone(), -EOPNOTSUPP);
}
END_TEST

Suite *vsock_suite(void)
{
	Suite *s = suite_create("vsock");
	TCase *tc = tcase_create("vsock");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, tells_the_guest_its_cid);
	tcase_add_loop_test(tc, offers_what_the_kernel_can_do, 0, 2);
	tcase_add_test(tc, hides_from_the_kernel_what_is_not_its_business);
	tcase_add_test(tc, gives_the_kernel_all_of_guest_memory_and_the_rings);
	tcase_add_test(tc, connects_the_driver_and_the_kernel_with_each_other);
	tcase_add_test(
		tc, has_the_kernel_signal_the_vector_that_the_driver_moves_to);
	tcase_add_test(tc, has_stopped_the_kernel_when_a_reset_is_done);
	tcase_add_loop_test(tc, stops_and_starts_with_any_one_queue, 0, 3);
	tcase_add_test(tc, breaks_when_the_kernel_finds_the_rules_broken);
	tcase_add_test(tc, forgets_complaints_with_the_driver_they_are_of);
	tcase_add_loop_test(tc, breaks_when_any_call_to_start_it_fails, 0, 15);
	tcase_add_loop_test(tc, says_why_there_can_be_none, 0,
			    ARRAY_SIZE(refusals));
	tcase_add_test(tc, refuses_a_kernel_older_than_virtio_1);
	suite_add_tcase(s, tc);
	return s;
}
