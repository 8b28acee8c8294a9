/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "mail/address_list.h"
#include "mail/date.h"
#include "mail/dsn.h"
#include "mail/header.h"
#include "mail/message_id.h"
#include "mail/received.h"

static void fields_are_taken_one_by_one(void **state)
{
	TALLOC_CTX *mem = talloc_new(NULL);
	struct span rest = SPAN("From: a@b\r\nTo : c@d,\r\n\te@f\r\n"
				"X-Empty:\nSubject:x\n\nbody: no\n");
	static const struct {
		const char *name, *value, *unfolded;
	} want[] = {
		{ "From", "a@b", "a@b" },
		{ "To", "c@d,\r\n\te@f", "c@d,\te@f" },
		{ "X-Empty", "", "" },
		{ "Subject", "x", "x" },
	};
	struct span block = rest;
	struct header header;

	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		assert_true(header_next(&rest, &header));
		assert_true(span_is(header.name, want[i].name));
		assert_true(span_is(header.value, want[i].value));
		assert_string_equal(header_unfold(mem, header.value),
				    want[i].unfolded);
	}
	assert_false(header_next(&rest, &header));
	assert_true(span_is(rest, "\nbody: no\n"));
	assert_int_equal(header_block_len(block), block.len - rest.len);
	assert_true(header_find(block, "TO", &header));
	assert_false(header_find(block, "body", &header));
	talloc_free(mem);
}

static void what_is_no_header_line_ends_the_block(void **state)
{
	static const struct {
		struct span line;
		size_t name_len;
	} cases[] = {
		{ SPAN("From: x"), 4 },
		{ SPAN("From : x"), 4 },
		{ SPAN("From"), 0 },
		{ SPAN(": x"), 0 },
		{ SPAN(" From: x"), 0 },
		{ SPAN(""), 0 },
		{ SPAN("From jo@x Sat Nov 21 20:00:16"), 0 },
		{ SPAN("Fr\xc3\xa9m: x"), 0 },
		{ SPAN("a\0b: x"), 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(header_name_len(cases[i].line, NULL),
				 cases[i].name_len);
}

static void well_known_fields_have_traits(void **state)
{
	assert_true(header_traits(SPAN_OF("from")) & HEADER_SENDER);
	assert_true(header_traits(SPAN_OF("BCC")) & HEADER_EXTRACT);
	assert_true(header_traits(SPAN_OF("Resent-To")) & HEADER_RESENT);
	assert_true(header_traits(SPAN_OF("Resent-X")) & HEADER_RESENT);
	assert_true(header_traits(SPAN_OF("Content-X")) & HEADER_MIME);
	assert_int_equal(header_traits(SPAN_OF("X-Foo")), 0);
}

static void addresses_are_found_in_lists(void **state)
{
	static const struct {
		const char *text;
		const char *want[4];
	} cases[] = {
		{ "jo@a.test", { "jo@a.test" } },
		{ "Jo Smith <jo@a.test>, ann@b.test",
		  { "jo@a.test", "ann@b.test" } },
		{ "\"Smith, Jo\" <jo@a.test>", { "jo@a.test" } },
		{ "jo@a.test (Jo, Smith), ann", { "jo@a.test", "ann" } },
		{ "team: ann@b.test, bo@c.test;, x@y",
		  { "ann@b.test", "bo@c.test", "x@y" } },
		{ "undisclosed-recipients:;", { NULL } },
		{ "=?utf-8?Q?J=C3=B6?= <jo@a.test>", { "jo@a.test" } },
		{ "<@a,@b:jo@c>", { "jo@c" } },
		{ "\"jo smith\"@a.test", { "jo smith@a.test" } },
		{ "jo @ a.test", { "jo@a.test" } },
		{ "<jo@a.test", { "jo@a.test" } },
		{ "<jo@a.test, ann@b.test", { "jo@a.test", "ann@b.test" } },
		{ ",, a@b ,,c@d,", { "a@b", "c@d" } },
		{ "", { NULL } },
		{ "(only a comment)", { NULL } },
		{ "\"no end <a@b>, c@d", { NULL } },
		{ "jo@a.test,\r\n\tann@b.test", { "jo@a.test", "ann@b.test" } },
		{ "\"Jo\" jo@a.test", { "Jo jo@a.test" } },
		{ "jo@[1.2.3.4], <ann>", { "jo@[1.2.3.4]", "ann" } },
	};
	TALLOC_CTX *mem = talloc_new(NULL);

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct span rest = span_from(cases[i].text);
		struct address_item item;
		size_t n = 0;

		print_message("  %s\n", cases[i].text);
		while (address_list_next(mem, &rest, &item)) {
			assert_true(n < 4 && cases[i].want[n] != NULL);
			assert_true(span_is(item.address, cases[i].want[n]));
			n++;
		}
		assert_true(n == 4 || cases[i].want[n] == NULL);
	}
	talloc_free(mem);
}

static enum rc complete(void *arg, TALLOC_CTX *mem, struct span address,
			struct span *ret_address, struct fault *fault)
{
	if (span_find(address, '@') >= 0)
		return RC_NONE;
	if (span_is(address, "fail"))
		return fault_set(fault, RC_TEMP, "4.3.0", "asked to");
	*ret_address =
		span_from(mem_printf(mem, "%.*s@o.test", SPAN_FMT(address)));
	return RC_OK;
}

static void only_addresses_are_rewritten(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{ "jo@a.test, ann@b.test", "jo@a.test, ann@b.test" },
		{ "jo, ann", "jo@o.test, ann@o.test" },
		{ "Jo <jo> (x),\r\n\tann@b", "Jo <jo@o.test> (x),\r\n\tann@b" },
		{ "team:jo,ann;", "team:jo@o.test,ann@o.test;" },
		{ "\"jo smith\"", "\"jo smith\"@o.test" },
		{ "Jo Smith", "\"Jo Smith\"@o.test" },
		{ "<>", "<>" },
		{ "jo (a comment)", "jo@o.test (a comment)" },
		{ "\"broken", "\"broken" },
	};
	TALLOC_CTX *mem = talloc_new(NULL);
	struct fault fault;
	struct buf out;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		bool changed;

		print_message("  %s\n", cases[i].text);
		buf_init(&out, mem, 1000);
		assert_int_equal(address_list_rewrite(span_from(cases[i].text),
						      complete, NULL, &out,
						      &changed, &fault),
				 RC_OK);
		assert_string_equal(buf_text(&out), cases[i].want);
		assert_int_equal(changed,
				 strcmp(cases[i].text, cases[i].want) != 0);
	}
	buf_init(&out, mem, 1000);
	assert_int_equal(address_list_rewrite(SPAN_OF("jo, fail"), complete,
					      NULL, &out, NULL, &fault),
			 RC_TEMP);
	buf_init(&out, mem, 10);
	assert_int_equal(address_list_rewrite(SPAN_OF("jo, ann"), complete,
					      NULL, &out, NULL, &fault),
			 RC_PERM);
	talloc_free(mem);
}

