/* SPDX-License-Identifier: Apache-2.0 */
/* cvmm probe on hosts of several kinds, and the technologies' own words. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "suites.h"
#include "support/fake_kvm.h"
#include "support/fault_kvm.h"
#include "vmm/base/err.h"
#include "vmm/cvm/cvm.h"
#include "vmm/probe.h"

static struct fake_kvm fake;
static struct probe probe;

static int make_hypercall(struct fake_kvm *f, unsigned int id, unsigned int n,
			  struct kvm_run *run)
{
	(void)id;
	return n ? fake_exit(run, KVM_EXIT_SHUTDOWN)
		 : fake_exit_hypercall(f, run);
}

static int make_none(struct fake_kvm *f, unsigned int id, unsigned int n,
		     struct kvm_run *run)
{
	(void)f;
	(void)id;
	return n < 3 ? -EINTR : fake_exit(run, KVM_EXIT_SHUTDOWN);
}

/* As on kvm_pvm: the instruction is tried again and again. */
static int spin(struct fake_kvm *f, unsigned int id, unsigned int n,
		struct kvm_run *run)
{
	(void)f;
	(void)id;
	(void)n;
	while (!__atomic_load_n(&run->immediate_exit, __ATOMIC_SEQ_CST))
		;
	return -EINTR;
}

static int (*const without_hypercall[])(struct fake_kvm *f, unsigned int id,
					unsigned int n,
					struct kvm_run *run) = { make_none,
								 spin };

static void setup(void)
{
	fake_kvm_init(&fake);
	fake.run = make_hypercall;
}

static void teardown(void)
{
	ck_assert_int_eq(fake.open_fds, 0);
	ck_assert_int_eq(fake.maps, 0);
	ck_assert_int_eq(fake.misuse, 0);
}

static const struct probe_type *type(const char *name)
{
	for (unsigned int i = 0; i < probe.nr_types; i++)
		if (!strcmp(probe.types[i].name, name))
			return &probe.types[i];
	ck_abort_msg("no type %s", name);
	return NULL;
}

/* What is printed; the caller frees it. */
static char *printed(void (*print)(const struct probe *, FILE *))
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	print(&probe, f);
	fclose(f);
	return text;
}

START_TEST(ordinary_host_runs_none_only)
{
	probe_gather(&probe, &fake.sys);
	ck_assert(probe.kvm && probe_usable(&probe));
	ck_assert(type("none")->available && type("none")->launchable);
	ck_assert_str_eq(type("none")->reason, "");
	ck_assert_uint_eq(type("none")->memfd_flags, 3);
	ck_assert_uint_eq(type("none")->attributes, 0);
	ck_assert(!type("sw")->available);
	ck_assert_ptr_nonnull(
		strstr(type("sw")->reason, "CONFIG_KVM_SW_PROTECTED_VM"));
	ck_assert_int_eq(probe.max_vcpus, 1024);
	ck_assert_int_eq(probe.nr_memslots, 32764);
	ck_assert_int_eq(probe.tsc_deadline, 1);
}
END_TEST

START_TEST(flags_are_those_of_a_vm_of_the_type)
{
	fake_kvm_set_cap(&fake, KVM_CAP_VM_TYPES, 3);
	probe_gather(&probe, &fake.sys);
	ck_assert(type("sw")->available && type("sw")->launchable);
	ck_assert(type("emulated")->available && type("emulated")->launchable);
	ck_assert_uint_eq(type("sw")->memfd_flags, GUEST_MEMFD_FLAG_MMAP);
	ck_assert_uint_eq(type("sw")->attributes, KVM_MEMORY_ATTRIBUTE_PRIVATE);
}
END_TEST

/* The capability is there, and the hypercall still does not arrive. */
START_TEST(emulated_needs_hypercalls_that_arrive)
{
	probe_gather(&probe, &fake.sys);
	ck_assert(type("emulated")->available);
	fake.run = without_hypercall[_i];
	probe_gather(&probe, &fake.sys);
	ck_assert(!type("emulated")->available);
	ck_assert_str_eq(type("emulated")->reason,
			 "a guest's VMMCALL does not get to user space, "
			 "although KVM_CAP_EXIT_HYPERCALL is there: needs "
			 "kvm_amd or kvm_intel");
	fake_kvm_set_cap(&fake, KVM_CAP_EXIT_HYPERCALL, 0);
	probe_gather(&probe, &fake.sys);
	ck_assert_ptr_nonnull(
		strstr(type("emulated")->reason, "KVM_CAP_EXIT_HYPERCALL"));
}
END_TEST

START_TEST(type_that_cannot_be_created_is_not_available)
{
	struct fault_kvm fault;
	unsigned int n = 1;

	/* Find the first KVM_CREATE_VM: that of `none`. */
	for (;; n++) {
		fault_kvm_init(&fault, &fake.sys, n, -EBUSY);
		probe_gather(&probe, &fault.sys);
		if (fault.failed_req == KVM_CREATE_VM)
			break;
	}
	ck_assert(!probe_usable(&probe));
	ck_assert_str_eq(type("none")->reason,
			 "KVM_CREATE_VM: Device or resource busy");
}
END_TEST

