/* SPDX-License-Identifier: Apache-2.0 */
/* Messages through cleanup into a queue of their own, read back from it. What
 * the results should be was seen at the reference server. */
#include "world.h"

#include "queue/image.h"
#include "queue/store.h"
#include "rule/cleanup.h"

enum { CONTENT_MAX_BYTES = 1024 * 1024, LINES_MAX = 64 };

/* Saturday 2026-11-21 22:58:52 UTC */
static const uint64_t arrival_us = 1795301932ull * 1000000;

struct post {
	int flags;
	const char *sender;
	const char *recipients[8];
	const char *content; /* LF line ends */
	const char *full_name;
	const char *filter;
};

struct result {
	enum rc rc;
	struct fault fault;
	bool discarded;
	const char *id;
	struct envelope *env; /* NULL: nothing was queued */
	char *content;	      /* LF line ends, the id as QID */
};

struct sight {
	struct world *w;
	struct store *store;
	struct result *result;
};

static char *content_read(struct world *w, const struct image *image)
{
	char *text = talloc_zero_array(w->mem, char, CONTENT_MAX_BYTES);
	size_t len = 0, got;
	struct fault fault;

	do {
		assert_int_equal(image_content_read(image, len, text + len,
						    CONTENT_MAX_BYTES - len - 1,
						    &got, &fault),
				 RC_OK);
		len += got;
	} while (got > 0);
	return text;
}

/* CRLF to LF, and the queue id to "QID". */
static char *content_plain(struct world *w, const char *text, const char *id)
{
	struct buf out;

	buf_init(&out, w->mem, CONTENT_MAX_BYTES);
	buf_add_text(&out, "");
	for (; *text != '\0'; text++) {
		if (span_starts(span_from(text), id)) {
			buf_add_text(&out, "QID");
			text += strlen(id) - 1;
		} else if (text[0] != '\r' || text[1] != '\n') {
			buf_add_char(&out, *text);
		}
	}
	return out.data;
}

static void found(void *arg, TALLOC_CTX *mem, const struct store_entry *entry)
{
	struct sight *sight = arg;
	struct image *image;
	struct fault fault;
	int fd;

	assert_null(sight->result->env);
	sight->result->env = talloc_steal(sight->w->mem, entry->env);
	assert_int_equal(store_descriptor(sight->store, &entry->place,
					  entry->env->queue_id, &fd, &fault),
			 RC_OK);
	assert_int_equal(image_open(sight->w->mem, fd, entry->place.offset,
				    true, &image, &fault),
			 RC_OK);
	sight->result->content = content_plain(sight->w,
					       content_read(sight->w, image),
					       entry->env->queue_id);
}

static void queue_read(struct world *w, struct result *result)
{
	struct sight sight = { w, NULL, result };
	struct fault fault;

	if (store_open(w->mem, w->dir, STORE_READ_ONLY, &sight.store, &fault) !=
	    RC_OK)
		fail_msg("%s", fault.text);
	assert_int_equal(store_scan(sight.store, found, &sight, &fault), RC_OK);
	talloc_free(sight.store);
}

static void feed(struct cleanup *c, const char *content)
{
	struct span rest = span_from(content), line;

	while (rest.len > 0 && span_cut(&rest, '\n', &line))
		cleanup_line(c, line, false);
}

static void post_send(struct cleanup_service *service, TALLOC_CTX *mem,
		      const struct post *post, struct result *result)
{
	const struct cleanup_origin origin = {
		.flags = post->flags,
		.received = "Received: by mx.example.test (Postfix)\r\n"
			    "\tid %QID%; now\r\n",
		.arrival_us = arrival_us,
		.full_name = post->full_name,
		.filter = post->filter,
	};
	struct cleanup *c;
	enum rc rc;

	assert_int_equal(cleanup_begin(mem, service, &origin, &c,
				       &result->fault),
			 RC_OK);
	rc = cleanup_sender(c, span_from(post->sender), &result->fault);
	for (size_t i = 0; rc == RC_OK && post->recipients[i] != NULL; i++)
		rc = cleanup_recipient(c, span_from(post->recipients[i]),
				       span_from(post->recipients[i]), NULL, 0,
				       &result->fault);
	if (rc == RC_OK) {
		feed(c, post->content);
		rc = cleanup_finish(c, &result->discarded, &result->fault);
	}
	result->rc = rc;
	talloc_free(c);
}

