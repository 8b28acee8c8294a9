/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Notices, compared with what the reference writes for the same message. Its
 * text for people is its own; all else is the same.
 */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <stdlib.h>
#include <unistd.h>

#include "report/notice.h"

struct world {
	char directory[64];
	struct conf *conf;
	struct template_set *templates;
	struct envelope *env;
	struct buf out;
};

static struct world *world_new(const char *main_cf)
{
	struct world *world = mem_new(NULL, struct world);
	struct conf_source source = { 0 };
	char path[128];
	struct fault fault;
	FILE *file;

	setenv("TZ", "UTC", 1);
	snprintf(world->directory, sizeof(world->directory),
		 "/tmp/test_notice.XXXXXX");
	assert_non_null(mkdtemp(world->directory));
	snprintf(path, sizeof(path), "%s/main.cf", world->directory);
	file = fopen(path, "w");
	assert_non_null(file);
	fprintf(file, "myhostname = ref.example.test\n%s\n", main_cf);
	fclose(file);
	source.config_directory = world->directory;
	if (conf_load(&source, &world->conf, &fault) != RC_OK ||
	    template_load(world, "", &world->templates, &fault) != RC_OK)
		fail_msg("%s", fault.text);
	unlink(path);
	rmdir(world->directory);
	world->env = envelope_new(world);
	world->env->sender = "ann@ref.example.test";
	world->env->arrival_us = 1795301328ull * 1000000;
	buf_init(&world->out, world, 1 << 20);
	return world;
}

static void world_free(struct world *world)
{
	conf_unref(world->conf);
	talloc_free(world);
}

static bool add_line(void *arg, struct span line)
{
	struct world *world = arg;

	return buf_add(&world->out, line) && buf_add_char(&world->out, '\n');
}

static const char *compose(struct world *world, struct notice *notice)
{
	notice->queue_id = "B52F8A765B4";
	notice->env = world->env;
	notice->now = 1795301328;
	notice->conf = world->conf;
	notice->template = &world->templates->by_kind[notice->kind];
	if (notice->to == NULL)
		notice->to = world->env->sender;
	buf_clear(&world->out);
	notice_write_front(notice, add_line, world);
	add_line(world, span_from("(the message)"));
	notice_write_back(notice, add_line, world);
	return buf_text(&world->out);
}

static const char long_reason[] =
	"host 127.0.0.1[127.0.0.1] said: 550-5.7.1 this is a somewhat long "
	"multi line reply number one of several lines 550 5.7.1 go away "
	"please, no mail for <a@err.test> here (in reply to RCPT TO command)";
static const char long_reply[] =
	"550-5.7.1 this is a somewhat long multi line reply number one of "
	"several lines 550 5.7.1 go away please, no mail for <a@err.test> here";

