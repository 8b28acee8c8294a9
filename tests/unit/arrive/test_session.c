/* SPDX-License-Identifier: Apache-2.0 */
/* Whole conversations; what is expected is what the reference says. */
#include "smtpd_world.h"

#define SETTINGS                                                               \
	"mynetworks = 127.0.0.0/8\n"                                           \
	"mydestination = example.test\n"                                       \
	"local_recipient_maps = inline:{ jo=yes ann=yes }\n"                   \
	"smtpd_forbid_bare_newline_exclusions =\n"                             \
	"smtpd_error_sleep_time = 0\n"

struct turn {
	const char *say, *hear;
};

static void hold(const char *why, const char *settings,
		 const struct turn *turns, size_t count)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct smtpd_world *sw = smtpd_world_new(
		mem_printf(tmp, "%s%s", SETTINGS, settings));

	print_message("  %s\n", why);
	smtpd_world_connect(sw);
	smtpd_world_expect(sw, "220 mx.example.test ESMTP Postfix\n");
	for (size_t i = 0; i < count; i++)
		smtpd_world_talk(sw, turns[i].say, turns[i].hear);
	smtpd_world_free(sw);
}
#define HOLD(why, settings, ...)                                               \
	hold(why, settings, (const struct turn[]){ __VA_ARGS__ },              \
	     ARRAY_LEN(((const struct turn[]){ __VA_ARGS__ })))

#define OK "250 2.0.0 Ok\n"
#define EHLO                                                                   \
	{ "EHLO c.test\r\n",                                                   \
	  "250-mx.example.test\n250-PIPELINING\n250-SIZE 10240000\n"           \
	  "250-VRFY\n250-ETRN\n250-ENHANCEDSTATUSCODES\n250-8BITMIME\n"        \
	  "250-DSN\n250-SMTPUTF8\n250 CHUNKING\n" }
#define MAIL { "MAIL FROM:<a@c.test>\r\n", "250 2.1.0 Ok\n" }
#define RCPT { "RCPT TO:<jo@example.test>\r\n", "250 2.1.5 Ok\n" }
#define DATA { "DATA\r\n", "354 End data with <CR><LF>.<CR><LF>\n" }

static void commands_come_in_their_order(void **state)
{
	HOLD("nothing before MAIL", "",
	     { "RCPT TO:<jo@example.test>\r\n",
	       "503 5.5.1 Error: need MAIL command\n" },
	     { "DATA\r\n", "503 5.5.1 Error: need RCPT command\n" }, MAIL,
	     { "DATA\r\n", "554 5.5.1 Error: no valid recipients\n" },
	     { "MAIL FROM:<b@c.test>\r\n",
	       "503 5.5.1 Error: nested MAIL command\n" },
	     { "RSET\r\n", OK }, MAIL, RCPT,
	     { "DATA x\r\n", "501 5.5.4 Syntax: DATA\n" },
	     { "QUIT\r\n", "221 2.0.0 Bye\n" });
	HOLD("HELO first, where that is demanded",
	     "smtpd_helo_required = yes\n",
	     { "MAIL FROM:<a@c.test>\r\n",
	       "503 5.5.1 Error: send HELO/EHLO first\n" },
	     { "HELO c.test\r\n", "250 mx.example.test\n" }, MAIL);
	HOLD("EHLO begins anew", "", EHLO, MAIL, RCPT, EHLO, MAIL);
}

static void what_is_no_command_is_an_error(void **state)
{
	HOLD("unknown, empty, NUL, not UTF-8", "",
	     { "FOO\r\n", "500 5.5.2 Error: command not recognized\n" },
	     { "\r\n", "500 5.5.2 Error: bad syntax\n" },
	     { "NOOP \xff\r\n", "500 5.5.2 Error: bad UTF-8 syntax\n" },
	     { "EXPN jo\r\n", "500 5.5.2 Error: command not recognized\n" },
	     { "HELO\r\n", "501 Syntax: HELO hostname\n" },
	     { "RSET x\r\n", "501 5.5.4 Syntax: RSET\n" },
	     { "AUTH PLAIN x\r\n",
	       "503 5.5.1 Error: authentication not enabled\n" },
	     { "STARTTLS\r\n",
	       "502 5.5.1 Error: command not implemented\n" },
	     { "XCLIENT a=b\r\n",
	       "550 5.7.0 Error: insufficient authorization\n" },
	     { "GET / HTTP/1.0\r\n",
	       "221 2.7.0 Error: I can break rules, too. Goodbye.\n" });
	HOLD("a browser in lower case is no SMTP client either", "",
	     { "-x\r\n",
	       "221 2.7.0 Error: I can break rules, too. Goodbye.\n" });
}

