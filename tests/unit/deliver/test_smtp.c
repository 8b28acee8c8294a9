/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "deliver/smtp/client.h"
#include "fake_server.h"
#include "world.h"

enum { SETTINGS_MAX = 20, RECIPIENTS_MAX = 4 };

#define HELLO "> 220 fake ESMTP\n< EHLO mx.example.test\n> 250 fake\n"
#define PIPELINING                                              \
	"> 220 fake ESMTP\n< EHLO\n"                            \
	"> 250-fake\r250-PIPELINING\r250-SIZE 10000\r250-DSN\r" \
	"250 8BITMIME\n"
#define DOT	    ".\n> 250 2.0.0 Ok: queued as 1\n"
#define ONE_MESSAGE "< MAIL\n> 250 ok\n< RCPT\n> 250 ok\n< DATA\n> 354 go\n" DOT
#define QUIT	    "< QUIT\n"

static const char *const one[] = {"jo@example.test", NULL};
static const char *const three[] = {"jo@example.test", "ann@example.test",
				    "bo@example.test", NULL};

struct talk {
	struct world *w;
	struct agent *agent;
	struct smtp_client *client;
	struct fake_server *server;
	struct delivery *d;
};

static void talk_open(struct talk *t, const char *const *scripts,
		      const char *const *settings)
{
	const char *all[SETTINGS_MAX] = {
	    "smtp_helo_timeout=1s",	 "smtp_mail_timeout=1s",
	    "smtp_rcpt_timeout=1s",	 "smtp_data_init_timeout=1s",
	    "smtp_data_done_timeout=1s", "smtp_tls_security_level=",
	    "smtp_host_lookup=native",	 NULL};
	const struct agent_work work = {.tick = smtp_client_tick};
	struct fault fault;
	size_t count = 0;

	t->w = world_new();
	while (all[count] != NULL)
		count++;
	while (settings != NULL && *settings != NULL)
		all[count++] = *settings++;
	world_configure(t->w, all);
	if (smtp_client_open(t->w, t->w->service, false, &t->client, &fault) !=
		RC_OK ||
	    agent_open(t->w->service, &work, &t->client->agent, &fault) !=
		RC_OK)
		fail_msg("%s", fault.text);
	t->server = fake_server_start(scripts);
	t->d = NULL;
}

static void talk_deliver(struct talk *t, const char *const *recipients,
			 const char *text, uint32_t flags)
{
	const struct world_message message = {
	    .sender = "me@client.test",
	    .recipients = recipients,
	    .text = text,
	    .transport = "smtp",
	    .nexthop =
		mem_printf(t->w, "[127.0.0.1]:%d", fake_server_port(t->server)),
	    .flags = flags,
	};

	talloc_free(t->d);
	t->d = world_delivery(t->w, &message);
	smtp_client_deliver(t->client, t->d);
	assert_int_equal(t->d->open_count, 0);
}

static void talk_close(struct talk *t)
{
	talloc_free(t->d);
	smtp_cache_expire(t->client->cache, true);
	assert_string_equal(fake_server_stop(t->server), "");
	talloc_free(t->client->agent);
	talloc_free(t->server);
	world_free(t->w);
}

struct failure_case {
	const char *why;
	const char *script;
	const char *want[RECIPIENTS_MAX]; /* "dsn text", P is host[address] */
};

static void replace_port(char *text, int port)
{
	char number[16];
	char *at;

	snprintf(number, sizeof(number), ":%d", port);
	at = strstr(text, number);
	if (at != NULL)
		memmove(at, at + strlen(number),
			strlen(at + strlen(number)) + 1);
}

static void failures_run(const struct failure_case *cases, size_t count,
			 const char *const *recipients,
			 const char *const *settings)
{
	for (size_t i = 0; i < count; i++) {
		const char *const scripts[] = {cases[i].script, NULL};
		struct talk t;

		print_message("  %s\n", cases[i].why);
		talk_open(&t, scripts, settings);
		talk_deliver(&t, recipients, "Subject: x\r\n\r\nhi\r\n", 0);
		for (size_t r = 0; recipients[r] != NULL; r++) {
			const struct delivery_status *s = &t.d->statuses[r];
			char *got = mem_printf(t.d, "%s %s", s->dsn, s->reason);
			const char *want = cases[i].want[r];

			replace_port(got, fake_server_port(t.server));
			if (want == NULL)
				want = cases[i].want[0];
			assert_string_equal(got, want);
		}
		assert_int_equal(t.d->statuses[0].action == DELIVERY_BOUNCED,
				 cases[i].want[0][0] == '5');
		talk_close(&t);
	}
}