static struct world *run(const char *main_cf, const struct post *post,
			 struct result *result)
{
	struct world *w = world_new(main_cf, "");
	const struct intake_config config = {
		.queue_directory = w->dir,
		.writer = "test",
		.qmgr_socket = "public/qmgr",
		.memory_budget_bytes = 1024 * 1024,
		.min_free_bytes = 1,
		.commit_timeout_ms = 10000,
	};
	TALLOC_CTX *mem = talloc_new(NULL);
	struct cleanup_service *service;
	struct intake *intake;
	struct fault fault = { 0 };

	*result = (struct result){ 0 };
	setenv("TZ", "UTC", 1);
	if (intake_open(mem, &config, &intake, &fault) != RC_OK ||
	    cleanup_service_open(mem, w->conf, intake, &service, &fault) !=
		    RC_OK)
		fail_msg("%s", fault.text);
	post_send(service, mem, post, result);
	talloc_free(mem);
	queue_read(w, result);
	return w;
}

static const char head[] = "Received: by mx.example.test (Postfix)\n"
			   "\tid QID; now\n";
static const char added[] =
	"Message-Id: <20261121225852.QID@mx.example.test>\n"
	"Date: Sat, 21 Nov 2026 22:58:52 +0000 (UTC)\n";

/* The content between our Received: and the end. */
static void content_is(const struct result *result, const char *want)
{
	assert_int_equal(result->rc, RC_OK);
	assert_non_null(result->content);
	assert_true(span_starts(span_from(result->content), head));
	assert_string_equal(result->content + strlen(head), want);
}

enum { LOCAL = CLEANUP_SMTPD | CLEANUP_LOCAL };