static void recipients_are_looked_at_one_by_one(void **state)
{
	HOLD("known, unknown, elsewhere", "", EHLO, MAIL, RCPT,
	     { "RCPT TO:<nobody@example.test>\r\n",
	       "550 5.1.1 <nobody@example.test>: Recipient address rejected: "
	       "User unknown in local recipient table\n" },
	     { "RCPT TO:<x@elsewhere.test>\r\n",
	       "454 4.7.1 <x@elsewhere.test>: Relay access denied\n" },
	     { "RCPT TO:<postmaster>\r\n", "250 2.1.5 Ok\n" },
	     { "RCPT TO:<>\r\n", "501 5.1.3 Bad recipient address syntax\n" });
	HOLD("too many", "smtpd_recipient_limit = 1\n", EHLO, MAIL, RCPT,
	     { "RCPT TO:<ann@example.test>\r\n",
	       "452 4.5.3 Error: too many recipients\n" });
}

static void a_batch_of_commands_is_answered_in_order(void **state)
{
	HOLD("MAIL, RCPT, DATA, content, QUIT", "", EHLO,
	     { "MAIL FROM:<a@c.test>\r\nRCPT TO:<jo@example.test>\r\n"
	       "RCPT TO:<ann@example.test>\r\nDATA\r\n",
	       "250 2.1.0 Ok\n250 2.1.5 Ok\n250 2.1.5 Ok\n"
	       "354 End data with <CR><LF>.<CR><LF>\n" },
	     { "Subject: x\r\n\r\nhello\r\n.\r\nRSET\r\nQUIT\r\n",
	       "250 2.0.0 Ok: queued as ID1\n250 2.0.0 Ok\n221 2.0.0 Bye\n" });
}

static void who_does_not_wait_is_sent_away(void **state)
{
	static const char *const batches[] = {
		"EHLO c.test\r\nMAIL FROM:<a@c.test>\r\n",
		"HELO c.test\r\nMAIL FROM:<a@c.test>\r\n",
		"NOOP\r\nRSET\r\n",
		"VRFY jo\r\nRSET\r\n",
		"MAIL FROM:<a@c.test>\r\nRSET\r\n", /* no EHLO: no batches */
		"DATA\r\nSubject: x\r\n",
	};

	for (size_t i = 0; i < ARRAY_LEN(batches); i++)
		HOLD(batches[i], "",
		     { batches[i],
		       "554 5.5.0 Error: SMTP protocol synchronization\n" });
	HOLD("where that is allowed", "smtpd_forbid_unauth_pipelining = no\n",
	     { "HELO c.test\r\nMAIL FROM:<a@c.test>\r\n",
	       "250 mx.example.test\n250 2.1.0 Ok\n" });
}

static void take_message(struct smtpd_world *sw, const char *content,
			 const char *reply)
{
	smtpd_world_send(sw, SPAN_OF("EHLO c.test\r\n"));
	smtpd_world_send(sw, SPAN_OF("MAIL FROM:<a@c.test>\r\n"
				     "RCPT TO:<jo@example.test>\r\nDATA\r\n"));
	buf_clear(&sw->said);
	smtpd_world_talk(sw, content, reply);
}

static void a_message_is_handed_on_whole(void **state)
{
	struct smtpd_world *sw = smtpd_world_new(SETTINGS);
	const char *content;

	smtpd_world_connect(sw);
	smtpd_world_expect(sw, "220 *\n");
	take_message(sw, "Subject: x\r\n\r\n..dot\r\n\nbare\n.\r\n..\r\n.\r\n",
		     "250 2.0.0 Ok: queued as ID1\n");
	content = buf_text(&sw->content);
	assert_ptr_equal(strstr(content, "Received: from c.test (unknown "
					 "[192.0.2.9])\r\n"),
			 content);
	assert_non_null(strstr(content, "with ESMTP id ID1\r\n\tfor "
					"<jo@example.test>; "));
	assert_non_null(strstr(content, "\r\nSubject: x\r\n\r\n.dot\r\n\r\n"
					"bare\r\n\r\n.\r\n"));
	assert_string_equal(sw->sender, "a@c.test");
	assert_string_equal(sw->recipients, "jo@example.test ");
	assert_int_equal(sw->finished, 1);
	assert_true(sw->session->bare_lf_seen);
	/* and the next one on the same connection */
	take_message(sw, ".\r\n", "250 2.0.0 Ok: queued as ID2\n");
	smtpd_world_free(sw);
}

