/* SPDX-License-Identifier: Apache-2.0 */
/* What is expected is what the reference answers. */
#include "world.h"

#include "base/buf.h"
#include "rule/restriction.h"
#include "sys/trace.h"

#define SETTINGS                                                               \
	"mynetworks = 192.0.2.1\n"                                             \
	"mydestination = example.test\n"                                       \
	"local_recipient_maps = inline:{ jo=yes ann=yes }\n"                   \
	"relay_domains = relay.test\n"

struct lists {
	struct world *w;
	struct restrictions *restrictions;
	struct restriction_state state;
	struct restriction_verdict verdict;
	struct restriction_request request;
};

static enum rc lists_try(struct world *w, struct restrictions **ret,
			 struct fault *fault)
{
	struct recipient_lists *recipients;
	struct resolver *resolver;

	if (resolver_open(w->mem, w->conf, &resolver, fault) != RC_OK ||
	    recipient_lists_open(w->mem, w->conf, resolver, &recipients,
				 fault) != RC_OK)
		fail_msg("%s", fault->text);
	return restrictions_open(w->mem, w->conf, resolver, recipients, ret,
				 fault);
}

static struct lists *lists_new(const char *settings)
{
	struct lists *l = mem_new(NULL, struct lists);
	struct fault fault = { 0 };

	l->w = world_new(mem_printf(l, "%s%s", SETTINGS, settings), "");
	if (lists_try(l->w, &l->restrictions, &fault) != RC_OK)
		fail_msg("%s", fault.text);
	l->request = (struct restriction_request){
		.client_name = "mail.client.test",
		.client_address = "192.0.2.9",
		.reverse_name = "mail.client.test",
		.server_address = "192.0.2.25",
		.helo = "client.test",
		.sender = "ann@client.test",
		.recipient = "jo@example.test",
	};
	return l;
}

static void lists_free(struct lists *l)
{
	world_free(l->w);
	talloc_free(l);
}

/* The reply, or "" when the command may go on. */
static const char *lists_ask(struct lists *l, enum restriction_stage stage)
{
	enum rc rc = restrictions_ask(l->restrictions, l->w->mem, stage,
				      &l->request, &l->state, &l->verdict);

	if (rc == RC_OK)
		return "";
	assert_int_equal(rc, l->verdict.code >= 500 ? RC_PERM : RC_TEMP);
	return l->verdict.text;
}

