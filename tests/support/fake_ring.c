/* SPDX-License-Identifier: Apache-2.0 */
/* Coalesced port writes of the fake kernel: virt/kvm/coalesced_mmio.c. */
#include "support/fake_kvm.h"

#include <errno.h>
#include <string.h>

/* KVM_COALESCED_MMIO_MAX */
#define RING_LEN ((uint32_t)KVM_COALESCED_MMIO_MAX)

/* kvm_vm_ioctl_register_coalesced_mmio(); the fake has one zone. */
int fake_register_zone(struct fake_kvm *fake,
		       const struct kvm_coalesced_mmio_zone *zone)
{
	if (zone->pio > 1)
		return -EINVAL;
	if (zone->pio && !fake_kvm_cap(fake, KVM_CAP_COALESCED_PIO))
		return -EINVAL; /* before 4.20 this was padding, and MMIO */
	if (fake->vm.zone.size)
		return -ENOSPC;
	fake->vm.zone = *zone;
	return 0;
}

/* coalesced_mmio_write(): one place stays free, to tell full from empty. */
bool fake_post(struct fake_kvm *fake, uint16_t port, uint8_t byte)
{
	struct kvm_coalesced_mmio_ring *ring = fake->vm.ring;
	const struct kvm_coalesced_mmio_zone *zone = &fake->vm.zone;
	uint32_t insert, first;

	if (!zone->pio || port < zone->addr || port - zone->addr >= zone->size)
		return false;
	pthread_mutex_lock(&fake->lock); /* ring_lock */
	insert = __atomic_load_n(&ring->last, __ATOMIC_RELAXED);
	first = __atomic_load_n(&ring->first, __ATOMIC_ACQUIRE);
	if (insert >= RING_LEN || (insert + 1) % RING_LEN == first) {
		pthread_mutex_unlock(&fake->lock);
		return false;
	}
	ring->coalesced_mmio[insert].phys_addr = port;
	ring->coalesced_mmio[insert].len = 1;
	ring->coalesced_mmio[insert].pio = 1;
	ring->coalesced_mmio[insert].data[0] = byte;
	__atomic_store_n(&ring->last, (insert + 1) % RING_LEN,
			 __ATOMIC_RELEASE);
	pthread_mutex_unlock(&fake->lock);
	return true;
}