static void a_failure_is_reported_as_the_reference_does(void **state)
{
	struct world *world = world_new("");
	const struct delivery_status status = {
		.action = DELIVERY_BOUNCED,
		.dsn = "5.7.1",
		.dsn_action = "failed",
		.reason = long_reason,
		.remote_mta = "127.0.0.1",
		.diag_type = "smtp",
		.diag_text = long_reply,
	};
	struct notice notice = { .kind = NOTICE_FAILURE,
				 .statuses = &status,
				 .count = 1 };
	const char *text, *people;
	static const char head[] =
		"Date: Sat, 21 Nov 2026 22:48:48 +0000 (UTC)\n"
		"From: Mail Delivery System <MAILER-DAEMON@ref.example.test>\n"
		"Subject: Undelivered Mail Returned to Sender\n"
		"To: ann@ref.example.test\n"
		"Auto-Submitted: auto-replied\n"
		"MIME-Version: 1.0\n"
		"Content-Type: multipart/report; report-type=delivery-status;\n"
		"\tboundary=\"B52F8A765B4.1795301328/ref.example.test\"\n"
		"Content-Transfer-Encoding: 8bit\n"
		"\n"
		"This is a MIME-encapsulated message.\n"
		"\n"
		"--B52F8A765B4.1795301328/ref.example.test\n"
		"Content-Description: Notification\n"
		"Content-Type: text/plain; charset=utf-8\n"
		"Content-Transfer-Encoding: 8bit\n"
		"\n"
		"This is the mail system at host ref.example.test.\n";
	static const char rest[] =
		"                   The mail system\n"
		"\n"
		"<a@err.test>: host 127.0.0.1[127.0.0.1] said: 550-5.7.1 this "
		"is a somewhat long\n"
		"    multi line reply number one of several lines 550 5.7.1 go "
		"away please, no\n"
		"    mail for <a@err.test> here (in reply to RCPT TO "
		"command)\n"
		"\n"
		"--B52F8A765B4.1795301328/ref.example.test\n"
		"Content-Description: Delivery report\n"
		"Content-Type: message/delivery-status\n"
		"\n"
		"Reporting-MTA: dns; ref.example.test\n"
		"X-Postfix-Queue-ID: B52F8A765B4\n"
		"X-Postfix-Sender: rfc822; ann@ref.example.test\n"
		"Arrival-Date: Sat, 21 Nov 2026 22:48:48 +0000 (UTC)\n"
		"\n"
		"Final-Recipient: rfc822; a@err.test\n"
		"Original-Recipient: rfc822;a@err.test\n"
		"Action: failed\n"
		"Status: 5.7.1\n"
		"Remote-MTA: dns; 127.0.0.1\n"
		"Diagnostic-Code: smtp; 550-5.7.1 this is a somewhat long "
		"multi line reply\n"
		"    number one of several lines 550 5.7.1 go away please, no "
		"mail for\n"
		"    <a@err.test> here\n"
		"\n"
		"--B52F8A765B4.1795301328/ref.example.test\n"
		"Content-Description: Undelivered Message\n"
		"Content-Type: message/rfc822\n"
		"Content-Transfer-Encoding: 8bit\n"
		"\n"
		"Return-Path: <ann@ref.example.test>\n"
		"(the message)\n"
		"\n"
		"--B52F8A765B4.1795301328/ref.example.test--\n";

	envelope_add_recipient(world->env, SPAN_OF("a@err.test"));
	text = compose(world, &notice);
	assert_memory_equal(text, head, sizeof(head) - 1);
	people = strstr(text, "                   The mail system");
	assert_non_null(people);
	assert_string_equal(people, rest);
	world_free(world);
}

