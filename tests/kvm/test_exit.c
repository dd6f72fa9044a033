/* SPDX-License-Identifier: Apache-2.0 */
/* Decoding of KVM's exits: good ones, and pages that make no sense. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "suites.h"
#include "support/fake_kvm.h"
#include "vmm/kvm/exit.h"

static struct kvm_run *new_run(uint32_t reason)
{
	struct kvm_run *run = calloc(1, FAKE_RUN_SIZE);

	ck_assert_ptr_nonnull(run);
	run->exit_reason = reason;
	return run;
}

static const struct {
	uint64_t data_offset;
	uint32_t count;
	uint8_t size;
	bool good;
} pio[] = {
	{ PAGE_SIZE, 1, 1, true },
	{ PAGE_SIZE, 1, 2, true },
	{ PAGE_SIZE, 1, 4, true },
	{ PAGE_SIZE, 4096, 1, true },
	{ PAGE_SIZE, 2 * PAGE_SIZE / 4, 4, true },  /* to the last byte */
	{ FAKE_RUN_SIZE - 1, 1, 1, true },          /* the last byte */
	{ PAGE_SIZE, 0, 1, false },                 /* nothing */
	{ PAGE_SIZE, 1, 0, false },                 /* of no size */
	{ PAGE_SIZE, 1, 3, false },                 /* not a size */
	{ PAGE_SIZE, 1, 8, false },                 /* not one of PIO */
	{ PAGE_SIZE, 2 * PAGE_SIZE + 1, 1, false }, /* one too many */
	{ FAKE_RUN_SIZE, 1, 1, false },             /* right behind */
	{ FAKE_RUN_SIZE - 1, 1, 2, false },         /* across the end */
	{ UINT64_MAX, 1, 1, false },                /* would wrap */
	{ UINT64_MAX - 3, 1, 4, false },
	{ PAGE_SIZE, UINT32_MAX, 4, false },
};

START_TEST(pio_stays_inside_of_the_run_area)
{
	struct kvm_run *run = new_run(KVM_EXIT_IO);
	struct vm_exit e;
	int rc;

	run->io.direction = KVM_EXIT_IO_OUT;
	run->io.port = 0x3f8;
	run->io.size = pio[_i].size;
	run->io.count = pio[_i].count;
	run->io.data_offset = pio[_i].data_offset;
	rc = exit_decode(run, FAKE_RUN_SIZE, 0, &e);
	ck_assert_int_eq(rc, pio[_i].good ? 0 : -EPROTO);
	if (!rc) {
		ck_assert_int_eq(e.kind, EXIT_PIO);
		ck_assert(e.write);
		ck_assert_uint_eq(e.addr, 0x3f8);
		ck_assert_uint_eq(e.len, pio[_i].size);
		ck_assert_uint_eq(e.count, pio[_i].count);
		ck_assert_ptr_eq(e.data, (uint8_t *)run + pio[_i].data_offset);
	}
	free(run);
}
END_TEST

START_TEST(mmio_is_one_access_of_1_to_8_bytes)
{
	struct kvm_run *run = new_run(KVM_EXIT_MMIO);
	struct vm_exit e;
	bool good = _i >= 1 && _i <= 8;

	run->mmio.phys_addr = 0xe0000000;
	run->mmio.len = _i < 10 ? (uint32_t)_i : 1u << (_i + 14);
	ck_assert_int_eq(exit_decode(run, FAKE_RUN_SIZE, 0, &e),
			 good ? 0 : -EPROTO);
	if (good) {
		ck_assert_int_eq(e.kind, EXIT_MMIO);
		ck_assert(!e.write);
		ck_assert_uint_eq(e.addr, 0xe0000000);
		ck_assert_uint_eq(e.len, run->mmio.len);
		ck_assert_uint_eq(e.count, 1);
		ck_assert_ptr_eq(e.data, run->mmio.data);
	}
	free(run);
}
END_TEST