#define HOST "127.0.0.1[127.0.0.1]"

static void
what_a_server_does_wrong_is_said_as_the_reference_says_it(void **state)
{
	static const struct failure_case cases[] = {
	    {"greeting 4xx",
	     "> 421 busy",
	     {"4.0.0 host " HOST " refused to talk to me: 421 busy"}},
	    {"greeting 5xx is not the end",
	     "> 554 5.7.1 go away",
	     {"4.7.1 host " HOST " refused to talk to me: 554 5.7.1 go away"}},
	    {"dropped before the greeting",
	     "",
	     {"4.4.2 lost connection with " HOST
	      " while receiving the initial server greeting"}},
	    {"silent",
	     "~",
	     {"4.4.2 conversation with " HOST
	      " timed out while receiving the initial server greeting"}},
	    {"nonsense",
	     "> hello there",
	     {"4.5.0 remote protocol error in reply from " HOST
	      " while receiving the initial server greeting"}},
	    {"dropped at EHLO",
	     "> 220 x\n< EHLO",
	     {"4.4.2 lost connection with " HOST
	      " while performing the EHLO handshake"}},
	    {"EHLO and HELO refused",
	     "> 220 x\n< EHLO\n> 502 no\n< HELO\n> 550 5.7.0 bad name\n" QUIT,
	     {"5.7.0 host " HOST " refused to talk to me: 550 5.7.0 bad name"}},
	    {"MAIL refused for now",
	     HELLO "< MAIL\n> 451 4.7.1 later\n" QUIT,
	     {"4.7.1 host " HOST " said: 451 4.7.1 later (in reply to "
	      "MAIL FROM command)"}},
	    {"MAIL refused",
	     HELLO "< MAIL\n> 550 no\n" QUIT,
	     {"5.0.0 host " HOST
	      " said: 550 no (in reply to MAIL FROM command)"}},
	    {"dropped at MAIL",
	     HELLO "< MAIL",
	     {"4.4.2 lost connection with " HOST " while sending MAIL FROM"}},
	    {"RCPT refused",
	     HELLO "< MAIL\n> 250 ok\n< RCPT\n"
		   "> 550-5.1.1 no\r550 5.1.1 such user\n" QUIT,
	     {"5.1.1 host " HOST " said: 550-5.1.1 no 550 5.1.1 such "
	      "user (in reply to RCPT TO command)"}},
	    {"too many recipients said with 552",
	     HELLO "< MAIL\n> 250 ok\n< RCPT\n> 552 5.5.3 many\n" QUIT,
	     {"4.5.3 host " HOST " said: 552 5.5.3 many (in reply to "
	      "RCPT TO command)"}},
	    {"silent at RCPT",
	     HELLO "< MAIL\n> 250 ok\n< RCPT\n~",
	     {"4.4.2 conversation with " HOST
	      " timed out while sending RCPT TO"}},
	    {"DATA refused",
	     HELLO "< MAIL\n> 250 ok\n< RCPT\n> 250 ok\n< DATA\n"
		   "> 452 4.3.1 full\n" QUIT,
	     {"4.3.1 host " HOST " said: 452 4.3.1 full (in reply to "
	      "DATA command)"}},
	    {"dropped after the dot",
	     HELLO "< MAIL\n> 250 ok\n< RCPT\n> 250 ok\n< DATA\n"
		   "> 354 go\n.",
	     {"4.4.2 lost connection with " HOST " while sending end of "
	      "data -- message may be sent more than once"}},
	    {"refused after the dot",
	     HELLO "< MAIL\n> 250 ok\n< RCPT\n> 250 ok\n< DATA\n"
		   "> 354 go\n.\n> 554 5.6.0 spam\n" QUIT,
	     {"5.6.0 host " HOST " said: 554 5.6.0 spam (in reply to "
	      "end of DATA command)"}},
	    {"too large for it",
	     "> 220 x\n< EHLO\n> 250-x\r250 SIZE 5\n" QUIT,
	     {"5.3.4 message size 18 exceeds size limit 5 of server " HOST}},
	};

	failures_run(cases, ARRAY_LEN(cases), one, NULL);
}