static const struct {
	const char *why;
	enum notice_kind kind;
	bool to_postmaster, header_only;
	const char *sender, *original, *orcpt, *envid, *message_id;
	const char *dsn_action;
	uint32_t flags;
	const char *want;  /* must be in it */
	const char *never; /* must not */
} known_cases[] = {
	{ .why = "no remote host",
	  .want = "\nDiagnostic-Code: X-Postfix; unknown user: "
		  "\"jo\"\n",
	  .never = "Remote-MTA" },
	{ .why = "ORCPT wins",
	  .orcpt = "rfc822;first@orig.test",
	  .want = "\nOriginal-Recipient: rfc822;first@orig.test\n" },
	{ .why = "expanded, in words",
	  .original = "team@x.test",
	  .want = "(expanded from <team@x.test>): unknown" },
	{ .why = "original of an alias",
	  .original = "team@x.test",
	  .want = "\nOriginal-Recipient: rfc822;team@x.test\n" },
	{ .why = "envelope id",
	  .envid = "QQ314159",
	  .want = "\nOriginal-Envelope-Id: QQ314159\n" },
	{ .why = "an envelope id cannot add fields",
	  .envid = "x\nAction: delivered",
	  .want = "\nOriginal-Envelope-Id: x?Action: delivered\n" },
	{ .why = "delay",
	  .kind = NOTICE_DELAY,
	  .header_only = true,
	  .want = "\nAction: delayed\n" },
	{ .why = "delay: until",
	  .kind = NOTICE_DELAY,
	  .header_only = true,
	  .want = "\nWill-Retry-Until: Thu, 26 Nov 2026 22:48:48 "
		  "+0000 (UTC)\n" },
	{ .why = "delay: text",
	  .kind = NOTICE_DELAY,
	  .header_only = true,
	  .want = "more than 4 hour(s)" },
	{ .why = "success: relayed",
	  .kind = NOTICE_SUCCESS,
	  .header_only = true,
	  .dsn_action = "relayed",
	  .want = "\nAction: relayed\n" },
	{ .why = "success: header",
	  .kind = NOTICE_SUCCESS,
	  .header_only = true,
	  .want = "\nContent-Description: Message Headers\n"
		  "Content-Type: text/rfc822-headers\n" },
	{ .why = "header only",
	  .header_only = true,
	  .want = "\nContent-Description: Undelivered Message "
		  "Headers\nContent-Type: text/rfc822-headers\n" },
	{ .why = "postmaster: subject",
	  .to_postmaster = true,
	  .want = "\nSubject: Postmaster Copy: Undelivered Mail\n",
	  .never = "The mail system" },
	{ .why = "postmaster: made by a program",
	  .to_postmaster = true,
	  .want = "\nAuto-Submitted: auto-generated\n" },
	{ .why = "null sender",
	  .sender = "",
	  .to_postmaster = true,
	  .want = "\nX-Postfix-Sender: rfc822; "
		  "MAILER-DAEMON@ref.example.test\n" },
	{ .why = "thread",
	  .message_id = "<m1@x.test>",
	  .want = "\nReferences: <m1@x.test>\nIn-Reply-To: "
		  "<m1@x.test>\n" },
	{ .why = "SMTPUTF8",
	  .flags = ENVELOPE_SMTPUTF8,
	  .original = "\xc3\xa4@x.test",
	  .want = "\nOriginal-Recipient: utf-8;\xc3\xa4@x.test\n" },
	{ .why = "SMTPUTF8 report",
	  .flags = ENVELOPE_SMTPUTF8,
	  .want = "\nContent-Type: message/global-delivery-status\n" },
	{ .why = "SMTPUTF8 message",
	  .flags = ENVELOPE_SMTPUTF8,
	  .want = "\nContent-Type: message/global\n" },
};

static void fields_say_what_is_known(void **state)
{
	static const struct delivery_status plain = {
		.action = DELIVERY_BOUNCED,
		.dsn = "5.1.1",
		.reason = "unknown user: \"jo\"",
	};
	for (size_t i = 0; i < ARRAY_LEN(known_cases); i++) {
		struct world *world = world_new("delay_warning_time = 4h");
		struct delivery_status status = plain;
		struct notice notice = {
			.kind = known_cases[i].kind,
			.to_postmaster = known_cases[i].to_postmaster,
			.header_only = known_cases[i].header_only,
			.message_id = known_cases[i].message_id,
			.statuses = &status,
			.count = 1,
			.to = "ann@ref.example.test",
		};
		struct recipient *rcpt;
		const char *text;

		print_message("  %s\n", known_cases[i].why);
		status.dsn_action = known_cases[i].dsn_action;
		if (known_cases[i].sender != NULL)
			world->env->sender = known_cases[i].sender;
		world->env->dsn_envid = known_cases[i].envid;
		world->env->flags = known_cases[i].flags;
		rcpt = envelope_add_recipient(world->env,
					      SPAN_OF("jo smith@x.test"));
		rcpt->original = known_cases[i].original;
		rcpt->dsn_orcpt = known_cases[i].orcpt;
		text = compose(world, &notice);
		assert_non_null(strstr(text, known_cases[i].want));
		assert_non_null(strstr(text, "\nFinal-Recipient: rfc822; \"jo "
					     "smith\"@x.test\n"));
		if (known_cases[i].never != NULL)
			assert_null(strstr(text, known_cases[i].never));
		world_free(world);
	}
}

