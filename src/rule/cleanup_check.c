/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/address.h"
#include "mail/dsn.h"
#include "mail/header.h"
#include "rule/cleanup_priv.h"
#include "sys/log.h"

struct finding {
	struct cleanup *c;
	enum check_kind kind;
	struct span text;  /* the line or field */
	struct span words; /* of the action, after its name */
	TALLOC_CTX *mem;
	struct span *ret_text;
};

/* "reject: header Subject: x from host[1.2.3.4]; from=<a> to=<b> ...: text" */
static void finding_log(const struct finding *f, const char *what,
			struct span detail)
{
	SCRATCH TALLOC_CTX *scratch = talloc_new(NULL);
	const struct cleanup *c = f->c;
	const struct envelope *env = c->env;
	struct buf line;

	buf_init(&line, scratch, 4096);
	buf_addf(&line, "%s: %s: %s %.*s from ", c->message->queue_id, what,
		 f->kind == CHECK_BODY ? "body" : "header",
		 (int)MIN_OF(f->text.len, (size_t)200), f->text.ptr);
	if (env->client_name != NULL)
		buf_addf(&line, "%s[%s];", env->client_name,
			 env->client_address == NULL ? "" :
						       env->client_address);
	else
		buf_add_text(&line, "local;");
	buf_addf(&line, " from=<%s>", env->sender == NULL ? "" : env->sender);
	if (env->recipient_count > 0)
		buf_addf(&line, " to=<%s>",
			 env->recipients[env->recipient_count - 1].address);
	if (env->client_proto != NULL)
		buf_addf(&line, " proto=%s", env->client_proto);
	if (env->client_helo != NULL)
		buf_addf(&line, " helo=<%s>", env->client_helo);
	if (detail.len > 0)
		buf_addf(&line, ": %.*s", SPAN_FMT(detail));
	log_info_as("cleanup", "%s", buf_text(&line));
}

static enum check_verdict run_pass(struct finding *f)
{
	return CHECK_PASS;
}

static enum check_verdict run_reject(struct finding *f)
{
	char dsn[DSN_MAX_BYTES] = "5.7.1";
	struct span text = f->words;
	struct fault fault;
	enum rc rc;

	if (!dsn_cut(&text, dsn))
		text = f->words;
	if (text.len == 0)
		text = SPAN_OF("message content rejected");
	rc = dsn[0] == '4' ? RC_TEMP : RC_PERM;
	fault_set(&fault, rc, dsn, "%.*s", SPAN_FMT(text));
	finding_log(f, "reject",
		    span_from(mem_printf(f->mem, "%s %.*s", dsn,
					 SPAN_FMT(text))));
	cleanup_fail(f->c, rc, &fault);
	return CHECK_STOP;
}

static enum check_verdict run_discard(struct finding *f)
{
	finding_log(f, "discard", f->words);
	f->c->discard = true;
	return CHECK_STOP;
}

static enum check_verdict run_hold(struct finding *f)
{
	if (!(f->c->env->flags & ENVELOPE_HOLD))
		finding_log(f, "hold", f->words);
	f->c->env->flags |= ENVELOPE_HOLD;
	return CHECK_PASS;
}

static enum check_verdict run_warn(struct finding *f)
{
	finding_log(f, "warning", f->words);
	return CHECK_PASS;
}

static enum check_verdict run_info(struct finding *f)
{
	finding_log(f, "info", f->words);
	return CHECK_PASS;
}

static enum check_verdict run_ignore(struct finding *f)
{
	return CHECK_DROP;
}

static enum check_verdict run_strip(struct finding *f)
{
	finding_log(f, "strip", f->words);
	return CHECK_DROP;
}

static enum check_verdict missing(const struct finding *f, const char *what)
{
	log_warning_as("cleanup", "%s: %s action without text in %s",
		       f->c->message->queue_id, what,
		       f->kind == CHECK_BODY ? "body_checks" : "header_checks");
	return CHECK_PASS;
}

