/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of help, the manual and completion: all keep up with the tables. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "suites.h"
#include "tests/support/temp.h"
#include "vmm/base/err.h"
#include "vmm/commands.h"
#include "vmm/config_key.h"
#include "vmm/status.h"

/* What print() prints; the caller frees it. */
static char *print(void (*print_to)(FILE *out))
{
	char *text;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	ck_assert_ptr_nonnull(f);
	print_to(f);
	ck_assert_int_eq(fclose(f), 0);
	return text;
}

static void expect_in(const char *text, const char *format, const char *what)
{
	char line[200];

	snprintf(line, sizeof(line), format, what);
	ck_assert_msg(strstr(text, line) != NULL, "no '%s'", line);
}

START_TEST(manual_has_every_key_option_and_status)
{
	char *man = print(help_man), status[16];

	for (const struct config_key *key = config_keys; key->name; key++)
		expect_in(man, "\n.It Cm %s No =", key->name);
	for (const struct command *c = commands; c->name; c++) {
		expect_in(man, "\n.Ss cvmm %s\n", c->name);
		for (const struct option *o = c->options; o->name; o++)
			expect_in(man, " Fl Fl %s", o->name);
	}
	for (const struct status_row *row = status_table; row->text; row++) {
		snprintf(status, sizeof(status), "%d", row->status);
		expect_in(man, "\n.It %s\n", status);
	}
	free(man);
}
END_TEST

START_TEST(manual_has_no_key_that_the_table_has_not)
{
	char *man = print(help_man), *at = man;
	size_t count = 0, rows = 0;

	while ((at = strstr(at, "\n.It Cm "))) {
		at++;
		count++;
	}
	while (config_keys[rows].name)
		rows++;
	ck_assert_uint_eq(count, rows);
	free(man);
}
END_TEST

START_TEST(mandoc_finds_nothing_wrong_with_the_manual)
{
	char *man = print(help_man), command[160], *said;
	struct temp temp;

	temp_make(&temp);
	temp_text(&temp, "cvmm.1", man);
	free(man);
	snprintf(command, sizeof(command),
		 "cd %s && { command -v mandoc >path || exit 7; } && "
		 "mandoc -Tlint -Wstyle cvmm.1 >said 2>&1",
		 temp.dir);
	switch (WEXITSTATUS(system(command))) {
	case 7:
		puts("skipped: mandoc is not installed");
		break;
	default:
		said = temp_read(temp_path(&temp, "said"));
		ck_assert_str_eq(said, "");
		free(said);
	}
	temp_remove(&temp);
}
END_TEST

START_TEST(completion_lists_every_key)
{
	char *keys = print(help_keys);

	for (const struct config_key *key = config_keys; key->name; key++)
		expect_in(keys, "%s", key->name);
	ck_assert_ptr_nonnull(
		strstr(keys, "\nvm.cvm none emulated sw snp tdx\n"));
	ck_assert_ptr_nonnull(strstr(keys, "\nvm.cpus\n"));
	free(keys);
}
END_TEST

/* Completes the words after "cvmm" with a cvmm that knows the keys only. */
static void complete(const struct temp *temp, const char *words,
		     const char *wanted)
{
	char script[512], reply[200] = "";
	FILE *f;

	snprintf(script, sizeof(script),
		 "bash -c '. docs/cvmm.bash; compopt() { :; }; "
		 "COMP_WORDS=(%s %s); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); "
		 "_cvmm %s; echo ${COMPREPLY[*]}'",
		 temp_path(temp, "cvmm"), words, temp_path(temp, "cvmm"));
	f = popen(script, "r");
	ck_assert_ptr_nonnull(f);
	ck_assert_ptr_nonnull(fgets(reply, sizeof(reply), f));
	pclose(f);
	reply[strcspn(reply, "\n")] = '\0';
	ck_assert_str_eq(reply, wanted);
}