static void dates_have_the_references_form(void **state)
{
	char out[DATE_MAX_BYTES];

	setenv("TZ", "UTC", 1);
	tzset();
	assert_string_equal(date_rfc5322(out, 1795291216),
			    "Sat, 21 Nov 2026 20:00:16 +0000 (UTC)");
	assert_string_equal(date_rfc5322(out, 1793491216),
			    "Sun, 01 Nov 2026 00:00:16 +0000 (UTC)");
	assert_string_equal(date_short(out, 1793491216), "Sun Nov  1 00:00:16");
	assert_string_equal(date_mbox(out, 1793491216),
			    "Sun Nov  1 00:00:16 2026");
	assert_string_equal(date_log(out, 1793491216), "Nov  1 00:00:16");
	setenv("TZ", "XST-5:30", 1);
	tzset();
	assert_string_equal(date_rfc5322(out, 1795291216),
			    "Sun, 22 Nov 2026 01:30:16 +0530 (XST)");
	setenv("TZ", "NST3:30", 1);
	tzset();
	assert_string_equal(date_rfc5322(out, 1795291216),
			    "Sat, 21 Nov 2026 16:30:16 -0330 (NST)");
	setenv("TZ", "UTC", 1);
	tzset();
}

static void status_codes_are_recognised(void **state)
{
	static const struct {
		const char *text;
		size_t len;
	} cases[] = {
		{ "5.1.1", 5 },	   { "4.7.100 x", 7 }, { "2.0.0\t", 5 },
		{ "3.1.1", 0 },	   { "5.1", 0 },       { "5.1.", 0 },
		{ "5..1", 0 },	   { "5.1.1x", 0 },    { "", 0 },
		{ "5.1.1000", 0 }, { "55.1.1", 0 },    { "5.1.1.1", 0 },
	};
	struct span text = SPAN("5.1.1   no such user");
	char dsn[DSN_MAX_BYTES];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(dsn_len(span_from(cases[i].text)),
				 cases[i].len);
	assert_true(dsn_cut(&text, dsn));
	assert_string_equal(dsn, "5.1.1");
	assert_true(span_is(text, "no such user"));
	dsn_set_class(dsn, 450);
	assert_string_equal(dsn, "4.1.1");
	assert_int_equal(dsn_rc("5.0.0"), RC_PERM);
	assert_int_equal(dsn_rc("4.0.0"), RC_TEMP);
	assert_int_equal(dsn_rc("2.0.0"), RC_OK);
}

