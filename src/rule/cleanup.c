/* SPDX-License-Identifier: Apache-2.0 */
#include "rule/cleanup.h"

#include "base/clock.h"
#include "mail/header.h"
#include "rule/cleanup_priv.h"
#include "sys/log.h"

enum {
	OUT_MAX_BYTES = 1024 * 1024,
	PENDING_MAX_BYTES = 64 * 1024,
};

enum rc cleanup_fault_plain(const struct cleanup *c, enum rc rc,
			    struct fault *fault)
{
	if (rc == RC_OK || rc == RC_PERM || fault == NULL)
		return rc;
	log_warning_as("cleanup",
		       "%s: %s -- message not accepted, try again later",
		       c->message->queue_id, fault->text);
	if (strcmp(fault->dsn, "4.6.0") == 0)
		return fault_set(fault, RC_TEMP, "4.6.0",
				 "Alias expansion error");
	if (strcmp(fault->dsn, "4.3.1") == 0)
		return fault_set(fault, RC_TEMP, "4.3.1",
				 "Insufficient system storage");
	return fault_set(fault, RC_TEMP, "4.3.0",
			 "Error: queue file write error");
}

enum rc cleanup_fail(struct cleanup *c, enum rc rc, const struct fault *fault)
{
	if (c->rc != RC_OK)
		return c->rc;
	c->fault = *fault;
	c->rc = c->fault.rc = rc;
	return c->rc;
}

static void text_take(struct envelope *env, const char **field,
		      const char *text)
{
	if (text != NULL)
		envelope_set_text(env, field, span_from(text));
}

static void origin_take(struct cleanup *c, const struct cleanup_origin *origin)
{
	const char *filter = c->service->conf->v.content_filter;
	struct envelope *env = c->env;

	c->flags = origin->flags;
	c->discard = origin->discard;
	if (origin->received != NULL)
		c->received = mem_strdup(c, origin->received);
	if (origin->full_name != NULL)
		c->full_name = mem_strdup(c, origin->full_name);
	env->arrival_us = origin->arrival_us != 0 ? origin->arrival_us :
						    clock_wall_us();
	env->flags = origin->envelope_flags;
	env->dsn_ret = origin->dsn_ret;
	if (origin->hold)
		env->flags |= ENVELOPE_HOLD;
	if (origin->flags & CLEANUP_SMTPUTF8)
		env->flags |= ENVELOPE_SMTPUTF8;
	if (origin->flags & CLEANUP_INTERNAL)
		env->flags |= ENVELOPE_INTERNAL;
	if ((origin->flags & CLEANUP_FILTER) && filter[0] != '\0')
		text_take(env, &env->filter, filter);
	text_take(env, &env->client_name, origin->client_name);
	text_take(env, &env->client_address, origin->client_address);
	text_take(env, &env->client_port, origin->client_port);
	text_take(env, &env->client_proto, origin->client_proto);
	text_take(env, &env->client_helo, origin->client_helo);
	text_take(env, &env->sasl_method, origin->sasl_method);
	text_take(env, &env->sasl_username, origin->sasl_username);
	text_take(env, &env->sasl_sender, origin->sasl_sender);
	text_take(env, &env->dsn_envid, origin->dsn_envid);
	text_take(env, &env->log_ident, origin->log_ident);
	text_take(env, &env->verp, origin->verp);
	text_take(env, &env->filter, origin->filter);
	text_take(env, &env->redirect, origin->redirect);
}

void cleanup_act(struct cleanup *c, const char *filter, const char *redirect,
		 bool hold, bool discard)
{
	text_take(c->env, &c->env->filter, filter);
	text_take(c->env, &c->env->redirect, redirect);
	if (hold)
		c->env->flags |= ENVELOPE_HOLD;
	c->discard |= discard;
}

static int cleanup_done(struct cleanup *c)
{
	cleanup_duplicates_done(c);
	return 0;
}

enum rc cleanup_begin(TALLOC_CTX *mem, struct cleanup_service *service,
		      const struct cleanup_origin *origin,
		      struct cleanup **ret_cleanup, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct cleanup *c = mem_new(tmp, struct cleanup);
	enum rc rc;

	talloc_set_destructor(c, cleanup_done);
	c->service = service;
	if ((service->has_checks || service->has_body_checks) &&
	    (origin->flags & CLEANUP_FILTER) &&
	    !service->conf->v.disable_mime_input_processing)
		c->mime = mime_new(c, service->conf->v.mime_nesting_limit,
				   service->conf->v.mime_boundary_length_limit);
	c->env = envelope_new(c);
	buf_init(&c->field, c, (size_t)service->conf->v.header_size_limit);
	buf_init(&c->out, c, OUT_MAX_BYTES +
				     (size_t)service->conf->v.header_size_limit *
					     4);
	buf_init(&c->pending, c, PENDING_MAX_BYTES);
	origin_take(c, origin);
	rc = intake_begin(c, service->intake, &c->message, fault);
	if (rc != RC_OK)
		return rc;
	*ret_cleanup = talloc_steal(mem, c);
	return RC_OK;
}

const char *cleanup_queue_id(const struct cleanup *c)
{
	return c->message->queue_id;
}

enum rc cleanup_size_check(struct cleanup *c, size_t more)
{
	long limit = c->service->conf->v.message_size_limit;
	struct fault fault;