START_TEST(bash_completes_keys_and_their_values)
{
	char *keys = print(help_keys), stub[160];
	struct temp temp;

	temp_make(&temp);
	snprintf(stub, sizeof(stub), "#!/bin/sh\ncat %s\n",
		 temp_text(&temp, "keys", keys));
	chmod(temp_text(&temp, "cvmm", stub), 0700);
	complete(&temp, "run --set vm.c", "vm.cpus= vm.cvm=");
	complete(&temp, "run --set vm.cvm =", "none emulated sw snp tdx");
	complete(&temp, "run --set vm.cvm = s", "sw snp");
	complete(&temp, "run --set vm.cpus =", "");
	complete(&temp, "run --cvm e", "emulated");
	complete(&temp, "run docs/cvmm.b", "docs/cvmm.bash");
	temp_remove(&temp);
	free(keys);
}
END_TEST

START_TEST(every_command_can_be_found)
{
	for (const struct command *c = commands; c->name; c++)
		ck_assert_ptr_eq(command_find(c->name), c);
	ck_assert_ptr_null(command_find("rnu"));
	ck_assert_str_eq(err_text(),
			 "unknown command 'rnu', did you mean run?");
	ck_assert_ptr_null(command_find(""));
	ck_assert_str_eq(err_text(), "unknown command '', see 'cvmm help'");
}
END_TEST

START_TEST(every_status_has_words)
{
	ck_assert_str_eq(status_text(STATUS_PANIC),
			 "the guest's kernel panicked");
	ck_assert_str_eq(status_text(77), "not a status of cvmm");
}
END_TEST

static int call(int (*command)(int, char **), const char *a, const char *b,
		const char *c)
{
	char *argv[] = { (char *)a, (char *)b, (char *)c, NULL };
	int argc = !a ? 0 : !b ? 1 : !c ? 2 : 3;
	int saved, rc;
	FILE *out = tmpfile();

	/* What it prints is not for the log of the tests. */
	fflush(stdout);
	saved = dup(STDOUT_FILENO);
	ck_assert_int_ge(dup2(fileno(out), STDOUT_FILENO), 0);
	rc = command(argc, argv);
	fflush(stdout);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	/* A command that succeeds has said something. */
	ck_assert(rc || lseek(fileno(out), 0, SEEK_END) > 0);
	fclose(out);
	return rc;
}

START_TEST(help_explains_every_command_and_topic)
{
	for (const struct command *c = commands; c->name; c++)
		ck_assert_int_eq(call(cmd_help, "help", c->name, NULL), 0);
	ck_assert_int_eq(call(cmd_help, "help", NULL, NULL), 0);
	ck_assert_int_eq(call(cmd_help, "help", "keys", NULL), 0);
	ck_assert_int_eq(call(cmd_help, "help", "status", NULL), 0);
	ck_assert_int_eq(call(cmd_help, "help", "--man", NULL), 0);
	ck_assert_int_eq(call(cmd_help, "help", "--commands", NULL), 0);
	ck_assert_int_eq(call(cmd_help, "help", "--keys", NULL), 0);
	ck_assert_int_eq(call(cmd_help, "help", "--options", "run"), 0);
	ck_assert_int_lt(call(cmd_help, "help", "--options", "rum"), 0);
	ck_assert_int_lt(call(cmd_help, "help", "nothing", NULL), 0);
	ck_assert_int_lt(call(cmd_help, "help", "--nothing", NULL), 0);
	ck_assert_int_eq(call(cmd_version, "version", NULL, NULL), 0);
	ck_assert_int_lt(call(cmd_version, "version", "2", NULL), 0);
}
END_TEST

Suite *help_suite(void)
{
	Suite *s = suite_create("help");
	TCase *tc = tcase_create("help");

	tcase_add_test(tc, manual_has_every_key_option_and_status);
	tcase_add_test(tc, manual_has_no_key_that_the_table_has_not);
	tcase_add_test(tc, mandoc_finds_nothing_wrong_with_the_manual);
	tcase_add_test(tc, completion_lists_every_key);
	tcase_add_test(tc, bash_completes_keys_and_their_values);
	tcase_add_test(tc, every_command_can_be_found);
	tcase_add_test(tc, every_status_has_words);
	tcase_add_test(tc, help_explains_every_command_and_topic);
	suite_add_tcase(s, tc);
	return s;
}