static void the_old_form_of_from_can_be_had(void **state)
{
	struct world *world = world_new("header_from_format = obsolete");
	struct notice notice = { .kind = NOTICE_FAILURE };

	assert_non_null(strstr(compose(world, &notice),
			       "From: MAILER-DAEMON@ref.example.test (Mail "
			       "Delivery System)\n"));
	world_free(world);
}

static void a_template_file_replaces_the_text(void **state)
{
	static const char file[] = "# a comment\n"
				   "\n"
				   "failure_template = <<EOF\n"
				   "Charset: iso-8859-1\n"
				   "From: Postamt <post@x.test>\n"
				   "Subject: Unzustellbar\n"
				   "\n"
				   "Hier ist $myhostname, ${mydomain}, $$5, "
				   "$(maximal_queue_lifetime_days) Tage.\n"
				   "EOF\n"
				   "verify_template = <<X\n"
				   "\n"
				   "X\n";
	struct world *world = world_new("mydomain = example.test");
	struct notice notice = { .kind = NOTICE_FAILURE };
	struct fault fault;
	const char *text;

	assert_int_equal(template_parse(world, span_from(file), "bounce.cf",
					&world->templates, &fault),
			 RC_OK);
	text = compose(world, &notice);
	assert_non_null(strstr(text, "From: Postamt <post@x.test>\n"));
	assert_non_null(strstr(text, "Subject: Unzustellbar\n"));
	assert_non_null(strstr(text, "text/plain; charset=iso-8859-1\n"));
	assert_non_null(strstr(text, "\nHier ist ref.example.test, "
				     "example.test, $5, 5 Tage.\n"));
	notice.to_postmaster = true;
	assert_non_null(strstr(compose(world, &notice),
			       "Subject: Postmaster Copy: Undelivered Mail\n"));
	world_free(world);
}

static void a_bad_template_file_is_refused_with_its_line(void **state)
{
	static const struct {
		const char *why, *text, *want;
	} cases[] = {
		{ "no end", "failure_template = <<EOF\n\nx\n",
		  "bounce.cf, line 3: template without end: \"EOF\"" },
		{ "unknown name", "\nfoo_template = <<EOF\n\nEOF\n",
		  "bounce.cf, line 2: unknown template name: "
		  "\"foo_template\"" },
		{ "no here-document", "failure_template = x\n",
		  "bounce.cf, line 1: need name = <<EOF: "
		  "\"failure_template = x\"" },
		{ "unknown header",
		  "failure_template = <<EOF\nReply-To: x\n\nEOF\n",
		  "bounce.cf, line 2: not a header of a bounce template: "
		  "\"Reply-To: x\"" },
		{ "8-bit header",
		  "failure_template = <<EOF\nSubject: \xc3\xa4\n\nEOF\n",
		  "bounce.cf, line 2: not a header of a bounce template: "
		  "\"Subject: \xc3\xa4\"" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		TALLOC_CTX *mem = talloc_new(NULL);
		struct template_set *set;
		struct fault fault;

		print_message("  %s\n", cases[i].why);
		assert_int_equal(template_parse(mem, span_from(cases[i].text),
						"bounce.cf", &set, &fault),
				 RC_CONF);
		assert_string_equal(fault.text, cases[i].want);
		talloc_free(mem);
	}
}

static void a_message_id_is_found_in_a_folded_field(void **state)
{
	TALLOC_CTX *mem = talloc_new(NULL);

	assert_string_equal(
		notice_message_id(mem, SPAN_OF("Subject: x\r\nMessage-ID:\r\n "
					       "<a@b>\r\nTo: y\r\n")),
		"<a@b>");
	assert_null(notice_message_id(mem, SPAN_OF("Subject: x\r\n")));
	talloc_free(mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_failure_is_reported_as_the_reference_does),
		cmocka_unit_test(fields_say_what_is_known),
		cmocka_unit_test(the_old_form_of_from_can_be_had),
		cmocka_unit_test(a_template_file_replaces_the_text),
		cmocka_unit_test(a_bad_template_file_is_refused_with_its_line),
		cmocka_unit_test(a_message_id_is_found_in_a_folded_field),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
