/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every virtio device is, apart from how the guest finds it: status,
 * features, configuration space, queues (virtio 1.2, 2).  virtio_pci.c shows
 * it to the guest; blk.c, net.c, ... say what it does.
 *
 * Two sides.  The guest's registers are written by vCPU threads under `lock`
 * and only stored.  The device itself lives on the thread of its own event
 * loop, and everything in struct virtio_ops is called there: a wake-up takes
 * what has been stored and starts or stops queues.  A reset is done when the
 * device says that nothing of it touches guest memory any more; until then
 * the status reads as not reset, which drivers wait for.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "devices/virtqueue.h"
#include "vmm/base/iothread.h"

#define VIRTIO_MAX_QUEUES 20
#define VIRTIO_MAX_CONFIG 128
#define VIRTIO_NO_VECTOR 0xffff
#define VIRTIO_CONFIG_VECTOR VIRTIO_MAX_QUEUES /* index of its signal */

struct virtio;

struct virtio_ops {
	const char *type; /* "blk" */
	uint16_t id;      /* virtio 1.2, 5 */
	uint8_t pci_class, pci_subclass;

	/*
	 * A queue is ready to be used: the driver is up, d->features are its
	 * choice.  -errno: the device needs a reset.  May be absent.
	 */
	int (*start_queue)(struct virtio *d, unsigned int q);
	/*
	 * The driver rang: there may be requests.  Absent: somebody else
	 * listens to kick_fd (vhost).
	 */
	void (*kick)(struct virtio *d, unsigned int q);
	/*
	 * virtio_signal_fd() of a running queue has changed.  For who gave
	 * that away to a back end; absent otherwise.
	 */
	void (*signal_changed)(struct virtio *d, unsigned int q);
	/*
	 * Stop using a queue and, when no request of it is under way any
	 * more, now or later, call virtio_queue_stopped().  Absent: at once.
	 */
	void (*stop_queue)(struct virtio *d, unsigned int q);
	/* All queues are stopped and the driver starts anew.  May be absent. */
	void (*reset)(struct virtio *d);
	/*
	 * The driver, which has agreed on features, wrote to what of d->config
	 * is writable: look at it under d->lock.  May be absent.
	 */
	void (*config_written)(struct virtio *d);
	/*
	 * Frees the device, on any thread when its own has ended: what was
	 * asked of the host is finished or given up first.
	 */
	void (*destroy)(struct virtio *d);
};

struct virtio_host {      /* what a device is given to live with */
	const char *name; /* for messages; lasts as it does */
	const struct guest_mem *mem;
	struct iothread *thread; /* its own; not yet started */
};

/* Makes a device: each type has such a function and a struct of params. */
typedef int virtio_create(const struct virtio_host *host, const void *params,
			  struct virtio **out);

struct virtio_queue {
	/* The driver's side, under virtio.lock. */
	struct virtq_layout layout;
	uint16_t max_size;
	bool enabled, resetting;
	/* The device's side, its own thread only. */
	struct virtqueue ring;
	bool running, stopping;
	bool handed_over;                 /* somebody else listens to kick_fd */
	unsigned int taken;               /* since the last kick */
	unsigned int looked, more_rounds; /* while we are rung for */
	struct virtio *dev;
	struct event_source kicked;
	atomic_bool rung; /* to be passed on to kick_fd */
	int kick_fd;      /* eventfd: the driver has something */
	int signal_fd;    /* that the device knows of */
};

struct virtio {
	const char *name; /* of the device, for messages */
	const struct virtio_ops *ops;
	const struct guest_mem *mem;
	struct iothread *thread;
	unsigned int nr_queues;
	uint64_t offered; /* features; the transport's are added */

	pthread_mutex_t lock;
	uint8_t status;
	uint64_t features; /* the driver's; fixed from FEATURES_OK on */
	bool resetting;
	bool silent; /* not allowed to touch guest memory */
	uint8_t config[VIRTIO_MAX_CONFIG];
	uint8_t config_writable[VIRTIO_MAX_CONFIG]; /* bits */
	unsigned int config_len;
	uint8_t generation;
	struct virtio_queue queues[VIRTIO_MAX_QUEUES];

