/* SPDX-License-Identifier: Apache-2.0 */
/* Session lines, and sessions out of logs. */
#include "../cmocka_all.h"

#include "base/buf.h"
#include "command/explain_priv.h"

static void a_line_is_read_and_written_again(void **state)
{
	static const struct {
		const char *line, *again; /* NULL: the same */
	} cases[] = {
		{ "client=a.test[192.0.2.1] helo=h from=<jo@a.test> "
		  "to=<ann@b.test> to=<x@c.test>",
		  NULL },
		{ "client=192.0.2.1 from=<>", NULL },
		{ " client=a[2001:db8::1]\thelo=\"two words\"  from=jo@a.test",
		  "client=a[2001:db8::1] helo=\"two words\" from=<jo@a.test>" },
		{ "client=[TEMPUNAVAIL][192.0.2.1] sasl=jo",
		  "client=[TEMPUNAVAIL][192.0.2.1] sasl=jo" },
		{ "client=[UNAVAILABLE][192.0.2.1]",
		  "client=unknown[192.0.2.1]" },
		{ "client=a[IPv6:2001:db8::1] tls=yes smtp=yes cert=AA:BB "
		  "cert-trusted=yes size=10 etrn=b.test",
		  "client=a[2001:db8::1] etrn=b.test cert=AA:BB size=10 "
		  "tls=yes cert-trusted=yes smtp=yes" },
		{ "client=a[192.0.2.1] tls=no", "client=a[192.0.2.1]" },
	};
	TALLOC_CTX *mem = talloc_new(NULL);

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct explain_session session;
		struct fault fault;

		print_message("  %s\n", cases[i].line);
		assert_int_equal(explain_session_parse(mem,
						       span_from(cases[i].line),
						       &session, &fault),
				 RC_OK);
		assert_string_equal(explain_session_format(mem, &session),
				    cases[i].again != NULL ? cases[i].again
							   : cases[i].line);
	}
	talloc_free(mem);
}

static void what_is_no_session_is_refused(void **state)
{
	static const struct {
		const char *line;
		enum rc rc;
		const char *text;
	} cases[] = {
		{ "", RC_NONE, "" },
		{ "  # client=1", RC_NONE, "" },
		{ "helo=x", RC_PERM, "client=NAME[ADDRESS] is missing" },
		{ "client=x", RC_PERM, "client \"x\"" },
		{ "client=x[1.2.3]", RC_PERM, "client \"x[1.2.3]\"" },
		{ "client=1.2.3.4 nonsense", RC_PERM,
		  "name=value expected at \"nonsense\"" },
		{ "client=1.2.3.4 helo=\"x", RC_PERM, "no end of the quoted" },
		{ "client=1.2.3.4 nose=x", RC_PERM, "no attribute \"nose\"" },
		{ "=x", RC_PERM, "name=value expected" },
	};
	TALLOC_CTX *mem = talloc_new(NULL);

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct explain_session session;
		struct fault fault = { 0 };

		print_message("  %s\n", cases[i].line);
		assert_int_equal(explain_session_parse(mem,
						       span_from(cases[i].line),
						       &session, &fault),
				 cases[i].rc);
		assert_non_null(strstr(fault.text, cases[i].text));
	}
	talloc_free(mem);
}

struct gathered {
	TALLOC_CTX *mem;
	struct buf text;
};

static void gather(void *arg, struct explain_session *session)
{
	struct gathered *all = arg;

	buf_addf(&all->text, "%s: %s was=%s\n",
		 session->id == NULL ? "" : session->id,
		 explain_session_format(all->mem, session),
		 session->was == NULL ? "" : session->was);
}

static void sessions_are_found_in_logs_of_several_kinds(void **state)
{
	static const char *const lines[] = {
		"Nov 21 20:05:05 mx postfix/smtpd[1]: AA: "
		"client=a.test[192.0.2.1]",
		"Nov 21 20:05:05 mx postfix/qmgr[2]: AA: from=<>, size=9, "
		"nrcpt=2",
		"Nov 21 20:05:05 mx postfix/smtp[3]: AA: to=<b@x.test>, "
		"relay=none, status=deferred (x)",
		"Nov 21 20:05:05 mx postfix/smtp[3]: AA: to=<b@x.test>, "
		"relay=y, status=sent (x)",
		"Nov 21 20:05:05 mx postfix/local[3]: AA: to=<c@x.test>, "
		"orig_to=<\"odd > one\"@x.test>, relay=local, status=sent",
		"Nov 21 20:05:05 mx postfix/qmgr[2]: AA: removed",
		"2026-11-21T20:05:06+01:00 mx postfix/smtps/smtpd[4]: NOQUEUE: "
		"reject: MAIL from unknown[2001:db8::1]:99: 552 5.3.4 too; "
		"from=big; from=<jo@a.test> proto=ESMTP helo=<[x]>",
		"<22>1 2026-11-21T20:05:06Z mx mail/smtpd 9 - - BB: reject: "
		"RCPT "
		"from b.test[192.0.2.2]: 450 4.7.1 <x>: Helo command rejected: "
		"from=<fake>; from=<> to=<c@x.test> proto=SMTP helo=<x> "
		"sasl_username=<jo>",
		/* nothing to learn from */
		"Nov 21 20:05:05 mx postfix/qmgr[2]: ZZ: from=<q@q.test>, "
		"size=1",
		"Nov 21 20:05:05 mx postfix/smtpd[1]: NOQUEUE: reject: VRFY "
		"from "
		"b.test[192.0.2.2]: 550; to=<x>",
		"Nov 21 20:05:05 mx postfix/smtpd[1]: NOQUEUE: reject: RCPT "
		"from "
		"nowhere: 550 x; from=<>",
		"]: ",
		"[]: :",
		"<22>1",
		"",
		"\xff\xfe",
	};
	struct gathered all = { .mem = talloc_new(NULL) };
	struct explain_log *log;

	buf_init(&all.text, all.mem, 64 * 1024);
	log = explain_log_new(all.mem, gather, &all);
	for (size_t i = 0; i < ARRAY_LEN(lines); i++)
		explain_log_line(log, span_from(lines[i]));
	explain_log_line(log, SPAN_OF("x postfix/smtpd[1]: A\0B: "
				      "client=a.test[192.0.2.1]"));
	explain_log_end(log);
	assert_string_equal(
		buf_text(&all.text),
		"AA: client=a.test[192.0.2.1] helo=a.test from=<> size=9 "
		"to=<b@x.test> to=<\"odd > one\"@x.test> was=\n"
		"line 7: client=unknown[2001:db8::1] helo=[x] from=<jo@a.test> "
		"was=552 5.3.4 too; from=big\n"
		"line 8: client=b.test[192.0.2.2] helo=x from=<> sasl=jo "
		"to=<c@x.test> smtp=yes was=450 4.7.1 <x>: Helo command "
		"rejected: from=<fake>\n");
	talloc_free(all.mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_is_read_and_written_again),
		cmocka_unit_test(what_is_no_session_is_refused),
		cmocka_unit_test(sessions_are_found_in_logs_of_several_kinds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
