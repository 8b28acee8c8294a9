/* SPDX-License-Identifier: Apache-2.0 */
/* The layouts are what the reference printed for the same queue. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <stdlib.h>

#include "command/mailq_format.h"

static const char refused[] =
	"connect to 127.0.0.1[127.0.0.1]:26999: Connection refused";
static const char very_long[] =
	"this reason text is longer than seventy-eight columns so that we can "
	"see how it is laid out by the list command";

static const struct mailq_recipient mixed[] = {
	{ "d@nope.test", "d@nope.test", "mail transport unavailable" },
	{ "b@dead.test", "b@dead.test", refused },
	{ "c@dead.test", "c@dead.test", refused },
	{ "Q@ref.test", "Q@ref.test", "not now" },
};
static const struct mailq_recipient odd[] = {
	{ "q r@long.test", "q r@long.test", very_long },
};
static const struct mailq_recipient bytes[] = {
	{ "c@l2.test", "c@l2.test",
	  "a \"quoted\" \\ text\twith odd \x7f\xc3\xa4 bytes" },
	{ "a@long.test", "a@long.test", "" },
	{ "b@long.test", "b@long.test", "" },
};
static const struct mailq_recipient aliased[] = {
	{ "jo@x.test", "team@x.test", "" },
};

static const struct mailq_entry entries[] = {
	{ .queue_name = "deferred",
	  .id = "C2F1CA7639D",
	  .sender = "ann@ref.example.test",
	  .arrival_us = 1795301265000000,
	  .size_bytes = 290,
	  .recipients = mixed,
	  .count = 4,
	  .is_last = true },
	{ .queue_name = "active",
	  .id = "4jX6pN5fKFz1bgpb",
	  .sender = "",
	  .arrival_us = 1795301372000000,
	  .size_bytes = 2602,
	  .recipients = odd,
	  .count = 1,
	  .is_last = true },
	{ .queue_name = "hold",
	  .id = "C1BAEA76468",
	  .sender = "a b@x.test",
	  .arrival_us = 1795301366000000,
	  .size_bytes = 2530,
	  .force_expire = true,
	  .recipients = bytes,
	  .count = 3,
	  .is_last = true },
	{ .queue_name = "incoming",
	  .id = "C1BAEA76469",
	  .sender = "x@y.test",
	  .arrival_us = 1795301366000000,
	  .size_bytes = 10,
	  .recipients = aliased,
	  .count = 1,
	  .is_last = true },
};

static char *print(bool json, bool long_ids, size_t from, size_t to)
{
	struct mailq_format format = { .json = json, .long_ids = long_ids };
	char *text = NULL;
	size_t size;

	setenv("TZ", "UTC", 1);
	format.to = open_memstream(&text, &size);
	assert_non_null(format.to);
	for (size_t i = from; i < to; i++)
		mailq_format_entry(&format, &entries[i]);
	mailq_format_end(&format);
	fclose(format.to);
	return text;
}

static void an_empty_queue_says_so(void **state)
{
	char *text = print(false, false, 0, 0);

	assert_string_equal(text, "Mail queue is empty\n");
	free(text);
	text = print(true, false, 0, 0);
	assert_string_equal(text, "");
	free(text);
}

static void short_ids_have_the_narrow_layout(void **state)
{
	char *text = print(false, false, 0, 1);

	assert_string_equal(
		text,
		"-Queue ID-  --Size-- ----Arrival Time---- "
		"-Sender/Recipient-------\n"
		"C2F1CA7639D     290 Sat Nov 21 22:47:45  "
		"ann@ref.example.test\n"
		"                                                  (mail "
		"transport unavailable)\n"
		"                                         d@nope.test\n"
		"                   (connect to 127.0.0.1[127.0.0.1]:26999: "
		"Connection refused)\n"
		"                                         b@dead.test\n"
		"                                         c@dead.test\n"
		"                                                             "
		"        (not now)\n"
		"                                         Q@ref.test\n"
		"\n"
		"-- 0 Kbytes in 1 Request.\n");
	free(text);
}

static void long_ids_have_the_wide_layout(void **state)
{
	char *text = print(false, true, 1, 3);

	assert_string_equal(
		text,
		"----Queue ID----- --Size-- ---Arrival Time---- "
		"--Sender/Recipient------\n"
		"4jX6pN5fKFz1bgpb*     2602 Sat Nov 21 22:49:32 "
		"MAILER-DAEMON\n"
		"(this reason text is longer than seventy-eight columns so "
		"that we can see how it is laid out by the list command)\n"
		"                                               \"q "
		"r\"@long.test\n"
		"\n"
		"C1BAEA76468!#         2530 Sat Nov 21 22:49:26 \"a "
		"b\"@x.test\n"
		"                                        (a \"quoted\" \\ "
		"text?with odd ?\xc3\xa4 bytes)\n"
		"                                               c@l2.test\n"
		"                                                          "
		"(reason unavailable)\n"
		"                                               a@long.test\n"
		"                                               b@long.test\n"
		"\n"
		"-- 5 Kbytes in 2 Requests.\n");
	free(text);
}

static void json_has_one_object_a_line(void **state)
{
	char *text = print(true, false, 2, 4);

	assert_string_equal(
		text,
		"{\"queue_name\": \"hold\", \"queue_id\": \"C1BAEA76468\", "
		"\"arrival_time\": 1795301366, \"message_size\": 2530, "
		"\"forced_expire\": true, \"sender\": \"\\\"a b\\\"@x.test\", "
		"\"recipients\": [{\"address\": \"c@l2.test\", "
		"\"delay_reason\": \"a \\\"quoted\\\" \\\\ text?with odd "
		"?\xc3\xa4 bytes\"}, {\"address\": \"a@long.test\"}, "
		"{\"address\": \"b@long.test\"}]}\n"
		"{\"queue_name\": \"incoming\", \"queue_id\": "
		"\"C1BAEA76469\", \"arrival_time\": 1795301366, "
		"\"message_size\": 10, \"forced_expire\": false, "
		"\"sender\": \"x@y.test\", \"recipients\": "
		"[{\"orig_address\": \"team@x.test\", \"address\": "
		"\"jo@x.test\"}]}\n");
	free(text);
}

static void an_entry_in_parts_is_one_entry(void **state)
{
	struct mailq_format format = { .json = true };
	struct mailq_entry first = entries[0], second = entries[0];
	char *text = NULL, *whole = print(true, false, 0, 1);
	size_t size;

	first.count = 1;
	first.is_last = false;
	second.goes_on = true;
	second.recipients++;
	second.count = 3;
	format.to = open_memstream(&text, &size);
	mailq_format_entry(&format, &first);
	mailq_format_entry(&format, &second);
	fclose(format.to);
	assert_string_equal(text, whole);
	assert_int_equal(format.messages, 1);
	free(text);
	free(whole);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_queue_says_so),
		cmocka_unit_test(short_ids_have_the_narrow_layout),
		cmocka_unit_test(long_ids_have_the_wide_layout),
		cmocka_unit_test(json_has_one_object_a_line),
		cmocka_unit_test(an_entry_in_parts_is_one_entry),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