static enum check_verdict run_prepend(struct finding *f)
{
	if (f->words.len == 0 ||
	    (f->kind != CHECK_BODY && header_name_len(f->words, NULL) == 0))
		return missing(f, "PREPEND");
	finding_log(f, "prepend", f->words);
	*f->ret_text = f->words;
	return CHECK_PREPEND;
}

static enum check_verdict run_replace(struct finding *f)
{
	if (f->words.len == 0 ||
	    (f->kind != CHECK_BODY && header_name_len(f->words, NULL) == 0))
		return missing(f, "REPLACE");
	finding_log(f, "replace", f->words);
	*f->ret_text = f->words;
	return CHECK_REPLACE;
}

static enum check_verdict run_filter(struct finding *f)
{
	if (span_find(f->words, ':') <= 0)
		return missing(f, "FILTER");
	finding_log(f, "filter", f->words);
	envelope_set_text(f->c->env, &f->c->env->filter, f->words);
	return CHECK_PASS;
}

static enum check_verdict run_redirect(struct finding *f)
{
	if (span_find(f->words, '@') < 0)
		return missing(f, "REDIRECT");
	finding_log(f, "redirect", f->words);
	envelope_set_text(f->c->env, &f->c->env->redirect, f->words);
	return CHECK_PASS;
}

static enum check_verdict run_bcc(struct finding *f)
{
	if (span_find(f->words, '@') < 0)
		return missing(f, "BCC");
	finding_log(f, "bcc", f->words);
	talloc_free(f->c->bcc);
	f->c->bcc = address_unquote(f->c, f->words);
	return CHECK_PASS;
}

static enum check_verdict run_logged_pass(struct finding *f)
{
	finding_log(f, "pass", f->words);
	return CHECK_PASS;
}

static const struct {
	const char *name;
	enum check_verdict (*run)(struct finding *f);
} actions[] = {
	{ "BCC", run_bcc },	    { "DISCARD", run_discard },
	{ "DUNNO", run_pass },	    { "FILTER", run_filter },
	{ "HOLD", run_hold },	    { "IGNORE", run_ignore },
	{ "INFO", run_info },	    { "OK", run_pass },
	{ "PASS", run_logged_pass }, { "PREPEND", run_prepend },
	{ "REDIRECT", run_redirect }, { "REJECT", run_reject },
	{ "REPLACE", run_replace }, { "STRIP", run_strip },
	{ "WARN", run_warn },
};

enum check_verdict cleanup_check(struct cleanup *c, enum check_kind kind,
				 struct span text, TALLOC_CTX *mem,
				 struct span *ret_text)
{
	struct finding f = { .c = c, .kind = kind, .text = text, .mem = mem,
			     .ret_text = ret_text };
	struct span value, name;
	struct fault fault;
	size_t len = 0;
	enum rc rc = maps_lookup(c->service->checks[kind], mem, text, &value,
				 &fault);

	if (rc == RC_NONE)
		return CHECK_PASS;
	if (rc != RC_OK) {
		fault_add(&fault, "%s map lookup problem",
			  kind == CHECK_BODY ? "body_checks" : "header_checks");
		cleanup_fail(c, cleanup_fault_plain(c, rc, &fault), &fault);
		return CHECK_STOP;
	}
	value = span_trim(value);
	while (len < value.len && !ascii_is_space(value.ptr[len]))
		len++;
	name = span_take(value, len);
	f.words = span_trim(span_skip(value, len));
	for (size_t i = 0; i < ARRAY_LEN(actions); i++)
		if (span_is_nocase(name, actions[i].name))
			return actions[i].run(&f);
	log_warning_as("cleanup", "%s: unknown command in %s map: %.*s",
		       c->message->queue_id,
		       kind == CHECK_BODY ? "body_checks" : "header_checks",
		       SPAN_FMT(value));
	return CHECK_PASS;
}
