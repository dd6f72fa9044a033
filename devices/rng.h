/* SPDX-License-Identifier: Apache-2.0 */
/* virtio-rng (virtio 1.2, 5.4): the host kernel's random numbers. */
#pragma once

#include "devices/virtio.h"

virtio_create rng_create; /* params: NULL */