	if (limit <= 0 || (c->flags & CLEANUP_BOUNCE) ||
	    c->message->content_bytes + c->out.len + c->pending.len + more <=
		    (uint64_t)limit)
		return c->rc;
	fault_set(&fault, RC_PERM, "5.3.4", "Error: message file too big");
	return cleanup_fail(c, RC_PERM, &fault);
}

/* A CR or LF inside a line is a blank (cleanup_replace_stray_cr_lf). */
static struct span stray_replace(struct cleanup *c, TALLOC_CTX **scratch,
				 struct span line)
{
	char *copy;

	if (!c->service->conf->v.cleanup_replace_stray_cr_lf ||
	    (span_find(line, '\r') < 0 && span_find(line, '\n') < 0))
		return line;
	if (*scratch == NULL)
		*scratch = talloc_new(NULL);
	copy = mem_span_dup(*scratch, line);
	for (size_t i = 0; i < line.len; i++)
		if (copy[i] == '\r' || copy[i] == '\n')
			copy[i] = ' ';
	return (struct span){ copy, line.len };
}

/* What fits of a field; header_size_limit cuts the rest off. */
void cleanup_field_add(struct cleanup *c, struct span text)
{
	if (c->field_cut)
		return;
	if (text.len > c->field.max - c->field.len) {
		text.len = c->field.max - c->field.len;
		c->field_cut = true;
	}
	buf_add(&c->field, text);
}

static void body_begin(struct cleanup *c)
{
	cleanup_header_end(c);
	c->in_body = true;
	c->line_open = false;
	cleanup_pending_add(c, SPAN_OF("\r\n"));
}

/* A line where a field may begin. */
static void header_line(struct cleanup *c, struct span line, bool partial)
{
	c->line_open = partial;
	if (line.len == 0 && !partial) {
		body_begin(c);
		return;
	}
	if (header_is_continuation(line) && c->any_field) {
		if (c->field.len + 2 < c->field.max)
			cleanup_field_add(c, SPAN_OF("\r\n"));
		cleanup_field_add(c, line);
		return;
	}
	if (c->field.len > 0)
		cleanup_field(c);
	c->field_cut = false;
	if (header_name_len(line, NULL) > 0) {
		c->any_field = true;
		cleanup_field_add(c, line);
		c->mailbox_lines = false;
	} else if ((!c->any_field || c->mailbox_lines) &&
		   (span_starts(line, "From ") ||
		    span_starts(line, ">From "))) {
		c->any_field = c->mailbox_lines = true;
		cleanup_field_add(c, SPAN_OF("X-Mailbox-Line: "));
		cleanup_field_add(c, line);
	} else {
		body_begin(c);
		cleanup_body_line(c, line, partial);
	}
}

/* Header checks and the hop count see it like any other field; what follows is
 * never a part of it. */
static void whole_field(struct cleanup *c, struct span rest)
{
	struct span line;

	while (rest.len > 0 && span_cut(&rest, '\n', &line)) {
		if (span_ends(line, "\r"))
			line.len--;
		if (line.len > 0)
			header_line(c, line, false);
	}
	if (c->field.len > 0)
		cleanup_field(c);
	c->field_cut = c->any_field = false;
}

void cleanup_prepend(struct cleanup *c, const char *field)
{
	whole_field(c, span_from(field));
}

void cleanup_received(struct cleanup *c, const char *text)
{
	static const char mark[] = "%QID%";
	SCRATCH TALLOC_CTX *scratch = talloc_new(NULL);
	const char *at = strstr(text, mark);

	if (at != NULL)
		text = mem_printf(scratch, "%.*s%s%s", (int)(at - text), text,
				  c->message->queue_id, at + strlen(mark));
	whole_field(c, span_from(text));
}

/* The one given to cleanup_begin: now that sender and recipients are known. */
static void received_begin(struct cleanup *c)
{
	char *text = c->received;

	c->received = NULL;
	if (text != NULL)
		cleanup_received(c, text);
	talloc_free(text);
}

enum rc cleanup_line(struct cleanup *c, struct span line, bool partial)
{
	SCRATCH TALLOC_CTX *scratch = NULL;

	if (c->received != NULL)
		received_begin(c);
	if (cleanup_size_check(c, line.len) != RC_OK)
		return c->rc;
	line = stray_replace(c, &scratch, line);
	if (c->in_body) {
		cleanup_body_line(c, line, partial);
		return c->rc;
	}
	if (c->line_open) {
		cleanup_field_add(c, line);
		c->line_open = partial;
		return c->rc;
	}
	header_line(c, line, partial);
	return c->rc;
}

enum rc cleanup_finish(struct cleanup *c, bool *ret_discarded,
		       struct fault *fault)
{
	struct fault none;

	received_begin(c);
	if (c->rc == RC_OK && !c->in_body)
		body_begin(c);
	if (c->rc == RC_OK)
		cleanup_body_end(c);
	if (c->rc == RC_OK && !c->discard)
		cleanup_recipients_end(c);
	if (c->rc == RC_OK && !c->discard && c->env->recipient_count == 0) {
		fault_set(&none, RC_PERM, "5.5.1",
			  "Error: no valid recipients specified");
		cleanup_fail(c, RC_PERM, &none);
	}
	if (c->rc != RC_OK) {
		if (fault != NULL)
			*fault = c->fault;
		return c->rc;
	}
	*ret_discarded = c->discard;
	if (c->discard)
		return RC_OK;
	if (c->env->sender == NULL)
		c->env->sender = mem_strdup(c->env, "");
	return cleanup_fault_plain(
		c, intake_commit(c->message, c->env, fault), fault);
}