/* What is in the page, what KVM_RUN returned, what that means. */
static const struct {
	uint32_t reason;
	uint32_t word; /* the first of the union: type, suberror */
	int run_rc;
	enum exit_kind kind;
	const char *words; /* for those that end a VM by failure */
} exits[] = {
	{ KVM_EXIT_INTR, 0, 0, EXIT_INTERRUPTED, NULL },
	{ KVM_EXIT_IRQ_WINDOW_OPEN, 0, 0, EXIT_INTERRUPTED, NULL },
	{ KVM_EXIT_IO, 0, -EINTR, EXIT_INTERRUPTED, NULL }, /* stale page */
	{ KVM_EXIT_UNKNOWN, 0, -EAGAIN, EXIT_INTERRUPTED, NULL },
	{ KVM_EXIT_SHUTDOWN, 0, 0, EXIT_SHUTDOWN, NULL },
	{ KVM_EXIT_SYSTEM_EVENT, KVM_SYSTEM_EVENT_RESET, 0, EXIT_RESET, NULL },
	{ KVM_EXIT_SYSTEM_EVENT, KVM_SYSTEM_EVENT_SHUTDOWN, 0, EXIT_POWEROFF,
	  NULL },
	{ KVM_EXIT_SYSTEM_EVENT, 77, 0, EXIT_FAILED,
	  "unexpected KVM exit 24 (detail 77)" },
	{ KVM_EXIT_HLT, 0, 0, EXIT_FAILED, "unexpected KVM exit 5" },
	{ 4242, 0, 0, EXIT_FAILED, "unexpected KVM exit 4242" },
	{ KVM_EXIT_INTERNAL_ERROR, 1, 0, EXIT_FAILED,
	  "KVM internal error 1: it cannot emulate an instruction" },
	{ KVM_EXIT_INTERNAL_ERROR, 3, 0, EXIT_FAILED,
	  "KVM internal error 3: an exit while an event" },
	{ KVM_EXIT_INTERNAL_ERROR, 99, 0, EXIT_FAILED,
	  "KVM internal error 99: unknown" },
	{ KVM_EXIT_FAIL_ENTRY, 0x21, 0, EXIT_FAILED,
	  "KVM cannot enter the guest: hardware reason 0x21" },
	{ KVM_EXIT_UNKNOWN, 0, -EFAULT, EXIT_FAILED, "KVM_RUN: Bad address" },
	{ KVM_EXIT_UNKNOWN, 0, -EIO, EXIT_FAILED,
	  "KVM_RUN: Input/output error" },
	/* Only with these two is the page a memory fault's: kernel-doc. */
	{ KVM_EXIT_MEMORY_FAULT, 8, -EFAULT, EXIT_MEMORY_FAULT,
	  "no private memory at 0x1234000: Bad address" },
	{ KVM_EXIT_MEMORY_FAULT, 0, -EFAULT, EXIT_MEMORY_FAULT,
	  "no shared memory at 0x1234000: Bad address" },
	{ KVM_EXIT_MEMORY_FAULT, 8, -EHWPOISON, EXIT_MEMORY_FAULT,
	  "no private memory at 0x1234000: Memory page has hardware error" },
	{ KVM_EXIT_MEMORY_FAULT, 8, -ENOMEM, EXIT_FAILED,
	  "KVM_RUN: Cannot allocate memory" },
	{ KVM_EXIT_MEMORY_FAULT, 8, 0, EXIT_FAILED, "unexpected KVM exit 39" },
};

START_TEST(every_exit_has_a_kind_and_words)
{
	struct kvm_run *run = new_run(exits[_i].reason);
	struct abi_memory_fault fault = { .flags = exits[_i].word,
					  .gpa = 0x1234000,
					  .size = PAGE_SIZE };
	struct vm_exit e;
	char words[160];

	if (exits[_i].reason == KVM_EXIT_MEMORY_FAULT)
		memcpy((uint8_t *)run + ABI_RUN_UNION, &fault, sizeof(fault));
	else
		memcpy((uint8_t *)run + ABI_RUN_UNION, &exits[_i].word, 4);
	ck_assert_int_eq(exit_decode(run, FAKE_RUN_SIZE, exits[_i].run_rc, &e),
			 0);
	ck_assert_int_eq(e.kind, exits[_i].kind);
	exit_describe(&e, words, sizeof(words));
	ck_assert(words[0]);
	if (exits[_i].words)
		ck_assert_msg(!strncmp(words, exits[_i].words,
				       strlen(exits[_i].words)),
			      "%s", words);
	free(run);
}
END_TEST

START_TEST(words_fit_into_what_there_is)
{
	struct vm_exit e = { .kind = EXIT_FAILED,
			     .reason = KVM_EXIT_INTERNAL_ERROR,
			     .detail = 1 };
	char words[8];

	memset(words, 'x', sizeof(words));
	exit_describe(&e, words, 7);
	ck_assert_uint_eq(strlen(words), 6);
	ck_assert_int_eq(words[7], 'x');
}
END_TEST

Suite *exit_suite(void)
{
	Suite *s = suite_create("exit");
	TCase *tc = tcase_create("exit");

	tcase_add_loop_test(tc, pio_stays_inside_of_the_run_area, 0,
			    ARRAY_SIZE(pio));
	tcase_add_loop_test(tc, mmio_is_one_access_of_1_to_8_bytes, 0, 18);
	tcase_add_loop_test(tc, every_exit_has_a_kind_and_words, 0,
			    ARRAY_SIZE(exits));
	tcase_add_test(tc, words_fit_into_what_there_is);
	suite_add_tcase(s, tc);
	return s;
}