static void each_recipient_has_its_own_reply(void **state)
{
	static const struct failure_case cases[] = {
	    {"pipelined, mixed",
	     PIPELINING "< MAIL\n< RCPT\n< RCPT\n< RCPT\n< DATA\n"
			"> 250 ok\r250 ok\r550 5.1.1 no\r"
			"450 4.2.0 busy\r354 go\n" DOT QUIT,
	     {"2.0.0 250 2.0.0 Ok: queued as 1",
	      "5.1.1 host " HOST " said: 550 5.1.1 no (in reply to RCPT "
	      "TO command)",
	      "4.2.0 host " HOST " said: 450 4.2.0 busy (in reply to "
	      "RCPT TO command)"}},
	    {"pipelined, all refused, and the server wants data",
	     PIPELINING "< MAIL\n< RCPT\n< RCPT\n< RCPT\n< DATA\n"
			"> 250 ok\r450 4.2.0 a\r450 4.2.0 a\r"
			"450 4.2.0 a\r354 go\n< .\n> 554 none\n" QUIT,
	     {"4.2.0 host " HOST " said: 450 4.2.0 a (in reply to RCPT "
	      "TO command)"}},
	    {"pipelined, MAIL refused, the rest accepted",
	     PIPELINING "< MAIL\n< RCPT\n< RCPT\n< RCPT\n< DATA\n"
			"> 451 4.0.0 no\r250 a\r250 a\r250 a\r"
			"503 none\n" QUIT,
	     {"4.0.0 host " HOST " said: 451 4.0.0 no (in reply to MAIL "
	      "FROM command)"}},
	    {"replies in pieces",
	     PIPELINING "< MAIL\n> 250 ok\n< RCPT\n> 250 ok\n< RCPT\n"
			"> 250-a\r250 b\n< RCPT\n> 250 ok\n< DATA\n"
			"> 354 go\n" DOT QUIT,
	     {"2.0.0 250 2.0.0 Ok: queued as 1"}},
	};

	failures_run(cases, ARRAY_LEN(cases), three, NULL);
}

static void tls_that_is_demanded_is_never_left_out(void **state)
{
	static const char *const encrypt[] = {"smtp_tls_security_level=encrypt",
					      NULL};
	static const char *const dane[] = {"smtp_tls_security_level=dane-only",
					   NULL};
	static const char *const may[] = {"smtp_tls_security_level=may", NULL};
	static const struct failure_case demanded[] = {
	    {"not offered",
	     PIPELINING QUIT,
	     {"4.7.4 TLS is required, but was not offered by host " HOST}},
	    {"offered and refused",
	     "> 220 x\n< EHLO\n> 250-x\r250 STARTTLS\n< STARTTLS\n"
	     "> 454 4.7.0 no\n" QUIT,
	     {"4.7.0 TLS is required, but host " HOST
	      " refused to start TLS: 454 4.7.0 no"}},
	    {"bytes slipped in behind the go-ahead",
	     "> 220 x\n< EHLO\n> 250-x\r250 STARTTLS\n< STARTTLS\n"
	     "> 220 go\r250 injected",
	     {"4.7.5 Cannot start TLS: host " HOST
	      " sent bytes before the handshake"}},
	    {"no TLS behind the go-ahead",
	     "> 220 x\n< EHLO\n> 250-x\r250 STARTTLS\n< STARTTLS\n"
	     "> 220 go\n?\n> this is no TLS",
	     {"4.7.5 Cannot start TLS: handshake failure"}},
	};
	static const struct failure_case young[] = {
	    {"no way back to clear for young mail",
	     "> 220 x\n< EHLO\n> 250-x\r250 STARTTLS\n< STARTTLS\n"
	     "> 220 go\n?\n> this is no TLS",
	     {"4.7.5 Cannot start TLS: handshake failure"}},
	};
	static const struct failure_case in_clear[] = {
	    {"level may, not offered",
	     HELLO ONE_MESSAGE QUIT,
	     {"2.0.0 250 2.0.0 Ok: queued as 1"}},
	    {"level may, refused",
	     "> 220 x\n< EHLO\n> 250-x\r250 STARTTLS\n< STARTTLS\n"
	     "> 454 4.7.0 no\n" ONE_MESSAGE QUIT,
	     {"2.0.0 250 2.0.0 Ok: queued as 1"}},
	};
	static const char *const none[] = {NULL};
	struct talk t;

	failures_run(demanded, ARRAY_LEN(demanded), one, encrypt);
	failures_run(young, ARRAY_LEN(young), one, may);
	failures_run(in_clear, ARRAY_LEN(in_clear), one, may);
	print_message("  dane-only, and nothing that validates answers\n");
	talk_open(&t, none, dane);
	talk_deliver(&t, one, "Subject: x\r\n\r\nhi\r\n", 0);
	assert_string_equal(t.d->statuses[0].dsn, "4.7.5");
	talk_close(&t);
}