static void missing_headers_come_last(void **state)
{
	static const struct {
		const char *why;
		int flags;
		const char *sender, *full_name, *content, *want;
	} cases[] = {
		{ "all but the subject", LOCAL, "joe", NULL,
		  "Subject: x\n\nb\n", "Subject: x\nADDED"
				       "From: joe@mx.example.test\n\nb\n" },
		{ "a full name", LOCAL, "joe", "root", "\nb\n",
		  "ADDEDFrom: root <joe@mx.example.test>\n\nb\n" },
		{ "a full name to quote", LOCAL, "joe", "Joe \"D\" Doe, x",
		  "\nb\n",
		  "ADDEDFrom: \"Joe \\\"D\\\" Doe, x\" "
		  "<joe@mx.example.test>\n\nb\n" },
		{ "the null sender", LOCAL, "", NULL, "\nb\n",
		  "ADDEDFrom: MAILER-DAEMON\n\nb\n" },
		{ "nothing missing", LOCAL, "joe", NULL,
		  "From: a@b\nDate: d\nMessage-ID: <x>\n\n",
		  "From: a@b\nDate: d\nMessage-ID: <x>\n\n" },
		{ "a remote client", CLEANUP_SMTPD, "joe", NULL,
		  "Subject: x\n\nb\n", "Subject: x\n\nb\n" },
		{ "no header", LOCAL, "joe", NULL, "just text\nmore\n",
		  "ADDEDFrom: joe@mx.example.test\n\njust text\nmore\n" },
		{ "no body", LOCAL, "joe", NULL, "Subject: x\n",
		  "Subject: x\nADDEDFrom: joe@mx.example.test\n\n" },
		{ "nothing at all", LOCAL, "joe", NULL, "",
		  "ADDEDFrom: joe@mx.example.test\n\n" },
		{ "text amid the header", LOCAL, "joe", NULL,
		  "Subject: x\nno header\nTo: a\n\nb\n",
		  "Subject: x\nADDEDFrom: joe@mx.example.test\n\nno header\n"
		  "To: a\n\nb\n" },
		{ "a continuation of nothing", LOCAL, "joe", NULL,
		  " foo\nSubject: x\n\nb\n",
		  "ADDEDFrom: joe@mx.example.test\n\n foo\nSubject: x\n\nb\n" },
		{ "lines of a mailbox", LOCAL, "joe", NULL,
		  "From joe x\n>From y\nFrom: a@b\nDate: d\n"
		  "Message-Id: <x>\n\nb\n",
		  "X-Mailbox-Line: From joe x\nX-Mailbox-Line: >From y\n"
		  "From: a@b\nDate: d\nMessage-Id: <x>\n\nb\n" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct post post = { .flags = cases[i].flags,
					   .sender = cases[i].sender,
					   .recipients = { "a@b.c" },
					   .content = cases[i].content,
					   .full_name = cases[i].full_name };
		const char *mark = strstr(cases[i].want, "ADDED");
		struct result result;
		struct world *w = run("", &post, &result);
		const char *want = cases[i].want;

		print_message("  %s\n", cases[i].why);
		if (mark != NULL)
			want = mem_printf(w->mem, "%.*s%s%s",
					  (int)(mark - want), want, added,
					  mark + strlen("ADDED"));
		content_is(&result, want);
		world_free(w);
	}
}

static void the_name_in_a_made_from_header_is_well_formed(void **state)
{
	static const struct {
		const char *settings, *name, *want;
	} cases[] = {
		{ "", "Jo Doe", "From: Jo Doe <joe@mx.example.test>\n" },
		{ "", "a!b", "From: \"a!b\" <joe@mx.example.test>\n" },
		{ "", "J. Doe", "From: \"J. Doe\" <joe@mx.example.test>\n" },
		{ "", "B\303\274rger",
		  "From: =?utf-8?B?QsO8cmdlcg==?= <joe@mx.example.test>\n" },
		{ "header_from_format = obsolete\n", "Jo (D) Doe",
		  "From: joe@mx.example.test (Jo \\(D\\) Doe)\n" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct post post = { .flags = LOCAL,
					   .sender = "joe",
					   .recipients = { "a@b.c" },
					   .content = "\n",
					   .full_name = cases[i].name };
		struct result result;
		struct world *w = run(cases[i].settings, &post, &result);

		print_message("  %s\n", cases[i].name);
		assert_int_equal(result.rc, RC_OK);
		assert_non_null(strstr(result.content, cases[i].want));
		world_free(w);
	}
}

static void utf8_asks_for_smtputf8_where_it_is_detected(void **state)
{
	static const struct {
		int flags;
		const char *recipient, *content;
		bool want;
	} cases[] = {
		{ LOCAL, "a@b", "Subject: h\303\251\n\n", false },
		{ LOCAL | CLEANUP_DETECT_UTF8, "a@b", "Subject: h\303\251\n\n",
		  true },
		{ LOCAL | CLEANUP_DETECT_UTF8, "a@b", "Subject: h\351\n\n",
		  false },
		{ LOCAL | CLEANUP_DETECT_UTF8, "a@b", "\nh\303\251\n", false },
		{ LOCAL | CLEANUP_DETECT_UTF8, "\303\251@b", "\n", true },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct post post = { .flags = cases[i].flags,
					   .sender = "joe",
					   .recipients = { cases[i].recipient },
					   .content = cases[i].content };
		struct result result;
		struct world *w = run("", &post, &result);

		assert_int_equal(result.rc, RC_OK);
		assert_int_equal((result.env->flags & ENVELOPE_SMTPUTF8) != 0,
				 cases[i].want);
		world_free(w);
	}
}

static void a_resent_message_gets_resent_headers(void **state)
{
	static const struct post post = {
		.flags = LOCAL,
		.sender = "joe",
		.recipients = { "a@b" },
		.content = "From: joe@x\nResent-To: w@q\n\nb\n",
		.full_name = "root",
	};
	struct result result;
	struct world *w = run("", &post, &result);

	content_is(&result,
		   "From: joe@x\nResent-To: w@q\n"
		   "Resent-Message-Id: <20261121225852.QID@mx.example.test>\n"
		   "Resent-Date: Sat, 21 Nov 2026 22:58:52 +0000 (UTC)\n"
		   "Resent-From: root <joe@mx.example.test>\n\nb\n");
	world_free(w);
}

static void headers_are_rewritten_by_class(void **state)
{
	static const struct post post = {
		.flags = LOCAL,
		.sender = "joe+x",
		.recipients = { "joe+x", "a@b.c", "x+e@dom", "snd", "rcp",
				"u@h.m.test" },
		.content =
			"From: joe+y, snd, rcp, u@h.m.test, root@h.m.test,\n"
			" u@no.m.test, u@a.no.m.test\n"
			"To: Joe <joe>, a@b.c, snd, rcp, \"x y\"@dom,\n"
			" u@h.m.test, u@m.test\n"
			"Resent-Reply-To: rcp\nX-Foo: joe\nDelivered-To: joe\n"
			"Apparently-To: joe\nErrors-To : joe (me)\n"
			"Mail-Followup-To: rcp, snd\n"
			"Message-Id: <m>\nDate: d\nResent-From: q@q\n"
			"Resent-Date: d\nResent-Message-Id: <n>\n"
			"Bcc: x@y\nReturn-Path: <a>\nContent-Length: 3\n"
			"\nTo: joe\n",
	};
	struct result result;
	struct world *w = run(
		"canonical_maps = inline:{joe=Joe.Doe@x.y,{a@b.c=c@b.c},"
		"{c@b.c=d@b.c},@dom=@dom2}\n"
		"sender_canonical_maps = inline:{snd=snd2@q}\n"
		"recipient_canonical_maps = inline:{rcp=rcp2@q}\n"
		"masquerade_domains = !no.m.test m.test\n"
		"masquerade_exceptions = root\nrecipient_delimiter = +\n",
		&post, &result);
	static const char *const want_recipients[] = {
		"Joe.Doe+x@x.y",       "d@b.c",	 "x+e@dom2",
		"snd@mx.example.test", "rcp2@q", "u@h.m.test"
	};

	content_is(
		&result,
		"From: Joe.Doe+y@x.y, snd2@q, rcp@mx.example.test, u@m.test, "
		"root@h.m.test,\n u@no.m.test, u@a.no.m.test\n"
		"To: Joe <Joe.Doe@x.y>, d@b.c, snd@mx.example.test, rcp2@q, "
		"\"x y\"@dom2,\n u@m.test, u@m.test\n"
		"Resent-Reply-To: rcp2@q\nX-Foo: joe\nDelivered-To: joe\n"
		"Apparently-To: Joe.Doe@x.y\nErrors-To: Joe.Doe@x.y (me)\n"
		"Mail-Followup-To: rcp@mx.example.test, snd2@q\n"
		"Message-Id: <m>\nDate: d\nResent-From: q@q\n"
		"Resent-Date: d\nResent-Message-Id: <n>\n"
		"\nTo: joe\n");
	assert_string_equal(result.env->sender, "Joe.Doe+x@x.y");
	assert_int_equal(result.env->recipient_count, 6);
	for (size_t i = 0; i < 6; i++)
		assert_string_equal(result.env->recipients[i].address,
				    want_recipients[i]);
	world_free(w);
}

static void remote_headers_stay_as_they_are(void **state)
{
	static const struct post post = {
		.flags = CLEANUP_SMTPD,
		.sender = "joe",
		.recipients = { "bob" },
		.content = "From: joe\nTo: bob\n\nb\n",
	};
	struct result result;
	struct world *w = run("canonical_maps = inline:{joe=new@x}\n", &post,
			      &result);

	content_is(&result, "From: joe\nTo: bob\n\nb\n");
	assert_string_equal(result.env->sender, "new@x");
	assert_string_equal(result.env->recipients[0].address,
			    "bob@mx.example.test");
	world_free(w);
	w = run("remote_header_rewrite_domain = domain.invalid\n", &post,
		&result);
	content_is(&result,
		   "From: joe@domain.invalid\nTo: bob@domain.invalid\n\nb\n");
	world_free(w);
}

static void recipients_are_expanded_and_copied(void **state)
{
	static const struct post post = {
		.flags = LOCAL,
		.sender = "x",
		.recipients = { "a@b.c", "u@d.e", "v@v.v", "u+ext@cat.x",
				"v+ext@v.v", "joe+e@one", "l@l" },
		.content = "From: a@b\nDate: d\nMessage-Id: <x>\n\nb\n",
	};
	static const struct {
		const char *address, *original;
		int notify;
	} want[] = {
		{ "a@b.c", "a@b.c", 0 },
		{ "rb@q", "rb@q", DSN_NOTIFY_NEVER },
		{ "u@d.e", "u@d.e", 0 },
		{ "rd@q", "rd@q", DSN_NOTIFY_NEVER },
		{ "e3@mx.example.test", "v@v.v", 0 },
		{ "e2@z", "v@v.v", 0 },
		{ "v@v.v", "v@v.v", 0 },
		{ "vb@q", "vb@q", DSN_NOTIFY_NEVER },
		{ "u+ext@dog.y", "u+ext@cat.x", 0 },
		{ "e3+ext@mx.example.test", "v+ext@v.v", 0 },
		{ "e2+ext@z", "v+ext@v.v", 0 },
		{ "v+ext@v.v", "v+ext@v.v", 0 },
		{ "joe@mx.example.test", "joe+e@one", 0 },
		{ "l@l", "l@l", 0 },
		{ "m@mx.example.test", "l@l", 0 },
		{ "sb@q", "sb@q", DSN_NOTIFY_NEVER },
		{ "arch2@mx.example.test", "arch@mx.example.test",
		  DSN_NOTIFY_NEVER },
	};
	struct result result;
	struct world *w = run(
		"always_bcc = arch\n"
		"sender_bcc_maps = inline:{x@mx.example.test=sb@q}\n"
		"recipient_bcc_maps = inline:{a@b.c=rb@q,@d.e=rd@q,"
		"v@v.v=vb@q}\n"
		"virtual_alias_maps = inline:{{v@v.v=e1, e2@z,v@v.v},"
		"@cat.x=@dog.y,e1=e3,arch=arch2,@one=joe,{l@l=l@l,m}}\n"
		"recipient_delimiter = +\nvirtual_alias_domains =\n",
		&post, &result);

	assert_int_equal(result.rc, RC_OK);
	for (size_t i = 0; i < result.env->recipient_count; i++)
		print_message("  %s\n", result.env->recipients[i].address);
	assert_int_equal(result.env->recipient_count, ARRAY_LEN(want));
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		const struct recipient *r = &result.env->recipients[i];

		assert_string_equal(r->address, want[i].address);
		assert_string_equal(r->original, want[i].original);
		assert_int_equal(r->notify, want[i].notify);
		if (want[i].notify != 0)
			assert_null(r->dsn_orcpt);
		else
			assert_string_equal(
				r->dsn_orcpt,
				mem_printf(w->mem, "rfc822;%s",
					   want[i].original));
	}
	world_free(w);
}

static void the_same_recipient_counts_once(void **state)
{
	static const struct post post = {
		.flags = LOCAL,
		.sender = "x",
		.recipients = { "a@b.c", "A@b.c", "a@B.c", "bob",
				"bob@mx.example.test", "Bob" },
		.content = "\n",
	};
	struct result result;
	struct world *w = run("", &post, &result);

	assert_int_equal(result.env->recipient_count, 3);
	world_free(w);
	w = run("enable_original_recipient = no\n", &post, &result);
	assert_int_equal(result.env->recipient_count, 2);
	world_free(w);
}

static void many_recipients_are_told_apart(void **state)
{
	static const struct post post = {
		.flags = LOCAL,
		.sender = "x",
		.recipients = { "list@l", "list@l" },
		.content = "\n",
	};
	struct result result;
	struct buf main_cf;
	struct world *w;
	TALLOC_CTX *mem = talloc_new(NULL);

	buf_init(&main_cf, mem, 65536);
	buf_add_text(&main_cf, "virtual_alias_maps = inline:{{list@l=");
	for (int i = 0; i < 100; i++)
		buf_addf(&main_cf, "u%d@x,U%d@X,", i, i);
	buf_add_text(&main_cf, "u@x}}\n");
	w = run(buf_text(&main_cf), &post, &result);
	assert_int_equal(result.rc, RC_OK);
	assert_int_equal(result.env->recipient_count, 101);
	world_free(w);
	talloc_free(mem);
}

static void aliases_without_end_are_refused(void **state)
{
	static const char *const settings[] = {
		"virtual_alias_maps = inline:{a@b=b@b,b@b=a@b}\n",
		"virtual_alias_maps = inline:{{a@b=1@b,2@b,3@b}}\n"
		"virtual_alias_expansion_limit = 2\n",
		"virtual_alias_maps = inline:{a@b=aaaaaaaaaaaaaaaaaaaa@b}\n"
		"virtual_alias_address_length_limit = 20\n",
	};
	static const struct post post = { .flags = LOCAL,
					  .sender = "x",
					  .recipients = { "a@b" },
					  .content = "\n" };

	for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
		struct result result;
		struct world *w = run(settings[i], &post, &result);

		assert_int_equal(result.rc, RC_TEMP);
		assert_string_equal(result.fault.dsn, "4.6.0");
		assert_null(result.env);
		world_free(w);
	}
}