static void a_list_that_refuses_nobody_does_not_start(void **state)
{
	static const struct {
		const char *settings, *text;
	} cases[] = {
		{ "smtpd_relay_restrictions = permit\n",
		  "in parameter smtpd_relay_restrictions or "
		  "smtpd_recipient_restrictions, specify" },
		{ "smtpd_relay_restrictions =\n"
		  "smtpd_recipient_restrictions = permit, reject\n",
		  "in parameter smtpd_relay_restrictions or" },
		{ "smtpd_relay_restrictions = warn_if_reject reject\n",
		  "in parameter smtpd_relay_restrictions or" },
		{ "smtpd_sender_restrictions = check_sender_access\n",
		  "parameter smtpd_sender_restrictions: restriction "
		  "check_sender_access needs a type:table" },
		{ "smtpd_restriction_classes = a\na = b\n"
		  "smtpd_restriction_classes = a b\nb = a\n"
		  "smtpd_helo_restrictions = a\n",
		  "restriction classes nest too deep" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct world *w = world_new(cases[i].settings, "");
		struct restrictions *restrictions;
		struct fault fault = { 0 };

		print_message("  %s", cases[i].settings);
		assert_int_equal(lists_try(w, &restrictions, &fault), RC_CONF);
		if (strstr(fault.text, cases[i].text) == NULL)
			fail_msg("%s", fault.text);
		world_free(w);
	}
}

static void the_default_lists_keep_strangers_out(void **state)
{
	struct lists *l = lists_new("");

	assert_string_equal(lists_ask(l, AT_RCPT), "");
	l->request.recipient = "u@relay.test";
	assert_string_equal(lists_ask(l, AT_RCPT), "");
	l->request.recipient = "u@elsewhere.test";
	assert_string_equal(lists_ask(l, AT_RCPT),
			    "454 4.7.1 <u@elsewhere.test>: Relay access "
			    "denied");
	l->request.recipient = "u%elsewhere.test@relay.test";
	assert_string_equal(lists_ask(l, AT_RCPT),
			    "454 4.7.1 <u%elsewhere.test@relay.test>: Relay "
			    "access denied");
	l->request.client_address = "192.0.2.1";
	l->request.recipient = "u@elsewhere.test";
	assert_string_equal(lists_ask(l, AT_RCPT), "");
	/* even who may relay hears that somebody does not exist */
	l->request.recipient = "nobody@example.test";
	assert_string_equal(lists_ask(l, AT_RCPT),
			    "550 5.1.1 <nobody@example.test>: Recipient "
			    "address rejected: User unknown in local recipient "
			    "table");
	l->request.recipient = "PostMaster";
	assert_string_equal(lists_ask(l, AT_RCPT), "");
	lists_free(l);
}

/* One list, one answer. */
static const struct {
	const char *settings;
	enum restriction_stage stage;
	const char *reply;
} answers[] = {
	{ "smtpd_client_restrictions = reject\n", AT_RCPT,
	  "554 5.7.1 <mail.client.test[192.0.2.9]>: Client host rejected: "
	  "Access denied" },
	{ "smtpd_client_restrictions = reject\n", AT_CONNECT, "" },
	{ "smtpd_client_restrictions = reject\nsmtpd_delay_reject = no\n",
	  AT_CONNECT,
	  "554 5.7.1 <mail.client.test[192.0.2.9]>: Client host rejected: "
	  "Access denied" },
	{ "smtpd_helo_restrictions = defer\n", AT_RCPT,
	  "450 4.3.2 <client.test>: Helo command rejected: Try again later" },
	{ "smtpd_sender_restrictions = PERMIT, reject\n", AT_RCPT, "" },
	{ "smtpd_sender_restrictions = permit\n"
	  "smtpd_recipient_restrictions = reject\n",
	  AT_RCPT,
	  "554 5.7.1 <jo@example.test>: Recipient address rejected: Access "
	  "denied" },
	{ "smtpd_data_restrictions = reject\n", AT_DATA,
	  "554 5.7.1 <DATA>: Data command rejected: Access denied" },
	{ "smtpd_end_of_data_restrictions = reject\n", AT_END_OF_DATA,
	  "554 5.7.1 <END-OF-MESSAGE>: End-of-data rejected: Access denied" },
	{ "smtpd_recipient_restrictions = reject_foo\n", AT_RCPT,
	  "451 4.3.5 Server configuration error" },
	{ "smtpd_recipient_restrictions = warn_if_reject reject, permit\n",
	  AT_RCPT, "" },
	{ "smtpd_recipient_restrictions = warn_if_reject reject_foo\n",
	  AT_RCPT, "451 4.3.5 Server configuration error" },
	{ "smtpd_recipient_restrictions = reject\nsoft_bounce = yes\n",
	  AT_RCPT,
	  "454 4.7.1 <jo@example.test>: Recipient address rejected: Access "
	  "denied" },
	{ "smtpd_recipient_restrictions = defer_if_permit\n", AT_RCPT,
	  "450 4.7.0 <jo@example.test>: Recipient address rejected: "
	  "defer_if_permit requested" },
	{ "smtpd_client_restrictions = defer_if_permit\n", AT_RCPT,
	  "450 4.7.0 <mail.client.test[192.0.2.9]>: Client host rejected: "
	  "defer_if_permit requested" },
	{ "smtpd_recipient_restrictions = defer_if_permit, reject\n", AT_RCPT,
	  "554 5.7.1 <jo@example.test>: Recipient address rejected: Access "
	  "denied" },
	{ "smtpd_recipient_restrictions = defer_if_reject, reject\n", AT_RCPT,
	  "450 4.7.0 <jo@example.test>: Recipient address rejected: "
	  "defer_if_reject requested" },
	{ "smtpd_recipient_restrictions = defer_if_reject\n", AT_RCPT, "" },
	{ "smtpd_restriction_classes = strict\nstrict = permit_mynetworks, "
	  "reject\nsmtpd_sender_restrictions = strict\n",
	  AT_RCPT,
	  "554 5.7.1 <ann@client.test>: Sender address rejected: Access "
	  "denied" },
	{ "smtpd_recipient_restrictions = check_client_access "
	  "inline:{ client.test=REJECT }\n",
	  AT_RCPT,
	  "554 5.7.1 <mail.client.test[192.0.2.9]>: Client host rejected: "
	  "Access denied" },
	{ "smtpd_recipient_restrictions = check_client_access "
	  "inline:{ 192.0=DEFER }\n",
	  AT_RCPT,
	  "450 4.7.1 <mail.client.test[192.0.2.9]>: Client host rejected: "
	  "Access denied" },
	{ "smtpd_recipient_restrictions = check_helo_access "
	  "inline:{ { client.test=5.1.7 x } }\n",
	  AT_RCPT, "451 4.3.5 Server configuration error" },
	{ "smtpd_recipient_restrictions = check_sender_access "
	  "inline:{ { client.test=REJECT 5.1.1 who } }\n",
	  AT_RCPT,
	  "554 5.1.7 <ann@client.test>: Sender address rejected: who" },
	{ "smtpd_recipient_restrictions = check_sender_access "
	  "inline:{ { ann@=421 4.7.0 later } }\n",
	  AT_RCPT,
	  "421 4.7.0 <ann@client.test>: Sender address rejected: later" },
	{ "smtpd_recipient_restrictions = check_recipient_access "
	  "inline:{ jo@example.test=OK }, reject\n",
	  AT_RCPT, "" },
	{ "smtpd_recipient_restrictions = check_recipient_access "
	  "inline:{ jo@example.test=DUNNO example.test=REJECT }\n",
	  AT_RCPT, "" },
	{ "smtpd_recipient_restrictions = check_recipient_access "
	  "inline:{ { example.test=permit_mynetworks, reject } }\n",
	  AT_RCPT,
	  "554 5.7.1 <jo@example.test>: Recipient address rejected: Access "
	  "denied" },
	{ "smtpd_recipient_restrictions = check_recipient_access fail:x\n",
	  AT_RCPT,
	  "451 4.3.5 <jo@example.test>: Recipient address rejected: Server "
	  "configuration error" },
	{ "smtpd_recipient_restrictions = check_recipient_access "
	  "hash:/nonexistent/table\n",
	  AT_RCPT,
	  "451 4.3.5 <jo@example.test>: Recipient address rejected: Server "
	  "configuration error" },
	{ "smtpd_client_restrictions = inline:{ mail.client.test=REJECT }\n",
	  AT_RCPT,
	  "554 5.7.1 <mail.client.test[192.0.2.9]>: Client host rejected: "
	  "Access denied" },
	{ "mynetworks = fail:x\n", AT_RCPT,
	  "451 4.3.0 <jo@example.test>: Temporary lookup failure" },
	{ "relay_domains = fail:x\nmydestination =\n", AT_RCPT,
	  "451 4.3.0 <jo@example.test>: Temporary lookup failure" },
	{ "local_recipient_maps = fail:x\n", AT_RCPT,
	  "451 4.3.0 <jo@example.test>: Temporary lookup failure" },
	{ "smtpd_recipient_restrictions = reject_plaintext_session\n", AT_RCPT,
	  "450 4.7.1 Session encryption is required" },
};

static void each_list_gives_its_answer(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
		struct lists *l = lists_new(answers[i].settings);
		const char *reply = lists_ask(l, answers[i].stage);

		if (strcmp(reply, answers[i].reply) != 0)
			fail_msg("%s%s\nwanted %s", answers[i].settings, reply,
				 answers[i].reply);
		lists_free(l);
	}
}

