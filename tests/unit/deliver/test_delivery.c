/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/clock.h"
#include "world.h"

static const char *const one_recipient[] = {"jo@example.test", NULL};

static const struct world_message message = {
    .sender = "ann@client.test",
    .recipients = one_recipient,
    .text = "Subject: x\r\n\r\nbody\r\n",
    .transport = "smtp",
    .nexthop = "example.test",
};

static void delays_have_two_significant_digits(void **state)
{
	static const struct {
		int64_t delay_us;
		int digits;
		const char *want;
	} cases[] = {
	    {0, 2, "0"},	   {-5, 2, "0"},
	    {4999, 2, "0"},	   {5000, 2, "0.01"},
	    {14999, 2, "0.01"},	   {60000, 2, "0.06"},
	    {100000, 2, "0.1"},	   {123456, 2, "0.12"},
	    {996000, 2, "1"},	   {1000000, 2, "1"},
	    {1230000, 2, "1.2"},   {9940000, 2, "9.9"},
	    {9960000, 2, "10"},	   {12600000, 2, "13"},
	    {100400000, 2, "100"}, {86400000000, 2, "86400"},
	    {1234, 3, "0.001"},	   {1234, 6, "0.0012"},
	    {1234567, 0, "1"},	   {60000, 0, "0"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char text[24];

		print_message("  %lld us, %d digits\n",
			      (long long)cases[i].delay_us, cases[i].digits);
		delivery_delay_format(text, sizeof(text), cases[i].delay_us,
				      cases[i].digits);
		assert_string_equal(text, cases[i].want);
	}
}

static void the_line_has_the_reference_form(void **state)
{
	const struct outcome sent = {.action = DELIVERY_SENT,
				     .dsn = "2.0.0",
				     .text = "250 2.0.0 Ok",
				     .relay = "mx.a.test[192.0.2.1]:25",
				     .tls = "may:none"};
	const struct outcome again = {.action = DELIVERY_SENT,
				      .dsn = "2.0.0",
				      .text = "250 ok",
				      .relay = "mx.a.test[192.0.2.1]:25",
				      .conn_use = 2};
	const struct outcome bounced = {
	    .action = DELIVERY_BOUNCED, .dsn = "4.1.1", .text = "no such user"};
	const struct {
		const char *why;
		const struct outcome *outcome;
		const char *original, *want;
	} cases[] = {
	    {"sent with tls", &sent, "jo@example.test",
	     "8A4C5A90524: to=<jo@example.test>, "
	     "relay=mx.a.test[192.0.2.1]:25, delay=0, delays=0/0/0/0, "
	     "tls=may:none, dsn=2.0.0, status=sent (250 2.0.0 Ok)\n"},
	    {"a connection used again", &again, "jo@example.test",
	     "8A4C5A90524: to=<jo@example.test>, "
	     "relay=mx.a.test[192.0.2.1]:25, conn_use=2, delay=0, "
	     "delays=0/0/0/0, dsn=2.0.0, status=sent (250 ok)\n"},
	    {"another original recipient; the class follows", &bounced,
	     "Team@example.test",
	     "8A4C5A90524: to=<jo@example.test>, "
	     "orig_to=<Team@example.test>, relay=none, delay=0, "
	     "delays=0/0/0/0, dsn=5.1.1, status=bounced (no such user)\n"},
	    {"no original recipient", &bounced, "",
	     "8A4C5A90524: to=<jo@example.test>, relay=none, delay=0, "
	     "delays=0/0/0/0, dsn=5.1.1, status=bounced (no such user)\n"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct world *w = world_new();
		struct delivery *d;
		char *line;

		print_message("  %s\n", cases[i].why);
		world_configure(w, NULL);
		d = world_delivery(w, &message);
		d->request->recipients[0].original = cases[i].original;
		delivery_settle(d, 0, cases[i].outcome);
		line = strstr(world_log(w), "]: ");
		assert_non_null(line);
		assert_string_equal(line + 3, cases[i].want);
		assert_int_equal(d->open_count, 0);
		assert_int_equal(d->statuses[0].action,
				 cases[i].outcome->action);
		talloc_free(d);
		world_free(w);
	}
}

static void the_parts_of_the_delay_add_up(void **state)
{
	const struct outcome sent = {
	    .action = DELIVERY_SENT, .dsn = "2.0.0", .text = "ok"};
	struct world_message old = message;
	struct world *w = world_new();
	struct delivery *d;

	world_configure(w, NULL);
	old.age_us = 20 * 1000000;
	d = world_delivery(w, &old);
	d->request->active_us = clock_wall_us() - 12 * 1000000;
	d->handoff_us = clock_wall_us() - 8 * 1000000;
	d->connected_us = clock_wall_us() - 5 * 1000000;
	delivery_settle(d, 0, &sent);
	assert_non_null(strstr(world_log(w), "delay=20, delays=8/4/3/5, "));
	talloc_free(d);
	world_free(w);
}

static void soft_bounce_lets_it_wait(void **state)
{
	static const char *const soft[] = {"soft_bounce=yes", NULL};
	const struct outcome bounced = {
	    .action = DELIVERY_BOUNCED, .dsn = "5.1.1", .text = "no such user"};
	struct world *w = world_new();
	struct delivery *d;

	world_configure(w, soft);
	d = world_delivery(w, &message);
	delivery_settle(d, 0, &bounced);
	assert_int_equal(d->statuses[0].action, DELIVERY_DEFERRED);
	assert_string_equal(d->statuses[0].dsn, "4.1.1");
	assert_non_null(strstr(world_log(w),
			       "dsn=4.1.1, status=SOFTBOUNCE (no such user)"));
	talloc_free(d);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(delays_have_two_significant_digits),
	    cmocka_unit_test(the_line_has_the_reference_form),
	    cmocka_unit_test(the_parts_of_the_delay_add_up),
	    cmocka_unit_test(soft_bounce_lets_it_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