static void message_ids_are_made_and_found(void **state)
{
	TALLOC_CTX *mem = talloc_new(NULL);

	assert_string_equal(
		message_id_make(mem, "9858EA91237", "m.test", 1795291216),
		"<20261121200016.9858EA91237@m.test>");
	assert_true(span_is(message_id_of_value(SPAN_OF(" <a@b> ")), "<a@b>"));
	assert_true(span_is(message_id_of_value(SPAN_OF("a@b")), "a@b"));
	talloc_free(mem);
}

/* Forms seen on a live instance of the reference. */
static void received_lines_have_the_references_form(void **state)
{
	static const struct received_tls tls = {
		.protocol = "TLSv1.3",
		.cipher = "TLS_AES_256_GCM_SHA384",
		.used_bits = 256,
		.algorithm_bits = 256,
		.key_exchange = "x25519",
		.server_signature = "RSA-PSS (2048 bits)",
		.server_digest = "SHA256",
	};
	static const struct {
		struct received received;
		const char *want;
	} cases[] = {
		{ { .helo = "client.test",
		    .client_name = "localhost",
		    .client_address = "127.0.0.1",
		    .protocol = "ESMTP",
		    .recipient = "jo@example.test" },
		  "Received: from client.test (localhost [127.0.0.1])\r\n"
		  "\tby mail.test (Postfix) with ESMTP id 9858EA91237\r\n"
		  "\tfor <jo@example.test>; "
		  "Sat, 21 Nov 2026 20:00:16 +0000 (UTC)\r\n" },
		{ { .helo = "x",
		    .client_name = "unknown",
		    .client_address = "::1",
		    .protocol = "ESMTPSA",
		    .sasl_username = "jo(x)",
		    .tls = &tls },
		  "Received: from x (unknown [IPv6:::1])\r\n"
		  "\t(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 "
		  "(256/256 bits)\r\n"
		  "\t key-exchange x25519 server-signature RSA-PSS (2048 bits) "
		  "server-digest SHA256)\r\n"
		  "\t(No client certificate requested)\r\n"
		  "\t(Authenticated sender: jo\\(x\\))\r\n"
		  "\tby mail.test (Postfix) with ESMTPSA id 9858EA91237;\r\n"
		  "\tSat, 21 Nov 2026 20:00:16 +0000 (UTC)\r\n" },
		{ { .protocol = "ESMTPA", .hide_session = true },
		  "Received: by mail.test (Postfix) id 9858EA91237;\r\n"
		  "\tSat, 21 Nov 2026 20:00:16 +0000 (UTC)\r\n" },
		{ { .from = RECEIVED_LOCAL, .uid = 1000 },
		  "Received: by mail.test (Postfix, from userid 1000)\r\n"
		  "\tid 9858EA91237; "
		  "Sat, 21 Nov 2026 20:00:16 +0000 (UTC)\r\n" },
		{ { .from = RECEIVED_INTERNAL },
		  "Received: by mail.test (Postfix)\r\n"
		  "\tid 9858EA91237; "
		  "Sat, 21 Nov 2026 20:00:16 +0000 (UTC)\r\n" },
		{ { .helo = "a\r\nX-Evil: yes",
		    .client_name = "c.test",
		    .client_address = "10.0.0.1",
		    .protocol = "SMTP" },
		  "Received: from a??X-Evil: yes (c.test [10.0.0.1])\r\n"
		  "\tby mail.test (Postfix) with SMTP id 9858EA91237;\r\n"
		  "\tSat, 21 Nov 2026 20:00:16 +0000 (UTC)\r\n" },
	};
	TALLOC_CTX *mem = talloc_new(NULL);

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct received received = cases[i].received;
		struct buf out;

		received.hostname = "mail.test";
		received.mail_name = "Postfix";
		received.queue_id = "9858EA91237";
		received.when = 1795291216;
		buf_init(&out, mem, 2000);
		assert_true(received_format(&received, &out));
		assert_string_equal(buf_text(&out), cases[i].want);
	}
	talloc_free(mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_are_taken_one_by_one),
		cmocka_unit_test(what_is_no_header_line_ends_the_block),
		cmocka_unit_test(well_known_fields_have_traits),
		cmocka_unit_test(addresses_are_found_in_lists),
		cmocka_unit_test(only_addresses_are_rewritten),
		cmocka_unit_test(dates_have_the_references_form),
		cmocka_unit_test(status_codes_are_recognised),
		cmocka_unit_test(message_ids_are_made_and_found),
		cmocka_unit_test(received_lines_have_the_references_form),
	};

	setenv("TZ", "UTC", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
