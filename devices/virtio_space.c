/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Features and configuration space (virtio 1.2, 2.2 and 2.5) and what that has
 * a say in, of what virtio.h declares.
 */
#include <assert.h>
#include <linux/virtio_config.h>
#include <string.h>

#include "devices/virtio.h"

uint32_t virtio_offered(const struct virtio *d, uint32_t select)
{
	return select < 2 ? (uint32_t)(d->offered >> (32 * select)) : 0;
}

uint32_t virtio_features(struct virtio *d, uint32_t select)
{
	uint32_t bits = 0;

	pthread_mutex_lock(&d->lock);
	if (select < 2)
		bits = (uint32_t)(d->features >> (32 * select));
	pthread_mutex_unlock(&d->lock);
	return bits;
}

void virtio_accept(struct virtio *d, uint32_t select, uint32_t bits)
{
	pthread_mutex_lock(&d->lock);
	if (select < 2 && !(d->status & VIRTIO_CONFIG_S_FEATURES_OK)) {
		d->features &= ~(0xffffffffULL << (32 * select));
		d->features |= (uint64_t)bits << (32 * select);
	}
	pthread_mutex_unlock(&d->lock);
}

uint8_t virtio_generation(struct virtio *d)
{
	uint8_t generation;

	pthread_mutex_lock(&d->lock);
	generation = d->generation;
	pthread_mutex_unlock(&d->lock);
	return generation;
}

void virtio_read_config(struct virtio *d, uint64_t off, void *data,
			unsigned int len)
{
	pthread_mutex_lock(&d->lock);
	if (off <= d->config_len && len <= d->config_len - off)
		memcpy(data, d->config + off, len);
	pthread_mutex_unlock(&d->lock);
}

void virtio_write_config(struct virtio *d, uint64_t off, const void *data,
			 unsigned int len)
{
	const uint8_t *bytes = data;

	pthread_mutex_lock(&d->lock);
	/* 3.1.1: not before the features are agreed upon. */
	if ((d->status & VIRTIO_CONFIG_S_FEATURES_OK) && off <= d->config_len &&
	    len <= d->config_len - off)
		for (unsigned int i = 0; i < len; i++) {
			uint8_t mask = d->config_writable[off + i];
			uint8_t *old = &d->config[off + i];

			*old = (uint8_t)((*old & ~mask) | (bytes[i] & mask));
			d->config_dirty |= mask != 0;
		}
	pthread_mutex_unlock(&d->lock);
	virtio_wake(d);
}

void virtio_set_config(struct virtio *d, unsigned int off, const void *data,
		       unsigned int len)
{
	assert(off <= d->config_len && len <= d->config_len - off);
	pthread_mutex_lock(&d->lock);
	memcpy(d->config + off, data, len);
	d->generation++;
	pthread_mutex_unlock(&d->lock);
	virtio_signal(d, VIRTIO_CONFIG_VECTOR);
}

void virtio_set_master(struct virtio *d, bool on)
{
	pthread_mutex_lock(&d->lock);
	d->silent = !on;
	if (d->silent && (d->status & VIRTIO_CONFIG_S_DRIVER_OK))
		virtio_break(d); /* under the lock: not the next driver's */
	pthread_mutex_unlock(&d->lock);
	virtio_wake(d);
}