START_TEST(no_failure_of_a_call_leaves_anything)
{
	for (unsigned int n = 1;; n++) {
		struct fault_kvm fault;

		fault_kvm_init(&fault, &fake.sys, n, -ENOMEM);
		probe_gather(&probe, &fault.sys);
		ck_assert_int_eq(fake.open_fds, 0);
		for (unsigned int i = 0; i < probe.nr_types; i++)
			ck_assert(probe.types[i].launchable ||
				  probe.types[i].reason[0]);
		if (fault.calls < n)
			return;
	}
}
END_TEST

START_TEST(host_without_kvm_says_what_to_do)
{
	char *text;

	fake.open_error = _i ? -EACCES : -ENOENT;
	probe_gather(&probe, &fake.sys);
	ck_assert(!probe.kvm && !probe_usable(&probe));
	text = printed(probe_print);
	ck_assert_ptr_nonnull(strstr(text, _i ? "permission denied: join"
					      : "load kvm-intel or kvm-amd"));
	ck_assert_ptr_nonnull(strstr(text, "  none      no"));
	free(text);
}
END_TEST

/* A file that somebody has put there. */
START_TEST(what_is_not_kvm_is_called_so)
{
	struct fault_kvm fault;

	fault_kvm_init(&fault, &fake.sys, 2, -ENOTTY); /* 1 opens it */
	probe_gather(&probe, &fault.sys);
	ck_assert(!probe.kvm && !probe_usable(&probe));
	ck_assert_ptr_nonnull(strstr(probe.types[0].reason,
				     "/dev/kvm is something else than KVM"));
}
END_TEST

START_TEST(every_type_is_printed_with_its_words)
{
	char *text;

	probe_gather(&probe, &fake.sys);
	text = printed(probe_print);
	for (unsigned int i = 0; cvm_at(i); i++) {
		const struct probe_type *t = type(cvm_name(i));

		ck_assert_ptr_nonnull(strstr(text, t->name));
		ck_assert_ptr_nonnull(
			strstr(text, t->launchable ? t->help : t->reason));
	}
	free(text);
}
END_TEST

/* Well-formed JSON is what tests/scripts/probe.sh sees to. */
START_TEST(json_escapes_what_it_must)
{
	char *text;

	probe_gather(&probe, &fake.sys);
	snprintf(probe.kernel, sizeof(probe.kernel), "a\"b\\c\nd\x7f\xc3");
	text = printed(probe_print_json);
	ck_assert_ptr_nonnull(
		strstr(text,
		       "\"kernel\": \"a\\\"b\\\\c\\u000ad\\u007f\\u00c3\","));
	ck_assert_ptr_nonnull(strstr(text, "\"reason\": null"));
	ck_assert_ptr_nonnull(strstr(text, "[\"mmap\", \"init_shared\"]"));
	free(text);
}
END_TEST

START_TEST(technologies_are_found_by_name)
{
	for (unsigned int i = 0; cvm_at(i); i++) {
		ck_assert_ptr_eq(cvm_find(cvm_name(i)), cvm_at(i));
		ck_assert_ptr_nonnull(cvm_at(i)->probe);
		ck_assert(cvm_at(i)->help[0]);
	}
	ck_assert_ptr_null(cvm_find("sgx"));
	ck_assert_ptr_null(cvm_find(""));
	ck_assert_ptr_null(cvm_name(100));
	ck_assert_str_eq(cvm_name(0), "none");
}
END_TEST

START_TEST(host_questions_have_answers)
{
	/* Every x86-64 CPU has these; no kernel was built with that. */
	ck_assert(cvm_cpu_has("sse2"));
	ck_assert(!cvm_cpu_has("sse2x"));
	ck_assert(!cvm_cpu_has("se2"));
	ck_assert_int_eq(cvm_module_parameter("no/such/file"), 0);
	ck_assert(cvm_kernel_config("CONFIG_NO_SUCH_THING") == 'n' ||
		  cvm_kernel_config("CONFIG_NO_SUCH_THING") == 0);
	ck_assert(cvm_kernel_config("CONFIG_X86_64") == 'y' ||
		  cvm_kernel_config("CONFIG_X86_64") == 0);
}
END_TEST

Suite *probe_suite(void)
{
	Suite *s = suite_create("probe");
	TCase *tc = tcase_create("probe");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, ordinary_host_runs_none_only);
	tcase_add_test(tc, flags_are_those_of_a_vm_of_the_type);
	tcase_add_loop_test(tc, emulated_needs_hypercalls_that_arrive, 0,
			    ARRAY_SIZE(without_hypercall));
	tcase_add_test(tc, type_that_cannot_be_created_is_not_available);
	tcase_add_test(tc, no_failure_of_a_call_leaves_anything);
	tcase_add_loop_test(tc, host_without_kvm_says_what_to_do, 0, 2);
	tcase_add_test(tc, what_is_not_kvm_is_called_so);
	tcase_add_test(tc, every_type_is_printed_with_its_words);
	tcase_add_test(tc, json_escapes_what_it_must);
	tcase_add_test(tc, technologies_are_found_by_name);
	tcase_add_test(tc, host_questions_have_answers);
	suite_add_tcase(s, tc);
	return s;
}