static void a_failure_is_a_reply(void **state)
{
	static const struct {
		enum rc rc;
		const char *dsn, *text, *reply;
	} cases[] = {
		{ RC_TEMP, "4.3.0", "write journal: No such device",
		  "451 4.3.0 Error: queue file write error\n" },
		{ RC_TEMP, "4.3.1", "no space",
		  "452 4.3.1 Insufficient system storage\n" },
		{ RC_PERM, "5.4.0", "Error: too many hops",
		  "554 5.4.0 Error: too many hops\n" },
		{ RC_PERM, "5.3.4", "Error: message file too big",
		  "552 5.3.4 Error: message file too big\n" },
		{ RC_PERM, "5.7.1", "go away", "550 5.7.1 go away\n" },
		{ RC_CONF, "4.3.5", "secret detail",
		  "451 4.3.5 Error: queue file write error\n" },
	};
	struct smtpd_world *sw = smtpd_world_new(SETTINGS);

	smtpd_world_connect(sw);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		sw->fail_finish = cases[i].rc;
		sw->fail_dsn = cases[i].dsn;
		sw->fail_text = cases[i].text;
		take_message(sw, "x\r\n.\r\n", cases[i].reply);
	}
	sw->fail_finish = RC_OK;
	sw->fail_begin = RC_TEMP;
	sw->fail_dsn = "4.3.1";
	smtpd_world_talk(sw, "MAIL FROM:<a@c.test>\r\n", "250 2.1.0 Ok\n");
	smtpd_world_talk(sw, "RCPT TO:<jo@example.test>\r\n",
			 "452 4.3.1 Insufficient system storage\n");
	sw->fail_begin = RC_OK; /* it heals by itself */
	smtpd_world_talk(sw, "RCPT TO:<jo@example.test>\r\n",
			 "250 2.1.5 Ok\n");
	smtpd_world_free(sw);
}

static void what_is_too_big_is_refused(void **state)
{
	struct smtpd_world *sw =
		smtpd_world_new(SETTINGS "message_size_limit = 1000\n");
	struct buf big;

	smtpd_world_connect(sw);
	smtpd_world_send(sw, SPAN_OF("EHLO c.test\r\n"));
	buf_clear(&sw->said);
	smtpd_world_talk(sw, "MAIL FROM:<a@c.test> SIZE=1001\r\n",
			 "552 5.3.4 Message size exceeds fixed limit\n");
	buf_init(&big, sw, 100000);
	for (int i = 0; i < 1000; i++)
		buf_add_text(&big, "0123456789\r\n");
	buf_add_text(&big, ".\r\n");
	take_message(sw, buf_text(&big),
		     "552 5.3.4 Error: message file too big\n");
	assert_int_equal(sw->finished, 0);
	smtpd_world_free(sw);
}