	atomic_bool broken; /* NEEDS_RESET: no queue is looked at */
	atomic_bool tell;   /* the driver has yet to be told */
	struct event_source woken;
	int wake_fd;
	bool config_dirty;
	/* Eventfd of each queue's interrupt and the configuration's; -1: none.
	 */
	atomic_int signal_fd[VIRTIO_MAX_QUEUES + 1];
	/*
	 * Of requests that we served; nobody else's are seen.  And bytes of
	 * guest memory: given to be read, headers and all; written.
	 */
	struct virtio_count {
		atomic_ulong requests, bells, interrupts, read, written;
	} count;
};

struct virtio_params {
	const struct virtio_ops *ops;
	unsigned int nr_queues;
	uint16_t queue_size; /* the largest; a power of two */
	uint64_t features;   /* of the device type */
	uint64_t withheld;   /* of the transport's: what its drivers decline */
	const void *config;
	unsigned int config_len;
};

/* Prepares d.  On failure nothing is left behind. */
int virtio_init(struct virtio *d, const struct virtio_host *host,
		const struct virtio_params *p);
/* When its thread has ended.  Twice is fine. */
void virtio_destroy(struct virtio *d);

/* --- for the device, on its thread --- */

/* While a queue runs. */
static inline bool virtio_has(const struct virtio *d, unsigned int feature)
{
	return d->features >> feature & 1;
}

/*
 * Takes the next request of queue q.  False when there is none, or when many
 * were taken at a time: ops->kick is called for the next; or when the driver
 * broke the rules.
 */
bool virtio_take(struct virtio *d, unsigned int q, struct virtq_chain *c);
/* Interrupts the driver for queue q if it wants that: once for a batch. */
void virtio_notify(struct virtio *d, unsigned int q);
/*
 * Last in start_queue(): somebody else listens to kick_fd and takes the
 * requests, until virtio_queue_stopped().  For a device that has a kick().
 */
void virtio_hand_over(struct virtio *d, unsigned int q);
/* Any thread: the eventfd a back end signals for queue q, or -1. */
int virtio_signal_fd(const struct virtio *d, unsigned int q);
void virtio_queue_stopped(struct virtio *d, unsigned int q);
/* The driver broke the rules: nothing more until it resets.  Any thread. */
void virtio_break(struct virtio *d);
/* The same for what is not the driver's doing: why, in words.  Any thread. */
void virtio_lost(struct virtio *d, const char *why);
/* Changes configuration space and tells the driver.  Any thread. */
void virtio_set_config(struct virtio *d, unsigned int off, const void *data,
		       unsigned int len);

/* --- for virtio*.c, any thread --- */

/* Has the device's thread look at what has been stored. */
void virtio_wake(struct virtio *d);
/* Signals the interrupt of queue i, or VIRTIO_CONFIG_VECTOR's. */
void virtio_signal(const struct virtio *d, unsigned int i);

/* --- for the transport, any thread --- */

void virtio_write_status(struct virtio *d, uint8_t status);
uint8_t virtio_read_status(struct virtio *d);
/* 32 bits of the offered features and of the driver's. */
uint32_t virtio_offered(const struct virtio *d, uint32_t select);
uint32_t virtio_features(struct virtio *d, uint32_t select);
void virtio_accept(struct virtio *d, uint32_t select, uint32_t bits);
uint8_t virtio_generation(struct virtio *d);
void virtio_read_config(struct virtio *d, uint64_t off, void *data,
			unsigned int len);
void virtio_write_config(struct virtio *d, uint64_t off, const void *data,
			 unsigned int len);
/* Queue set-up; ignored once the queue is enabled. */
void virtio_set_layout(struct virtio *d, unsigned int q,
		       const struct virtq_layout *layout);
void virtio_enable_queue(struct virtio *d, unsigned int q);
void virtio_reset_queue(struct virtio *d, unsigned int q);
void virtio_kick(struct virtio *d, unsigned int q);
/*
 * May it touch guest memory?  At first it may.  A device in use that may not
 * any more ends its queues and waits for a reset.
 */
void virtio_set_master(struct virtio *d, bool on);
/* The eventfd that interrupts for queue q from now on, or -1: none. */
void virtio_set_signal(struct virtio *d, unsigned int q, int fd);
