/* SPDX-License-Identifier: Apache-2.0 */
/* What virtio_pci.h declares.  Section numbers are those of virtio 1.2. */
#include "devices/virtio_pci.h"

#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <string.h>

#include "devices/virtio_pci_layout.h"
#include "vmm/base/err.h"

static struct virtio_pci *of(struct pci_device *d)
{
	return container_of(d, struct virtio_pci, pci);
}

/* --- interrupts --- */

/* Which eventfd a queue (or the configuration) signals now. */
static void set_vector(struct virtio_pci *p, unsigned int i, uint16_t vector)
{
	if (vector >= p->msix.nr_vectors)
		vector = VIRTIO_NO_VECTOR;
	p->vectors[i] = vector;
	virtio_set_signal(p->dev, i,
			  vector == VIRTIO_NO_VECTOR
				  ? -1
				  : p->msix.vectors[vector].fd);
}

/* --- bells --- */

static uint64_t bell_at(const struct virtio_pci *p, unsigned int i)
{
	return p->base + BAR_NOTIFY + (uint64_t)i * NOTIFY_STEP;
}

/*
 * Has KVM ring for queue i from now on, if it is in use.  Not before: KVM takes
 * long for each, and firmware and kernels move BARs again and again.
 */
static void hang_bell(struct virtio_pci *p, unsigned int i)
{
	struct virtio_queue *q = &p->dev->queues[i];
	bool enabled;

	pthread_mutex_lock(&p->dev->lock);
	enabled = q->enabled;
	pthread_mutex_unlock(&p->dev->lock);
	if (enabled && !p->bell_on[i] && p->base != PCI_NOWHERE)
		p->bell_on[i] = !p->wiring->bell(p->wiring, bell_at(p, i),
						 q->kick_fd, true);
}

/* --- 4.1.4.3: the common configuration --- */

static void reset_done(struct virtio_pci *p)
{
	for (unsigned int i = 0; i <= VIRTIO_MAX_QUEUES; i++)
		set_vector(p, i, VIRTIO_NO_VECTOR);
	p->queue_select = 0;
	memset(p->feature_select, 0, sizeof(p->feature_select));
	p->resetting = true;
}

static uint32_t read_queue(struct virtio_pci *p, uint64_t off)
{
	const struct virtio_queue *q;
	uint32_t value = 0;

	if (p->queue_select >= p->dev->nr_queues)
		return 0;
	q = &p->dev->queues[p->queue_select];
	pthread_mutex_lock(&p->dev->lock);
	switch (off) {
	case COMMON(queue_size):
		value = q->layout.size;
		break;
	case COMMON(queue_msix_vector):
		value = p->vectors[p->queue_select];
		break;
	case COMMON(queue_enable):
		value = q->enabled;
		break;
	case COMMON(queue_notify_off):
		value = p->queue_select;
		break;
	case COMMON(queue_desc_lo):
		value = (uint32_t)q->layout.desc;
		break;
	case COMMON(queue_desc_hi):
		value = (uint32_t)(q->layout.desc >> 32);
		break;
	case COMMON(queue_avail_lo):
		value = (uint32_t)q->layout.avail;
		break;
	case COMMON(queue_avail_hi):
		value = (uint32_t)(q->layout.avail >> 32);
		break;
	case COMMON(queue_used_lo):
		value = (uint32_t)q->layout.used;
		break;
	case COMMON(queue_used_hi):
		value = (uint32_t)(q->layout.used >> 32);
		break;
	case COMMON_QUEUE_RESET:
		value = q->resetting;
		break;
	}
	pthread_mutex_unlock(&p->dev->lock);
	return value;
}

/* What the driver before has not taken of its interrupts ends with it. */
static uint32_t read_status(struct virtio_pci *p)
{
	uint8_t status = virtio_read_status(p->dev);

	if (p->resetting && !status)
		msix_clear_pending(&p->msix);
	p->resetting = p->resetting && status;
	return status;
}

static uint32_t read_common(struct virtio_pci *p, uint64_t off)
{
	switch (off) {
	case COMMON(device_feature_select):
		return p->feature_select[0];
	case COMMON(device_feature):
		return virtio_offered(p->dev, p->feature_select[0]);
	case COMMON(guest_feature_select):
		return p->feature_select[1];
	case COMMON(guest_feature):
		return virtio_features(p->dev, p->feature_select[1]);
	case COMMON(msix_config):
		return p->vectors[VIRTIO_CONFIG_VECTOR];
	case COMMON(num_queues):
		return p->dev->nr_queues;
	case COMMON(device_status):
		return read_status(p);
	case COMMON(config_generation):
		return virtio_generation(p->dev);
	case COMMON(queue_select):
		return p->queue_select;
	}
	return read_queue(p, off);
}