static void chunks_make_a_message(void **state)
{
	struct smtpd_world *sw = smtpd_world_new(SETTINGS);

	HOLD("syntax and order", "", EHLO,
	     { "BDAT 3\r\nabc", "503 5.5.1 Error: need RCPT command\n" },
	     { "MAIL FROM:<a@c.test>\r\n",
	       "503 5.5.1 Error: MAIL after BDAT\n" },
	     { "RSET\r\n", OK }, MAIL,
	     { "BDAT 0\r\n", "551 5.7.1 Null BDAT request\n" },
	     { "RSET\r\n", OK }, MAIL,
	     { "BDAT 5\r\nabcde", "554 5.5.1 Error: no valid recipients\n" },
	     { "RCPT TO:<jo@example.test>\r\n",
	       "503 5.5.1 Error: RCPT after BDAT\n" },
	     { "BDAT 4 LAST\r\nQUIT",
	       "551 5.0.0 Discarded 4 bytes after earlier error\n" },
	     MAIL, RCPT,
	     { "BDAT 99999999999999999999\r\n",
	       "521 5.5.4 Syntax: BDAT count [LAST]\n" });
	the_world = sw;
	smtpd_world_connect(sw);
	smtpd_world_send(sw, SPAN_OF("EHLO c.test\r\n"));
	smtpd_world_send(sw, SPAN_OF("MAIL FROM:<a@c.test>\r\n"
				     "RCPT TO:<jo@example.test>\r\n"));
	buf_clear(&sw->said);
	/* lines go on from chunk to chunk; commands in chunks are content */
	smtpd_world_talk(sw, "BDAT 12\r\nSubject: x\r\r",
			 "250 2.0.0 Ok: 12 bytes\n");
	smtpd_world_talk(sw, "BDAT 6\r\n\n\r\nQUIBDAT 5 LAST\r\nT\r\n.e",
			 "250 2.0.0 Ok: 6 bytes\n"
			 "250 2.0.0 Ok: 24 bytes queued as ID1\n");
	assert_non_null(strstr(buf_text(&sw->content),
			       "\r\nSubject: x\r\n\r\nQUIT\r\n.e\r\n"));
	smtpd_world_free(sw);
}

static void who_makes_only_errors_is_slowed_and_sent_away(void **state)
{
	struct smtpd_world *sw = smtpd_world_new(
		SETTINGS "smtpd_error_sleep_time = 1\n"
			 "smtpd_soft_error_limit = 2\n"
			 "smtpd_hard_error_limit = 4\n");

	smtpd_world_connect(sw);
	smtpd_world_talk(sw, "FOO\r\n",
			 "220 *\n500 5.5.2 Error: command not recognized\n");
	smtpd_world_talk(sw, "FOO\r\n",
			 "500 5.5.2 Error: command not recognized\n");
	assert_int_equal(send(sw->client_fd, "FOO\r\n", 5, 0), 5);
	smtpd_world_run(sw, WORKERS_READY);
	/* the reply waits, and so does the session: without a thread */
	assert_int_equal(sw->next, WORKERS_SLEEP);
	assert_true(sw->session->ws.deadline_ms > 0);
	smtpd_world_expect(sw, "");
	smtpd_world_run(sw, WORKERS_DEADLINE);
	smtpd_world_expect(sw, "500 5.5.2 Error: command not recognized\n");
	smtpd_world_talk(sw, "FOO\r\n",
			 "500 5.5.2 Error: command not recognized\n"
			 "421 4.7.0 mx.example.test Error: too many errors\n");
	assert_null(sw->session);
	smtpd_world_free(sw);
}

static void junk_counts_as_errors_in_the_end(void **state)
{
	HOLD("NOOP after NOOP",
	     "smtpd_junk_command_limit = 2\nsmtpd_hard_error_limit = 2\n",
	     { "NOOP\r\n", OK }, { "NOOP\r\n", OK }, { "NOOP\r\n", OK },
	     { "NOOP\r\n", OK },
	     { "NOOP\r\n",
	       OK "421 4.7.0 mx.example.test Error: too many errors\n" });
}

static void a_silent_client_is_told_and_left(void **state)
{
	struct smtpd_world *sw = smtpd_world_new(SETTINGS);

	smtpd_world_connect(sw);
	buf_clear(&sw->said);
	assert_int_equal(sw->next, WORKERS_PARK);
	assert_int_equal(sw->session->ws.want, EPOLLIN);
	smtpd_world_run(sw, WORKERS_DEADLINE);
	smtpd_world_expect(sw, "421 4.4.2 mx.example.test Error: timeout "
			       "exceeded\n");
	assert_null(sw->session);
	smtpd_world_free(sw);
}