static void a_failing_table_refuses_for_now(void **state)
{
	static const char *const tables[] = {
		"canonical_maps", "sender_canonical_maps",
		"recipient_canonical_maps", "virtual_alias_maps",
		"sender_bcc_maps", "recipient_bcc_maps", "header_checks",
		"body_checks",
	};
	static const struct post post = { .flags = LOCAL,
					  .sender = "x",
					  .recipients = { "a@b" },
					  .content = "Subject: x\n\nb\n" };

	for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
		char text[64];
		struct result result;
		struct world *w;

		snprintf(text, sizeof(text), "%s = fail:x\n", tables[i]);
		print_message("  %s", text);
		w = run(text, &post, &result);
		assert_int_equal(result.rc, RC_TEMP);
		assert_null(result.env);
		world_free(w);
	}
}

static void limits_are_met(void **state)
{
	static const struct {
		const char *settings, *content;
		enum rc rc;
		const char *dsn, *text;
	} cases[] = {
		{ "hopcount_limit = 5\n",
		  "Received: a\nReceived: b\nReceived: c\n\n", RC_OK, "", "" },
		{ "hopcount_limit = 5\n",
		  "Received: a\nReceived: b\nReceived: c\nReceived: d\n\n",
		  RC_PERM, "5.4.0", "Error: too many hops" },
		{ "message_size_limit = 200\nmailbox_size_limit = 0\n",
		  "Subject: x\n\n12345678901234567890123456789012345678901234"
		  "567890123456789012345678901234567890123456789012345678901"
		  "234567890123456789012345678901234567890123456789012345678"
		  "90\n",
		  RC_PERM, "5.3.4", "Error: message file too big" },
		{ "header_size_limit = 60\n",
		  "Subject: 01234567890123456789012345678901234567890123456789"
		  "01234567890123456789\n\n",
		  RC_OK, "", "" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct post post = { .flags = LOCAL,
					   .sender = "x",
					   .recipients = { "a@b" },
					   .content = cases[i].content };
		struct result result;
		struct world *w = run(cases[i].settings, &post, &result);

		assert_int_equal(result.rc, cases[i].rc);
		if (result.rc != RC_OK) {
			assert_string_equal(result.fault.dsn, cases[i].dsn);
			assert_string_equal(result.fault.text, cases[i].text);
			assert_null(result.env);
		}
		if (strstr(cases[i].settings, "header_size") != NULL)
			assert_non_null(strstr(
				result.content,
				"Subject: 0123456789012345678901234567890123456"
				"78901234567890\nMessage-Id:"));
		world_free(w);
	}
}

static void a_message_to_bounce_meets_no_limit(void **state)
{
	static const struct post post = {
		.flags = CLEANUP_BOUNCE,
		.sender = "x",
		.recipients = { "a@b" },
		.content = "Received: a\nReceived: b\n\nlong\n",
		.filter = "error:5.4.0 Error: too many hops",
	};
	struct result result;
	struct world *w = run("hopcount_limit = 2\nmessage_size_limit = 100\n"
			      "mailbox_size_limit = 0\n",
			      &post, &result);

	assert_int_equal(result.rc, RC_OK);
	assert_string_equal(result.env->filter,
			    "error:5.4.0 Error: too many hops");
	world_free(w);
}

static void checks_act_on_header_and_body(void **state)
{
	static const struct {
		const char *settings, *content;
		enum rc rc;
		const char *want; /* content, or text of the refusal */
	} cases[] = {
		{ "header_checks = pcre:{{/^Subject: bad/ REJECT}}\n",
		  "Subject: bad\n\n", RC_PERM, "message content rejected" },
		{ "header_checks = pcre:{{/^Subject: bad/ REJECT 4.7.2 later}}"
		  "\n",
		  "Subject: bad\n\n", RC_TEMP, "later" },
		{ "header_checks = pcre:{{/^X-A:.*\\n b/ IGNORE}}\n",
		  "X-A: a\n b\nX-B: c\n\n", RC_OK, "X-B: c\n\n" },
		{ "header_checks = pcre:{{/^X-A: (.*)/ REPLACE X-C: q}}\n",
		  "X-A: a\n\n", RC_OK, "X-C: q\n\n" },
		{ "header_checks = pcre:{{/^X-A:/ PREPEND X-P: p}}\n",
		  "X-A: a\n\n", RC_OK, "X-P: p\nX-A: a\n\n" },
		{ "header_checks = pcre:{{/^X-A:/ WARN hm}}\n", "X-A: a\n\n",
		  RC_OK, "X-A: a\n\n" },
		{ "body_checks = pcre:{{/evil/ REJECT no evil}}\n",
		  "X-A: a\n\ngood\nevil\n", RC_PERM, "no evil" },
		{ "body_checks = pcre:{{/evil/ IGNORE}}\n",
		  "X-A: a\n\ngood\nevil\nbye\n", RC_OK,
		  "X-A: a\n\ngood\nbye\n" },
		{ "body_checks = pcre:{{/evil/ REPLACE good}}\n",
		  "X-A: a\n\nevil\nbye\n", RC_OK, "X-A: a\n\ngood\nbye\n" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct post post = { .flags = CLEANUP_SMTPD,
					   .sender = "x@y",
					   .recipients = { "a@b" },
					   .content = cases[i].content };
		struct result result;
		struct world *w = run(cases[i].settings, &post, &result);

		print_message("  %s", cases[i].settings);
		assert_int_equal(result.rc, cases[i].rc);
		if (result.rc == RC_OK)
			content_is(&result, cases[i].want);
		else
			assert_string_equal(result.fault.text, cases[i].want);
		world_free(w);
	}
}

static void checks_know_the_parts_of_a_message(void **state)
{
	static const char content[] =
		"Subject: s\n"
		"Content-Type: multipart/mixed; x=\"a;b\"; (c) boundary=\"b 1\"\n"
		"\n"
		"preamble\n"
		"--b 1\n"
		"Content-Type: text/plain;\n name=virus.exe\n"
		"X-Part: 1\n"
		"\n"
		"X-Part: text\n"
		"--other\n"
		"--b 1 \n"
		"Content-Type: message/rfc822\n"
		"\n"
		"Subject: inner\n"
		"Content-Type: multipart/alternative; boundary=in\n"
		"\n"
		"--in\n"
		"\n"
		"deep text\n"
		"--in--\n"
		"\n"
		"--b 1--\n"
		"epilogue\n";
	static const struct {
		const char *settings;
		enum rc rc;
		const char *from, *to; /* what a change did */
	} cases[] = {
		{ "mime_header_checks = pcre:{{/name=virus/ REJECT}}\n",
		  RC_PERM, NULL, NULL },
		{ "mime_header_checks = pcre:{{/^X-Part:/ REPLACE X-New: 2}}\n",
		  RC_OK, "X-Part: 1", "X-New: 2" },
		{ "header_checks = pcre:{{/^X-Part:/ REJECT}}\n"
		  "mime_header_checks =\nnested_header_checks =\n",
		  RC_OK, "", "" },
		{ "nested_header_checks = pcre:{{/^Subject: inner/ IGNORE}}\n",
		  RC_OK, "Subject: inner\n", "" },
		{ "nested_header_checks = pcre:{{/^Subject: s$$/ REJECT}}\n",
		  RC_OK, "", "" },
		{ "nested_header_checks = pcre:{{/^Content-Type/ REJECT}}\n",
		  RC_OK, "", "" },
		{ "body_checks = pcre:{{/^X-Part: 1/ REJECT}}\n", RC_OK, "",
		  "" },
		{ "body_checks = pcre:{{/^X-Part: text/ REPLACE y}}\n", RC_OK,
		  "X-Part: text", "y" },
		{ "body_checks = pcre:{{/^deep/ REPLACE y}}\n", RC_OK,
		  "deep text", "y" },
		{ "body_checks = pcre:{{/^--in/ REJECT}}\n", RC_OK, "", "" },
		{ "body_checks = pcre:{{/^--other/ REJECT}}\n", RC_PERM, NULL,
		  NULL },
		{ "body_checks = pcre:{{/^epilogue/ REJECT}}\n", RC_PERM, NULL,
		  NULL },
		{ "body_checks = pcre:{{/^Subject: inner/ REJECT}}\n"
		  "disable_mime_input_processing = yes\n",
		  RC_PERM, NULL, NULL },
	};
	const struct post post = { .flags = CLEANUP_SMTPD,
				   .sender = "x@y",
				   .recipients = { "a@b" },
				   .content = content };

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *at = cases[i].from == NULL ?
					 NULL :
					 strstr(content, cases[i].from);
		struct result result;
		struct world *w = run(cases[i].settings, &post, &result);
		char *want;

		print_message("  %s", cases[i].settings);
		assert_int_equal(result.rc, cases[i].rc);
		if (at != NULL) {
			want = mem_printf(
				w->mem, "%.*s%s%s", (int)(at - content),
				content,
				cases[i].from[0] == '\0' ? "" : cases[i].to,
				at + strlen(cases[i].from));
			content_is(&result, want);
		}
		world_free(w);
	}
}

static void actions_change_the_envelope(void **state)
{
	static const struct post post = { .flags = CLEANUP_SMTPD,
					  .sender = "x@y",
					  .recipients = { "a@b" },
					  .content = "X-A: a\n\n" };
	struct result result;
	struct world *w = run(
		"content_filter = scan:[127.0.0.1]:10025\n", &post, &result);

	assert_string_equal(result.env->filter, "scan:[127.0.0.1]:10025");
	world_free(w);
	w = run("header_checks = pcre:{{/^X-A:/ HOLD}}\n", &post, &result);
	assert_true(result.env->flags & ENVELOPE_HOLD);
	world_free(w);
	w = run("header_checks = pcre:{{/^X-A:/ REDIRECT r@r}}\n", &post,
		&result);
	assert_string_equal(result.env->redirect, "r@r");
	world_free(w);
	w = run("header_checks = pcre:{{/^X-A:/ DISCARD}}\n", &post, &result);
	assert_int_equal(result.rc, RC_OK);
	assert_true(result.discarded);
	assert_null(result.env);
	world_free(w);
}

static void recipients_come_from_the_header(void **state)
{
	static const struct {
		const char *content, *want;
	} cases[] = {
		{ "To: x@y, U <u@v>\nCc: w\nBcc: z\n\nb\n",
		  "x@y u@v w@mx.example.test z@mx.example.test " },
		{ "To: x@y\nResent-To: w@q\nResent-Bcc: r@r\n\n",
		  "w@q r@r " },
		{ "To: team: a@a, b@b;, c@c\n\n", "a@a b@b c@c " },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct post post = {
			.flags = LOCAL | CLEANUP_EXTRACT_RECIPIENTS,
			.sender = "x@y",
			.content = cases[i].content
		};
		struct result result;
		struct world *w = run("", &post, &result);
		struct buf got;

		assert_int_equal(result.rc, RC_OK);
		buf_init(&got, w->mem, 1024);
		for (size_t k = 0; k < result.env->recipient_count; k++)
			buf_addf(&got, "%s ", result.env->recipients[k].address);
		assert_string_equal(buf_text(&got), cases[i].want);
		assert_null(strstr(result.content, "Bcc"));
		world_free(w);
	}
}

static void without_recipients_there_is_no_message(void **state)
{
	static const struct post post = {
		.flags = LOCAL | CLEANUP_EXTRACT_RECIPIENTS,
		.sender = "x@y",
		.content = "Subject: x\n\n"
	};
	struct result result;
	struct world *w = run("", &post, &result);

	assert_int_equal(result.rc, RC_PERM);
	assert_null(result.env);
	world_free(w);
}

static void stray_line_ends_become_blanks(void **state)
{
	static const struct post post = {
		.flags = CLEANUP_SMTPD,
		.sender = "x@y",
		.recipients = { "a@b" },
		.content = "Subject: a\rb\n\none\rtwo\n\rthree\r\n",
	};
	struct result result;
	struct world *w = run("", &post, &result);

	content_is(&result, "Subject: a b\n\none two\n three \n");
	world_free(w);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(missing_headers_come_last),
		cmocka_unit_test(the_name_in_a_made_from_header_is_well_formed),
		cmocka_unit_test(utf8_asks_for_smtputf8_where_it_is_detected),
		cmocka_unit_test(a_resent_message_gets_resent_headers),
		cmocka_unit_test(headers_are_rewritten_by_class),
		cmocka_unit_test(remote_headers_stay_as_they_are),
		cmocka_unit_test(recipients_are_expanded_and_copied),
		cmocka_unit_test(the_same_recipient_counts_once),
		cmocka_unit_test(many_recipients_are_told_apart),
		cmocka_unit_test(aliases_without_end_are_refused),
		cmocka_unit_test(a_failing_table_refuses_for_now),
		cmocka_unit_test(limits_are_met),
		cmocka_unit_test(a_message_to_bounce_meets_no_limit),
		cmocka_unit_test(checks_act_on_header_and_body),
		cmocka_unit_test(checks_know_the_parts_of_a_message),
		cmocka_unit_test(actions_change_the_envelope),
		cmocka_unit_test(recipients_come_from_the_header),
		cmocka_unit_test(without_recipients_there_is_no_message),
		cmocka_unit_test(stray_line_ends_become_blanks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