static void names_must_be_what_they_claim(void **state)
{
	static const struct {
		const char *list, *helo, *sender, *reply;
	} cases[] = {
		{ "reject_invalid_helo_hostname", "a.test", "", "" },
		{ "reject_invalid_helo_hostname", "[192.0.2.1]", "", "" },
		{ "reject_invalid_helo_hostname", "a..test", "",
		  "501 5.5.2 <a..test>: Helo command rejected: Invalid name" },
		{ "reject_invalid_helo_hostname", "[192.0.2]", "",
		  "501 5.5.2 <[192.0.2]>: Helo command rejected: invalid ip "
		  "address" },
		{ "reject_non_fqdn_helo_hostname", "localhost", "",
		  "504 5.5.2 <localhost>: Helo command rejected: need "
		  "fully-qualified hostname" },
		{ "reject_non_fqdn_sender", "a.test", "ann",
		  "504 5.5.2 <ann>: Sender address rejected: need "
		  "fully-qualified address" },
		{ "reject_non_fqdn_sender", "a.test", "ann@localhost",
		  "504 5.5.2 <ann@localhost>: Sender address rejected: need "
		  "fully-qualified address" },
		{ "reject_non_fqdn_sender", "a.test", "ann@[192.0.2.1]", "" },
		{ "reject_non_fqdn_sender", "a.test", "", "" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
		struct lists *l = lists_new(
			mem_printf(tmp, "smtpd_recipient_restrictions = %s\n",
				   cases[i].list));

		l->request.helo = cases[i].helo;
		l->request.sender = cases[i].sender;
		assert_string_equal(lists_ask(l, AT_RCPT), cases[i].reply);
		lists_free(l);
	}
}

static void what_is_not_refused_is_noted(void **state)
{
	struct lists *l = lists_new(
		"smtpd_recipient_restrictions = check_sender_access "
		"inline:{ { client.test=HOLD } }, check_recipient_access "
		"inline:{ { jo@example.test=FILTER smtp:[192.0.2.3] } }, "
		"warn_if_reject reject\n");
	const struct restriction_note *note;

	assert_string_equal(lists_ask(l, AT_RCPT), "");
	note = l->verdict.notes;
	assert_string_equal(note->what, "hold");
	assert_string_equal(note->text, "<ann@client.test>: Sender address "
					"triggers HOLD action");
	note = note->next;
	assert_string_equal(note->what, "filter");
	assert_string_equal(note->text, "<jo@example.test>: Recipient address "
					"triggers FILTER smtp:[192.0.2.3]");
	note = note->next;
	assert_string_equal(note->what, "reject_warning");
	assert_null(note->next);
	assert_true(l->state.hold);
	assert_string_equal(l->state.filter, "smtp:[192.0.2.3]");
	restriction_state_reset(&l->state);
	assert_false(l->state.hold);
	lists_free(l);
}

static void a_421_closes_the_connection(void **state)
{
	struct lists *l = lists_new(
		"smtpd_recipient_restrictions = check_sender_access "
		"inline:{ { client.test=521 5.7.1 bye } }\n");

	assert_string_equal(lists_ask(l, AT_RCPT),
			    "521 5.7.1 <ann@client.test>: Sender address "
			    "rejected: bye");
	assert_true(l->verdict.close);
	lists_free(l);
}

static void a_name_that_cannot_be_asked_is_tried_later(void **state)
{
	struct lists *l = lists_new(
		"smtpd_client_restrictions = reject_unknown_client_hostname\n"
		"unknown_client_reject_code = 550\n");

	assert_string_equal(lists_ask(l, AT_RCPT), "");
	l->request.client_name_rc = RC_PERM;
	assert_string_equal(lists_ask(l, AT_RCPT),
			    "550 5.7.25 Client host rejected: cannot find your "
			    "hostname, [192.0.2.9]");
	l->request.client_name_rc = RC_TEMP;
	assert_string_equal(lists_ask(l, AT_RCPT),
			    "450 4.7.25 Client host rejected: cannot find your "
			    "hostname, [192.0.2.9]");
	lists_free(l);
}

static void a_permit_put_off_comes_before_who_is_unlisted(void **state)
{
	struct lists *l = lists_new(
		"smtpd_sender_restrictions = defer_if_permit\n"
		"smtpd_relay_restrictions = reject_unauth_destination\n");

	l->request.recipient = "nobody@example.test";
	assert_string_equal(lists_ask(l, AT_RCPT),
			    "450 4.7.0 <ann@client.test>: Sender address "
			    "rejected: defer_if_permit requested");
	l->request.recipient = "u@elsewhere.test";
	assert_string_equal(lists_ask(l, AT_RCPT),
			    "554 5.7.1 <u@elsewhere.test>: Relay access "
			    "denied");
	lists_free(l);
}

struct listener {
	struct trace trace;
	struct buf said;
};

static void hear(struct trace *trace, const struct trace_event *event)
{
	static const char *const kinds[] = {
		"list", "end", "rule", "did", "skip", "says",
		"table", "match", "dns", "policy", "verify",
	};
	static const char *const results[] = { "dunno", "ok", "reject" };
	struct buf *out = &((struct listener *)trace)->said;

	buf_addf(out, "%s %s", kinds[event->kind], event->name);
	if (event->kind == TRACE_TABLE || event->kind == TRACE_MATCH)
		buf_addf(out, " %.*s rc%d", SPAN_FMT(event->key), event->rc);
	if (event->value.len > 0)
		buf_addf(out, " %.*s", SPAN_FMT(event->value));
	if (event->kind == TRACE_RULE_END || event->kind == TRACE_LIST_END)
		buf_addf(out, " %s", results[event->result]);
	if (event->warns)
		buf_add_text(out, " warns");
	if (event->kind == TRACE_RULE_BEGIN && event->source != NULL)
		buf_addf(out, " @%s+%zu", event->source, event->offset);
	buf_add_char(out, '\n');
}

static void who_listens_hears_every_step(void **state)
{
	struct lists *l = lists_new(
		"smtpd_client_restrictions = permit_mynetworks,\n"
		"  check_client_access inline:{ client.test=one }, reject\n"
		"smtpd_restriction_classes = one\n"
		"one = warn_if_reject reject, permit\n"
		"smtpd_relay_restrictions = reject_unauth_destination\n"
		"smtpd_delay_reject = no\n");
	struct listener listener = { .trace = { .event = hear } };
	const char *want =
		"list smtpd_client_restrictions\n"
		"rule permit_mynetworks @smtpd_client_restrictions+0\n"
		"match mynetworks 192.0.2.9 rc1\n"
		"did permit_mynetworks dunno\n"
		"rule check_client_access inline:{ client.test=one } "
		"@smtpd_client_restrictions+20\n"
		"table inline:{ client.test=one } mail.client.test rc1\n"
		"table inline:{ client.test=one } client.test rc0 one\n"
		"rule one @inline:{ client.test=one }+0\n"
		"rule reject warns @one+15\n"
		"says reject_warning 554 5.7.1 <mail.client.test[192.0.2.9]>: "
		"Client host rejected: Access denied\n"
		"did reject dunno warns\n"
		"rule permit @one+23\n"
		"did permit ok\n"
		"did one ok\n"
		"did check_client_access inline:{ client.test=one } ok\n"
		"skip reject\n"
		"end smtpd_client_restrictions ok\n";

	buf_init(&listener.said, l, 64 * 1024);
	assert_null(trace_set(&listener.trace));
	assert_string_equal(lists_ask(l, AT_CONNECT), "");
	assert_ptr_equal(trace_set(NULL), &listener.trace);
	assert_string_equal(buf_text(&listener.said), want);
	assert_string_equal(lists_ask(l, AT_CONNECT), "");
	assert_string_equal(buf_text(&listener.said), want);
	lists_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_list_that_refuses_nobody_does_not_start),
		cmocka_unit_test(the_default_lists_keep_strangers_out),
		cmocka_unit_test(each_list_gives_its_answer),
		cmocka_unit_test(names_must_be_what_they_claim),
		cmocka_unit_test(what_is_not_refused_is_noted),
		cmocka_unit_test(a_421_closes_the_connection),
		cmocka_unit_test(a_name_that_cannot_be_asked_is_tried_later),
		cmocka_unit_test(who_listens_hears_every_step),
		cmocka_unit_test(
			a_permit_put_off_comes_before_who_is_unlisted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
