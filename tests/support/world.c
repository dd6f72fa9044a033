/* SPDX-License-Identifier: Apache-2.0 */
/* What world.h declares. */
#include "support/world.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

int world_call(struct world *w, int fd, unsigned long req, void *arg)
{
	return w->sys->ioctl(w->sys, fd, req, arg);
}

int world_number(struct world *w, int fd, unsigned long req, unsigned long n)
{
	return world_call(w, fd, req, (void *)(uintptr_t)n);
}

int world_keep(struct world *w, int fd)
{
	if (fd >= 0)
		w->fds[w->nr_fds++] = fd;
	return fd;
}

int world_vcpu(struct world *w, unsigned long id)
{
	return world_keep(w, world_number(w, w->vm, KVM_CREATE_VCPU, id));
}

int world_split_irqchip(struct world *w, uint64_t pins, uint32_t flags)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_SPLIT_IRQCHIP,
				      .flags = flags,
				      .args = { pins } };

	return world_call(w, w->vm, KVM_ENABLE_CAP, &cap);
}

static int run(struct kvm_sys *sys, const struct world_case *c)
{
	struct world w = { .sys = sys };
	int rc;

	w.kvm = sys->open(sys, "/dev/kvm");
	w.vm = world_number(&w, w.kvm, KVM_CREATE_VM, 0);
	ck_assert_int_ge(w.vm, 0);
	rc = c->run(&w);
	while (w.nr_fds)
		sys->close(sys, w.fds[--w.nr_fds]);
	sys->close(sys, w.vm);
	sys->close(sys, w.kvm);
	return rc;
}

static void check_fake(const struct world_case *c)
{
	struct fake_kvm *fake = malloc(sizeof(*fake));
	int rc;

	ck_assert_ptr_nonnull(fake);
	fake_kvm_init(fake);
	rc = run(&fake->sys, c);
	ck_assert_msg(rc == c->want, "%s: want %d, the fake says %d", c->name,
		      c->want, rc);
	ck_assert_int_eq(fake->open_fds, 0);
	ck_assert_int_eq(fake->maps, 0);
	ck_assert_int_eq(fake->misuse, 0);
	free(fake);
}

static bool have_real_kvm(void)
{
	const int want =
		(int)(GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED);
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC), flags;

	if (fd < 0)
		return false;
	flags = kvm_linux.ioctl(&kvm_linux, fd, KVM_CHECK_EXTENSION,
				(void *)KVM_CAP_GUEST_MEMFD_FLAGS);
	close(fd);
	return flags >= 0 && (flags & want) == want;
}

static void check_real(const struct world_case *c)
{
	int rc;

	if (!have_real_kvm())
		return;
	rc = run(&kvm_linux, c);
	ck_assert_msg(rc == c->want || (c->older && rc == c->older),
		      "%s: want %d, KVM says %d", c->name, c->want, rc);
}

/* A loop test knows a number only: that of a case in all tables. */
static struct {
	const struct world_case *cases;
	unsigned int count;
} tables[4];

static const struct world_case *case_at(unsigned int i)
{
	for (unsigned int t = 0; t < ARRAY_SIZE(tables); t++) {
		if (i < tables[t].count)
			return &tables[t].cases[i];
		i -= tables[t].count;
	}
	ck_abort_msg("no such case");
	return NULL;
}

START_TEST(fake_refuses_what_kvm_refuses)
{
	check_fake(case_at((unsigned int)_i));
}
END_TEST

START_TEST(kvm_refuses_what_the_fake_refuses)
{
	check_real(case_at((unsigned int)_i));
}
END_TEST

void world_add(TCase *tc, const struct world_case *cases, unsigned int count)
{
	unsigned int t = 0, first = 0;

	while (tables[t].count)
		first += tables[t++].count;
	tables[t].cases = cases;
	tables[t].count = count;
	tcase_add_loop_test(tc, fake_refuses_what_kvm_refuses, (int)first,
			    (int)(first + count));
	tcase_add_loop_test(tc, kvm_refuses_what_the_fake_refuses, (int)first,
			    (int)(first + count));
}