static void content_arrives_as_it_was(void **state)
{
	static const struct {
		const char *why, *text, *want;
		uint32_t flags;
	} cases[] = {
	    {"clean", "A: b\r\n\r\nhi\r\n", "A: b\r\n\r\nhi\r\n.\r\n", 0},
	    {"no line end at the end", "A: b\r\n\r\nhi",
	     "A: b\r\n\r\nhi\r\n.\r\n", 0},
	    {"dots", "A: b\r\n\r\n.\r\n..x\r\na.b\r\n",
	     "A: b\r\n\r\n..\r\n...x\r\na.b\r\n.\r\n", ENVELOPE_DOT_LINE},
	    {"bare line ends", "A: b\r\n\r\na\n.\nb\rc\r\n",
	     "A: b\r\n\r\na\r\n..\r\nb c\r\n.\r\n", ENVELOPE_BARE_EOL},
	    {"a long line", "A: b\r\n\r\n12345678901234567890123\r\n",
	     "A: b\r\n\r\n12345678901234567890\r\n 123\r\n.\r\n", 0},
	};
	static const char *const scripts[] = {PIPELINING ONE_MESSAGE QUIT,
					      NULL};
	static const char *const settings[] = {"smtp_line_length_limit=20",
					       NULL};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct talk t;
		const char *heard;

		print_message("  %s\n", cases[i].why);
		talk_open(&t, scripts, settings);
		talk_deliver(&t, one, cases[i].text, cases[i].flags);
		assert_int_equal(t.d->statuses[0].action, DELIVERY_SENT);
		fake_server_stop(t.server);
		heard = strstr(fake_server_heard(t.server), "DATA\r\n");
		assert_non_null(heard);
		heard += 6;
		assert_memory_equal(heard, cases[i].want,
				    strlen(cases[i].want));
		talloc_free(t.d);
		talloc_free(t.client->agent);
		talloc_free(t.server);
		world_free(t.w);
	}
}

static void a_connection_is_used_again_where_mail_follows_mail(void **state)
{
	static const char *const scripts[] = {
	    HELLO ONE_MESSAGE QUIT, HELLO ONE_MESSAGE ONE_MESSAGE QUIT, NULL};
	struct talk t;

	talk_open(&t, scripts, NULL);
	for (int i = 0; i < 3; i++) {
		talk_deliver(&t, one, "A: b\r\n\r\nhi\r\n", 0);
		assert_int_equal(t.d->statuses[0].action, DELIVERY_SENT);
	}
	assert_non_null(strstr(world_log(t.w), ", conn_use=2, "));
	talk_close(&t);
}

static void a_kept_connection_that_is_gone_costs_nothing(void **state)
{
	static const char *const ends[] = {"", "> 421 4.4.2 idle too long"};

	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		struct talk t;
		const char *scripts[] = {HELLO ONE_MESSAGE QUIT, NULL,
					 HELLO ONE_MESSAGE QUIT, NULL};
		char *second;

		print_message("  \"%s\"\n", ends[i]);
		scripts[1] = second =
		    mem_printf(NULL, HELLO ONE_MESSAGE "%s", ends[i]);
		talk_open(&t, scripts, NULL);
		for (int n = 0; n < 3; n++) {
			talk_deliver(&t, one, "A: b\r\n\r\nhi\r\n", 0);
			assert_string_equal(t.d->statuses[0].reason,
					    "250 2.0.0 Ok: queued as 1");
		}
		talk_close(&t);
		talloc_free(second);
	}
}