static void replies_that_are_not_read_stop_the_input(void **state)
{
	struct smtpd_world *sw = smtpd_world_new(
		SETTINGS "smtpd_junk_command_limit = 100000\n");
	struct buf batch;
	int size = 4096;

	smtpd_world_connect(sw);
	smtpd_world_send(sw, SPAN_OF("EHLO c.test\r\n"));
	buf_clear(&sw->said);
	setsockopt(sw->session->ws.fd, SOL_SOCKET, SO_SNDBUF, &size,
		   sizeof(size));
	buf_init(&batch, sw, 1024 * 1024);
	for (int i = 0; i < 4000; i++)
		buf_add_text(&batch, "RSET\r\n");
	for (struct span rest = buf_span(&batch); rest.len > 0;) {
		ssize_t n = send(sw->client_fd, rest.ptr, rest.len,
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0)
			break;
		rest = span_skip(rest, (size_t)n);
	}
	sw->next = smtpd_session_run(&sw->session->ws, &sw->worker,
				     WORKERS_READY);
	assert_int_equal(sw->next, WORKERS_PARK);
	assert_int_equal(sw->session->ws.want, EPOLLOUT);
	/* the client reads at last: everything comes, in order */
	for (int i = 0; i < 1000 && sw->session->unsent.len > 0; i++) {
		smtpd_world_listen(sw);
		smtpd_world_run(sw, WORKERS_READY);
	}
	smtpd_world_settle(sw);
	smtpd_world_listen(sw);
	assert_int_equal(sw->said.len % strlen("250 2.0.0 Ok\r\n"), 0);
	assert_true(sw->said.len > 0);
	smtpd_world_free(sw);
}

static void bytes_may_come_one_at_a_time(void **state)
{
	static const char talk[] =
		"EHLO c.test\r\nMAIL FROM:<a@c.test>\r\n"
		"RCPT TO:<jo@example.test>\r\nDATA\r\n"
		"Subject: slow\r\n\r\n..x\r\n.\r\nQUIT\r\n";
	struct smtpd_world *sw = smtpd_world_new(SETTINGS);

	smtpd_world_connect(sw);
	for (size_t i = 0; talk[i] != '\0'; i++)
		smtpd_world_send(sw, (struct span){ talk + i, 1 });
	assert_int_equal(sw->finished, 1);
	assert_null(sw->session);
	assert_non_null(strstr(buf_text(&sw->content),
			       "\r\nSubject: slow\r\n\r\n.x\r\n"));
	smtpd_world_free(sw);
}

static void a_session_that_drains_finishes_its_message(void **state)
{
	struct smtpd_world *sw = smtpd_world_new(SETTINGS);

	smtpd_world_connect(sw);
	buf_clear(&sw->said);
	smtpd_world_talk(sw, "MAIL FROM:<a@c.test>\r\n", "250 2.1.0 Ok\n");
	smtpd_world_run(sw, WORKERS_DRAIN);
	smtpd_world_expect(sw, "");
	smtpd_world_talk(sw, "RCPT TO:<jo@example.test>\r\n",
			 "250 2.1.5 Ok\n");
	smtpd_world_talk(sw, "DATA\r\n", "354 *\n");
	smtpd_world_talk(sw, ".\r\n", "250 2.0.0 Ok: queued as ID1\n");
	smtpd_world_run(sw, WORKERS_DRAIN);
	smtpd_world_expect(sw, "421 4.3.2 *\n");
	assert_null(sw->session);
	smtpd_world_free(sw);
}

static void a_client_that_vanishes_leaves_nothing(void **state)
{
	struct smtpd_world *sw = smtpd_world_new(SETTINGS);

	smtpd_world_connect(sw);
	smtpd_world_send(sw, SPAN_OF("EHLO c.test\r\n"));
	smtpd_world_send(sw, SPAN_OF("MAIL FROM:<a@c.test>\r\n"
				     "RCPT TO:<jo@example.test>\r\nDATA\r\n"));
	smtpd_world_send(sw, SPAN_OF("half of\r\n.\r"));
	smtpd_world_hang_up(sw);
	assert_int_equal(sw->begun, 1);
	assert_int_equal(sw->finished, 0);
	smtpd_world_free(sw);
}

static void bare_lf_can_be_refused(void **state)
{
	HOLD("in content", "smtpd_forbid_bare_newline = reject\n", EHLO, MAIL,
	     RCPT, DATA,
	     { "Subject: x\n\r\n.\r\n",
	       "550 5.5.2 mx.example.test Error: bare <LF> received\n" });
	HOLD("in a command", "smtpd_forbid_bare_newline = reject\n", EHLO,
	     { "RSET\n",
	       "550 5.5.2 mx.example.test Error: bare <LF> received\n" });
	HOLD("not by default", "", EHLO, { "RSET\n", OK });
	HOLD("LF.LF ends where all is allowed",
	     "smtpd_forbid_bare_newline = no\n", EHLO, MAIL, RCPT, DATA,
	     { "x\n.\n", "250 2.0.0 Ok: queued as ID1\n" });
}

