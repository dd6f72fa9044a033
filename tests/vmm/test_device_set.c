/* SPDX-License-Identifier: Apache-2.0 */
/* Devices that wait for something of the host: who else waits? */
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "suites.h"
#include "support/toy.h"
#include "vmm/base/layout_x86.h"
#include "vmm/device_set.h"

/* --- a thread for each --- */

struct stop { /* something that a device's thread waits for */
	struct event_source source;
	int begun, go_on;
};

static void on_stop(struct event_source *s, uint32_t events)
{
	struct stop *stop = container_of(s, struct stop, source);
	eventfd_t n;

	(void)events;
	eventfd_read(s->fd, &n);
	eventfd_write(stop->begun, 1);
	eventfd_read(stop->go_on, &n);
}

static void stop_make(struct stop *stop, struct device *d)
{
	stop->source =
		(struct event_source){ eventfd(1, EFD_CLOEXEC), on_stop };
	stop->begun = eventfd(0, EFD_CLOEXEC);
	stop->go_on = eventfd(0, EFD_CLOEXEC);
	ck_assert_int_eq(event_add(&d->thread.loop, &stop->source, EPOLLIN), 0);
}

static void stop_free(struct stop *stop)
{
	close(stop->source.fd);
	close(stop->begun);
	close(stop->go_on);
}

/* All of them wait at the same time, so none waits for another. */
START_TEST(has_a_thread_for_each_device)
{
	static struct device_set set;
	static struct pci_bus pci;
	struct stop stops[DEVICE_SET_MAX];
	struct fake_guest guest;
	eventfd_t n;

	fake_guest_init(&guest);
	pci_bus_init(&pci);
	device_set_init(&set, &pci, NULL, &guest.mem);
	for (unsigned int i = 0; i < DEVICE_SET_MAX; i++) {
		ck_assert_int_eq(device_set_add(&set, "toy", toy_create, NULL),
				 0);
		stop_make(&stops[i], set.devices[i]);
	}
	ck_assert_int_eq(device_set_add(&set, "one more", toy_create, NULL),
			 -ENOSPC);
	ck_assert_int_eq(device_set_start(&set), 0);
	for (unsigned int i = 0; i < DEVICE_SET_MAX; i++)
		ck_assert_int_eq(eventfd_read(stops[i].begun, &n), 0);
	for (unsigned int i = 0; i < DEVICE_SET_MAX; i++)
		eventfd_write(stops[i].go_on, 1);
	device_set_destroy(&set);
	for (unsigned int i = 0; i < DEVICE_SET_MAX; i++)
		stop_free(&stops[i]);
	fake_guest_destroy(&guest);
}
END_TEST

/* --- and nothing on a vCPU's --- */

static struct fake_driver *stuck, *other;

static void setup(void)
{
	stuck = fake_driver_new(toy_create, NULL);
	other = fake_driver_new(toy_create, NULL);
	fake_driver_start(stuck, ~0ULL, 8);
	fake_driver_start(other, ~0ULL, 8);
}

static void teardown(void)
{
	fake_driver_free(stuck);
	fake_driver_free(other);
}

static struct fake_buf room(struct fake_driver *d)
{
	return (struct fake_buf){ fake_alloc(&d->guest, 8, 1), 8, true };
}

/* Any register there is, but for the status. */
static void touch_registers(struct fake_driver *d)
{
	for (unsigned int off = 0; off < PAGE_SIZE; off += 4) {
		fake_in(d, d->common + off, 4);
		fake_in(d, d->device + off, 4);
		fake_in(d, d->table + off, 4);
		fake_in(d, d->pending + off, 4);
		fake_config_in(d, off, 4);
		fake_out(d, d->device + off, ~0ULL, 4);
	}
}

/* With the bell, then by a write that a vCPU has to carry out. */
static void ring_and_move(struct fake_driver *d)
{
	uint32_t bar = fake_config_in(d, 0x10, 4);

	for (unsigned int q = 0; q < TOY_QUEUES; q++)
		fake_driver_kick(d, q);
	d->wiring.bell_error = -EEXIST;
	fake_config_out(d, 0x10, bar + 0x100000, 4);
	fake_config_out(d, 0x10, bar, 4);
	for (unsigned int q = 0; q < TOY_QUEUES; q++)
		fake_driver_kick(d, q);
}

START_TEST(keeps_neither_vcpus_nor_others_waiting)
{
	struct toy *t = toy_of(stuck->dev);
	struct fake_buf in = room(stuck);

	atomic_store(&t->stuck, true);
	fake_queue_add(&stuck->queues[0], &in, 1);
	fake_driver_kick(stuck, 0);
	while (!atomic_load(&t->waits))
		usleep(100);
	touch_registers(stuck);
	ring_and_move(stuck);
	in = room(other);
	for (unsigned int i = 0; i < 100; i++)
		ck_assert_uint_eq(fake_driver_request(other, i % TOY_QUEUES,
						      &in, 1),
				  8);
	/* A reset is not done before it has let go; it can be asked for. */
	fake_out(stuck,
		 stuck->common +
			 offsetof(struct virtio_pci_common_cfg, device_status),
		 0, 1);
	touch_registers(stuck);
	ck_assert(fake_driver_wait_status(stuck, VIRTIO_CONFIG_S_DRIVER_OK,
					  true));
	atomic_store(&t->stuck, false);
	fake_driver_wait_status(stuck, 0xff, false);
}
END_TEST

Suite *device_set_suite(void)
{
	Suite *s = suite_create("device_set");
	TCase *alone = tcase_create("threads"), *tc = tcase_create("vcpus");

	tcase_add_test(alone, has_a_thread_for_each_device);
	suite_add_tcase(s, alone);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, keeps_neither_vcpus_nor_others_waiting);
	suite_add_tcase(s, tc);
	return s;
}
