/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of vmm/machine_net.c and of the networks in a configuration. */
#include "vmm/machine_net.h"

#include <stdio.h>
#include <string.h>

#include "suites.h"
#include "vmm/base/err.h"
#include "vmm/base/util.h"
#include "vmm/options.h"

START_TEST(makes_addresses_of_their_own_for_local_use)
{
	enum { N = 2000 };
	static uint8_t mac[N][6];
	unsigned int equal = 0;
	char name[24];

	for (unsigned int i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "%s%u", i % 2 ? "net" : "lan",
			 i / 2);
		machine_make_mac(mac[i], i % 4 < 2 ? "a" : "b", name);
		ck_assert_uint_eq(mac[i][0] & 3, 2);
		for (unsigned int j = 0; j < i; j++)
			equal += !memcmp(mac[i], mac[j], 6);
	}
	ck_assert_uint_eq(equal, 0);
}
END_TEST

START_TEST(makes_the_same_address_at_every_start)
{
	const uint8_t wanted[] = { 0xb2, 0x6d, 0x84, 0x2a, 0x6e, 0xf8 };
	uint8_t mac[6], other[6];

	machine_make_mac(mac, "vm", "net0");
	ck_assert_mem_eq(mac, wanted, 6); /* in the next version too */
	/* Where one name ends and the next begins counts. */
	machine_make_mac(mac, "vmn", "et0");
	machine_make_mac(other, "vm", "net0");
	ck_assert(memcmp(mac, other, 6) != 0);
}
END_TEST

static int parse(const char *network, struct config *config)
{
	char run[] = "run", option[] = "-n", text[200];
	char *argv[] = { run, option, text, NULL };
	struct run_options options;

	snprintf(text, sizeof(text), "%s", network);
	return run_options_parse(3, argv, config, &options);
}

START_TEST(reads_a_network_of_the_command_line)
{
	const uint8_t mac[] = { 0x52, 0x54, 0, 0xAB, 0xcd, 0xef };
	const struct config_net *net;
	struct config config;

	ck_assert_int_eq(parse("tap,ifname=vmtap0,mac=52:54:00:AB:cd:ef,"
			       "queues=4,mtu=9000",
			       &config),
			 0);
	ck_assert_uint_eq(config.nets.count, 1);
	net = config.nets.items[0];
	ck_assert_str_eq(net->name, "net0");
	ck_assert_int_eq(net->mode, CONFIG_NET_TAP);
	ck_assert_str_eq(net->ifname, "vmtap0");
	ck_assert_mem_eq(net->mac, mac, 6);
	ck_assert_uint_eq(net->queues, 4);
	ck_assert_uint_eq(net->mtu, 9000);
	config_destroy(&config);
}
END_TEST

static const struct {
	const char *network, *said;
} refused[] = {
	{ "tab", "not one of tap, user" },
	{ "tap,mac=52:54:00:12:34", "not an Ethernet address" },
	{ "tap,mac=52:54:00:12:34:56:78", "not an Ethernet address" },
	{ "tap,mac=52:54:00:12:34:5", "not an Ethernet address" },
	{ "tap,mac=52:54:00:12:34:g6", "not an Ethernet address" },
	{ "tap,mac=52-54-00-12-34-56", "not an Ethernet address" },
	{ "tap,mac=", "not an Ethernet address" },
	{ "tap,mac=01:00:5e:00:00:01", "no address of one station" },
	{ "tap,mac=00:00:00:00:00:00", "no address of one station" },
	{ "tap,queues=0", "from 1 to 8" },
	{ "tap,queues=9", "from 1 to 8" },
	{ "tap,mtu=65536", "from 0 to 65535" },
	{ "tap,ifname=", "must not be empty" },
	{ "tap,vlan=1", "unknown key" },
};

START_TEST(refuses_a_network_that_is_none)
{
	struct config config;

	ck_assert_int_lt(parse(refused[_i].network, &config), 0);
	ck_assert_msg(strstr(err_text(), refused[_i].said) != NULL, "%s",
		      err_text());
}
END_TEST

/* What does not fit together, said before anything of the host is touched. */
static const struct {
	const char *network, *said;
} wrong[] = {
	{ "tap,socket=/nowhere", "net0: socket is for mode user" },
	{ "user,ifname=tap0", "net0: ifname is for mode tap" },
	{ "user,queues=2", "net0: several queues are for mode tap" },
	{ "tap,mtu=67", "net0: mtu is from 68 to 65535, or 0" },
	{ "user,socket=/nowhere/s", "net0: cannot connect to /nowhere/s: No" },
	{ "tap,ifname=sixteen-letters-", "net0: 'sixteen-letters-': the name" },
};

START_TEST(says_which_network_is_wrong_and_why)
{
	struct device_set set = { 0 };
	struct config config;

	ck_assert_int_eq(parse(wrong[_i].network, &config), 0);
	ck_assert_int_lt(machine_add_nets(&set, &config), 0);
	ck_assert_int_eq(strncmp(err_text(), wrong[_i].said,
				 strlen(wrong[_i].said)),
			 0);
	config_destroy(&config);
}
END_TEST

Suite *machine_net_suite(void)
{
	Suite *s = suite_create("machine_net");
	TCase *tc = tcase_create("machine_net");

	tcase_add_test(tc, makes_addresses_of_their_own_for_local_use);
	tcase_add_test(tc, makes_the_same_address_at_every_start);
	tcase_add_test(tc, reads_a_network_of_the_command_line);
	tcase_add_loop_test(tc, refuses_a_network_that_is_none, 0,
			    ARRAY_SIZE(refused));
	tcase_add_loop_test(tc, says_which_network_is_wrong_and_why, 0,
			    ARRAY_SIZE(wrong));
	suite_add_tcase(s, tc);
	return s;
}