static void access_tables_decide_about_the_message(void **state)
{
	struct smtpd_world *sw = smtpd_world_new(
		SETTINGS "smtpd_sender_restrictions = check_sender_access "
			 "inline:{ hold@c.test=HOLD, drop@c.test=DISCARD, "
			 "{ no@c.test=REJECT go away } }\n");

	smtpd_world_connect(sw);
	buf_clear(&sw->said);
	smtpd_world_talk(sw, "MAIL FROM:<hold@c.test>\r\n", "250 2.1.0 Ok\n");
	smtpd_world_talk(sw, "RCPT TO:<jo@example.test>\r\n",
			 "250 2.1.5 Ok\n");
	smtpd_world_talk(sw, "DATA\r\n", "354 *\n");
	smtpd_world_talk(sw, ".\r\n", "250 2.0.0 Ok: queued as ID1\n");
	assert_true(sw->held);
	smtpd_world_talk(sw, "MAIL FROM:<drop@c.test>\r\n", "250 2.1.0 Ok\n");
	smtpd_world_talk(sw, "RCPT TO:<anybody@example.test>\r\n",
			 "250 2.1.5 Ok\n");
	smtpd_world_talk(sw, "DATA\r\n", "354 *\n");
	smtpd_world_talk(sw, ".\r\n", "250 2.0.0 Ok: queued as ID2\n");
	assert_false(sw->held); /* it was about the other message */
	assert_int_equal(sw->finished, 1);
	smtpd_world_talk(sw, "MAIL FROM:<no@c.test>\r\n", "250 2.1.0 Ok\n");
	smtpd_world_talk(sw, "RCPT TO:<jo@example.test>\r\n",
			 "554 5.7.1 <no@c.test>: Sender address rejected: go "
			 "away\n");
	smtpd_world_free(sw);
}

static void keywords_can_be_hidden(void **state)
{
	HOLD("and their commands refused",
	     "smtpd_discard_ehlo_keywords = chunking, dsn, etrn\n"
	     "disable_vrfy_command = yes\nmessage_size_limit = 0\n"
	     "smtputf8_enable = no\n",
	     { "EHLO c.test\r\n",
	       "250-mx.example.test\n250-PIPELINING\n250-SIZE\n"
	       "250-ENHANCEDSTATUSCODES\n250 8BITMIME\n" },
	     { "VRFY jo\r\n", "502 5.5.1 VRFY command is disabled\n" },
	     { "MAIL FROM:<a@c.test> RET=HDRS\r\n",
	       "501 5.7.1 DSN support is disabled\n" },
	     { "BDAT 3\r\nabc",
	       "521 5.5.1 Error: command not implemented\n" });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(commands_come_in_their_order),
		cmocka_unit_test(what_is_no_command_is_an_error),
		cmocka_unit_test(recipients_are_looked_at_one_by_one),
		cmocka_unit_test(a_batch_of_commands_is_answered_in_order),
		cmocka_unit_test(who_does_not_wait_is_sent_away),
		cmocka_unit_test(a_message_is_handed_on_whole),
		cmocka_unit_test(a_failure_is_a_reply),
		cmocka_unit_test(what_is_too_big_is_refused),
		cmocka_unit_test(chunks_make_a_message),
		cmocka_unit_test(who_makes_only_errors_is_slowed_and_sent_away),
		cmocka_unit_test(junk_counts_as_errors_in_the_end),
		cmocka_unit_test(a_silent_client_is_told_and_left),
		cmocka_unit_test(replies_that_are_not_read_stop_the_input),
		cmocka_unit_test(bytes_may_come_one_at_a_time),
		cmocka_unit_test(a_session_that_drains_finishes_its_message),
		cmocka_unit_test(a_client_that_vanishes_leaves_nothing),
		cmocka_unit_test(bare_lf_can_be_refused),
		cmocka_unit_test(access_tables_decide_about_the_message),
		cmocka_unit_test(keywords_can_be_hidden),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