/* Puts 32 bits into the low or high half of an address. */
static void set_half(gpa_t *addr, bool high, uint32_t value)
{
	unsigned int shift = high ? 32 : 0;

	*addr = (*addr & ~(0xffffffffULL << shift)) | (uint64_t)value << shift;
}

static void write_layout(struct virtio_pci *p, uint64_t off, uint32_t value)
{
	struct virtq_layout l;

	pthread_mutex_lock(&p->dev->lock);
	l = p->dev->queues[p->queue_select].layout;
	pthread_mutex_unlock(&p->dev->lock);
	switch (off) {
	case COMMON(queue_size):
		l.size = (uint16_t)value;
		break;
	case COMMON(queue_desc_lo):
	case COMMON(queue_desc_hi):
		set_half(&l.desc, off == COMMON(queue_desc_hi), value);
		break;
	case COMMON(queue_avail_lo):
	case COMMON(queue_avail_hi):
		set_half(&l.avail, off == COMMON(queue_avail_hi), value);
		break;
	case COMMON(queue_used_lo):
	case COMMON(queue_used_hi):
		set_half(&l.used, off == COMMON(queue_used_hi), value);
		break;
	default:
		return;
	}
	virtio_set_layout(p->dev, p->queue_select, &l);
}

static void write_queue(struct virtio_pci *p, uint64_t off, uint32_t value)
{
	if (p->queue_select >= p->dev->nr_queues)
		return;
	switch (off) {
	case COMMON(queue_msix_vector):
		set_vector(p, p->queue_select, (uint16_t)value);
		break;
	case COMMON(queue_enable):
		if (value == 1) {
			virtio_enable_queue(p->dev, p->queue_select);
			hang_bell(p, p->queue_select);
		}
		break;
	case COMMON_QUEUE_RESET:
		if (value == 1)
			virtio_reset_queue(p->dev, p->queue_select);
		break;
	default:
		write_layout(p, off, value);
		break;
	}
}

static void write_common(struct virtio_pci *p, uint64_t off, uint32_t value)
{
	switch (off) {
	case COMMON(device_feature_select):
		p->feature_select[0] = value;
		break;
	case COMMON(guest_feature_select):
		p->feature_select[1] = value;
		break;
	case COMMON(guest_feature):
		virtio_accept(p->dev, p->feature_select[1], value);
		break;
	case COMMON(msix_config):
		set_vector(p, VIRTIO_CONFIG_VECTOR, (uint16_t)value);
		break;
	case COMMON(device_status):
		virtio_write_status(p->dev, (uint8_t)value);
		if (!(uint8_t)value)
			reset_done(p);
		break;
	case COMMON(queue_select):
		p->queue_select = (uint16_t)value;
		break;
	default:
		write_queue(p, off, value);
		break;
	}
}

/* --- the BAR --- */

static void bar_read(struct pci_device *d, uint64_t off, void *data,
		     unsigned int len)
{
	struct virtio_pci *p = of(d);
	uint64_t in = off % BAR_PART;
	uint32_t value;

	pthread_mutex_lock(&p->lock);
	switch (off - in) {
	case BAR_COMMON:
		/* 4.1.3.1: fields are read whole; 64-bit ones by halves too. */
		value = read_common(p, in);
		memcpy(data, &value, min_of(len, sizeof(value)));
		if (len == 8) {
			value = read_common(p, in + 4);
			memcpy((uint8_t *)data + 4, &value, sizeof(value));
		}
		break;
	case BAR_ISR: /* for INTx only, which there is none of */
		memset(data, 0, len);
		break;
	case BAR_DEVICE:
		virtio_read_config(p->dev, in, data, len);
		break;
	case BAR_MSIX_TABLE:
		msix_table_read(&p->msix, in, data, len);
		break;
	case BAR_MSIX_PENDING:
		msix_pending_read(&p->msix, in, data, len);
		break;
	}
	pthread_mutex_unlock(&p->lock);
}

static void bar_write(struct pci_device *d, uint64_t off, const void *data,
		      unsigned int len)
{
	struct virtio_pci *p = of(d);
	uint64_t in = off % BAR_PART;
	uint32_t value = 0;

	memcpy(&value, data, min_of(len, sizeof(value)));
	pthread_mutex_lock(&p->lock);
	switch (off - in) {
	case BAR_COMMON:
		write_common(p, in, value);
		if (len == 8) {
			memcpy(&value, (const uint8_t *)data + 4,
			       sizeof(value));
			write_common(p, in + 4, value);
		}
		break;
	case BAR_DEVICE:
		virtio_write_config(p->dev, in, data, len);
		break;
	case BAR_NOTIFY: /* only while there is no bell */
		if (in / NOTIFY_STEP < p->dev->nr_queues)
			virtio_kick(p->dev, (unsigned int)(in / NOTIFY_STEP));
		break;
	case BAR_MSIX_TABLE:
		msix_table_write(&p->msix, in, data, len);
		break;
	}
	pthread_mutex_unlock(&p->lock);
}