static void envelope_parameters_go_where_they_are_understood(void **state)
{
	static const char *const scripts[] = {
	    PIPELINING "< MAIL FROM:<me@client.test> SIZE=12 "
		       "BODY=8BITMIME RET=HDRS ENVID=a+2Bb\n"
		       "> 250 ok\n"
		       "< RCPT TO:<\"j o\"@example.test> "
		       "NOTIFY=SUCCESS,DELAY ORCPT=rfc822;j+2Bx@y.test\n"
		       "> 250 ok\n< DATA\n> 354 go\n" DOT QUIT,
	    HELLO "< MAIL FROM:<me@client.test>\r\n> 250 ok\n"
		  "< RCPT TO:<jo@example.test>\r\n> 250 ok\n"
		  "< DATA\n> 354 go\n" DOT QUIT,
	    NULL};
	static const char *const odd[] = {"j o@example.test", NULL};
	static const char *const settings[] = {
	    "smtp_connection_cache_on_demand=no", NULL};
	const struct world_message message = {
	    .sender = "me@client.test",
	    .recipients = odd,
	    .text = "A: b\r\n\r\nhi\r\n",
	    .transport = "smtp",
	    .flags = ENVELOPE_8BIT,
	};
	struct world_message addressed = message;
	struct talk t;

	talk_open(&t, scripts, settings);
	addressed.nexthop =
	    mem_printf(t.w, "[127.0.0.1]:%d", fake_server_port(t.server));
	t.d = world_delivery(t.w, &addressed);
	t.d->image->env->dsn_ret = DSN_RET_HDRS;
	t.d->image->env->dsn_envid = "a+b";
	t.d->request->recipients[0].notify =
	    DSN_NOTIFY_SUCCESS | DSN_NOTIFY_DELAY;
	t.d->request->recipients[0].dsn_orcpt = "rfc822;j+x@y.test";
	smtp_client_deliver(t.client, t.d);
	assert_int_equal(t.d->statuses[0].action, DELIVERY_SENT);
	talk_deliver(&t, one, "A: b\r\n\r\nhi\r\n", 0);
	assert_int_equal(t.d->statuses[0].action, DELIVERY_SENT);
	talk_close(&t);
}

static void the_next_host_is_tried(void **state)
{
	static const char *const scripts[] = {
	    HELLO "< MAIL\n> 451 4.0.0 later\n" QUIT, HELLO ONE_MESSAGE QUIT,
	    NULL};
	struct talk t;
	struct world_message message = {.sender = "me@client.test",
					.recipients = one,
					.text = "A: b\r\n\r\nhi\r\n",
					.transport = "smtp"};

	talk_open(&t, scripts, NULL);
	message.nexthop =
	    mem_printf(t.w,
		       "[127.0.0.1]:1, [127.0.0.1]:%d, "
		       "[localhost]:%d",
		       fake_server_port(t.server), fake_server_port(t.server));
	t.d = world_delivery(t.w, &message);
	smtp_client_deliver(t.client, t.d);
	assert_string_equal(t.d->statuses[0].reason,
			    "250 2.0.0 Ok: queued as 1");
	assert_non_null(strstr(world_log(t.w),
			       "connect to 127.0.0.1[127.0.0.1]:1: "
			       "Connection refused\n"));
	assert_int_equal(t.d->site.rc, RC_OK);
	talk_close(&t);
}

static void a_dead_destination_is_reported_as_such(void **state)
{
	static const char *const none[] = {NULL};
	struct talk t;
	const struct world_message message = {
	    .sender = "me@client.test",
	    .recipients = one,
	    .text = "A: b\r\n\r\nhi\r\n",
	    .transport = "smtp",
	    .nexthop = "[127.0.0.1]:1",
	};

	talk_open(&t, none, NULL);
	t.d = world_delivery(t.w, &message);
	smtp_client_deliver(t.client, t.d);
	assert_string_equal(t.d->statuses[0].dsn, "4.4.1");
	assert_string_equal(t.d->statuses[0].reason,
			    "connect to 127.0.0.1[127.0.0.1]:1: Connection "
			    "refused");
	assert_int_equal(t.d->site.rc, RC_TEMP);
	assert_string_equal(t.d->site.text, t.d->statuses[0].reason);
	talk_close(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(
		what_a_server_does_wrong_is_said_as_the_reference_says_it),
	    cmocka_unit_test(each_recipient_has_its_own_reply),
	    cmocka_unit_test(tls_that_is_demanded_is_never_left_out),
	    cmocka_unit_test(content_arrives_as_it_was),
	    cmocka_unit_test(
		a_connection_is_used_again_where_mail_follows_mail),
	    cmocka_unit_test(a_kept_connection_that_is_gone_costs_nothing),
	    cmocka_unit_test(envelope_parameters_go_where_they_are_understood),
	    cmocka_unit_test(the_next_host_is_tried),
	    cmocka_unit_test(a_dead_destination_is_reported_as_such),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