/* Without its bell a queue is slower, so a refusal does not matter. */
static void bar_moved(struct pci_device *d, uint64_t base)
{
	struct virtio_pci *p = of(d);

	pthread_mutex_lock(&p->lock);
	for (unsigned int i = 0; i < p->dev->nr_queues; i++) {
		if (p->bell_on[i])
			p->wiring->bell(p->wiring, bell_at(p, i),
					p->dev->queues[i].kick_fd, false);
		p->bell_on[i] = false;
	}
	p->base = base;
	for (unsigned int i = 0; i < p->dev->nr_queues; i++)
		hang_bell(p, i);
	pthread_mutex_unlock(&p->lock);
}

/* --- configuration space --- */

/* 4.1.4.9: a window on the BAR for who cannot map it. */
static bool window(struct virtio_pci *p, uint64_t *off, unsigned int *len)
{
	const uint8_t *cap = p->config + CAP_WINDOW;
	unsigned int bar = cap[offsetof(struct virtio_pci_cap, bar)];

	*off = pci_get32(&p->pci,
			 CAP_WINDOW + offsetof(struct virtio_pci_cap, offset));
	*len = pci_get32(&p->pci,
			 CAP_WINDOW + offsetof(struct virtio_pci_cap, length));
	return bar == 0 && (*len == 1 || *len == 2 || *len == 4) &&
	       *off % *len == 0 && *off < BAR_LEN;
}

static void config_reading(struct pci_device *d, unsigned int off,
			   unsigned int len)
{
	struct virtio_pci *p = of(d);
	unsigned int size;
	uint64_t at;

	if (off <= WINDOW_DATA && WINDOW_DATA < off + len &&
	    window(p, &at, &size))
		bar_read(d, at, p->config + WINDOW_DATA, size);
}

/*
 * PCI Local Bus 3.0, 6.2.2: without Bus Master a function writes nothing, not
 * to memory and no interrupt either.  Linux relies on it when it hands over to
 * another kernel (kexec).
 */
static void settle_master(struct virtio_pci *p)
{
	bool on = pci_get16(&p->pci, PCI_COMMAND) & PCI_COMMAND_MASTER;

	pthread_mutex_lock(&p->lock);
	msix_set_control(&p->msix, on ? pci_get16(&p->pci, CAP_MSIX + 2) : 0);
	pthread_mutex_unlock(&p->lock);
	virtio_set_master(p->dev, on);
}

static void config_written(struct pci_device *d, unsigned int off,
			   unsigned int len)
{
	struct virtio_pci *p = of(d);
	unsigned int size;
	uint64_t at;

	if (off < PCI_STATUS || (off >= CAP_MSIX && off < CAP_MSIX + 4))
		settle_master(p);
	if (off <= WINDOW_DATA && WINDOW_DATA < off + len &&
	    window(p, &at, &size))
		bar_write(d, at, p->config + WINDOW_DATA, size);
}

int virtio_pci_init(struct virtio_pci *p, struct virtio *dev,
		    struct pci_bus *pci, struct wiring *wiring)
{
	int rc;

	*p = (struct virtio_pci){
		.dev = dev,
		.wiring = wiring,
		.base = PCI_NOWHERE,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.pci = { .name = dev->name,
			 .len = PCI_CONFIG_LEN,
			 .config = p->config,
			 .writable = p->writable,
			 .reading = config_reading,
			 .written = config_written,
			 .bar_len = BAR_LEN,
			 .bar_read = bar_read,
			 .bar_write = bar_write,
			 .bar_moved = bar_moved },
	};
	rc = msix_init(&p->msix, wiring, dev->nr_queues + 1);
	if (rc)
		return err_in(rc, "%s", dev->name);
	reset_done(p);
	virtio_pci_fill_space(p);
	virtio_set_master(dev, false);
	rc = pci_add(pci, &p->pci);
	if (rc < 0)
		virtio_pci_destroy(p);
	return rc < 0 ? rc : 0;
}

void virtio_pci_destroy(struct virtio_pci *p)
{
	if (!p->dev)
		return;
	bar_moved(&p->pci, PCI_NOWHERE);
	for (unsigned int i = 0; i <= VIRTIO_MAX_QUEUES; i++)
		p->dev->signal_fd[i] = -1;
	msix_destroy(&p->msix);
	p->dev = NULL;
}
