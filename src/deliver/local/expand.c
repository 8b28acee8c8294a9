/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/local/local.h"
#include "deliver/local/token.h"
#include "mail/address.h"
#include "rule/rewrite.h"
#include "sys/log.h"

void target_split(struct job *job, struct target *t)
{
	const struct conf_values *v = &job->local->conf->v;
	struct address_parts parts = address_split(span_from(t->address));
	struct span base, extension;
	char *name;

	if (parts.local.len > 1 && parts.local.ptr[0] == '\\') {
		t->direct = true;
		parts.local = span_skip(parts.local, 1);
		t->address =
		    mem_printf(job->mem, "%.*s@%.*s", SPAN_FMT(parts.local),
			       SPAN_FMT(parts.domain));
	}
	name = mem_span_dup(job->mem, parts.local);
	ascii_lower_text(name);
	t->name = t->user = name;
	t->extension = t->delimiter = "";
	t->domain = mem_span_dup(job->mem, parts.domain);
	if (*v->recipient_delimiter == '\0' ||
	    !address_split_extension(span_from(name), v->recipient_delimiter,
				     v->owner_request_special, &base,
				     &extension))
		return;
	t->user = mem_span_dup(job->mem, base);
	if (strchr(name + base.len, '/') != NULL) { /* it may name a file */
		log_warning("%s: address with illegal extension: %s",
			    job->d->request->queue_id, name);
		return;
	}
	t->delimiter = mem_printf(job->mem, "%c", name[base.len]);
	t->extension = mem_strdup(job->mem, name + base.len + 1);
}

static bool is_too_deep(struct job *job, const struct target *t)
{
	struct fault fault;

	if (job->depth <= EXPANSION_DEPTH_MAX)
		return false;
	fault_set(&fault, RC_PERM, "5.4.6",
		  "possible mail forwarding loop for %s", t->address);
	log_warning("%s", fault.text);
	job_fault(job, t, &fault);
	return true;
}

void target_deliver(struct job *job, struct target *t)
{
	struct privilege_user *user;
	struct fault fault;
	enum rc rc;

	if (is_too_deep(job, t))
		return;
	job->depth++;
	if (!t->direct && alias_deliver(job, t)) {
		job->depth--;
		return;
	}
	rc = privilege_user_find(job->mem, t->user, &user, &fault);
	if (rc == RC_NONE)
		unknown_deliver(job, t);
	else if (rc != RC_OK)
		job_fault(job, t, &fault);
	else if (t->direct ||
		 (job->d->request->env->flags & ENVELOPE_VERIFY) != 0 ||
		 !dotforward_deliver(job, t, user))
		user_deliver(job, t, user);
	job->depth--;
}

static bool may(const char *list, enum target_source source)
{
	static const char *const words[] = {
	    [SOURCE_RECIPIENT] = "",
	    [SOURCE_ALIAS] = "alias",
	    [SOURCE_FORWARD] = "forward",
	    [SOURCE_INCLUDE] = "include",
	};
	struct span rest = span_from(list), word;

	while (span_token(&rest, ", \t\r\n", &word))
		if (span_is_nocase(word, words[source]))
			return true;
	return source == SOURCE_RECIPIENT; /* luser_relay */
}

static void restricted(struct job *job, const struct target *t,
		       const char *what)
{
	struct fault fault;

	fault_set(&fault, RC_PERM, "5.7.1", "mail to %s is restricted", what);
	job_fault(job, t, &fault);
}

static void include_deliver(struct job *job, const struct target *parent,
			    const char *path,
			    const struct privilege_user *run_as)
{
	struct privilege_user *list_owner = NULL;
	struct target t = *parent;
	struct fault fault;
	struct span text;
	uid_t owner = 0;
	enum rc rc;

	if (path[0] != '/') {
		fault_set(&fault, RC_PERM, "5.3.5",
			  ":include:%s uses a relative path", path);
		job_fault(job, parent, &fault);
		return;
	}
	if (job_seen(job, "include", path))
		return;
	if (is_too_deep(job, parent))
		return;
	rc = user_file_read(job->mem, path, run_as, &text, &owner, &fault);
	/* Whoever owns a list of root's alias decides what it does: with rights
	 * of their own, not with those of default_privs. */
	if (rc == RC_OK && run_as == NULL && owner != 0) {
		rc = privilege_user_find_uid(job->mem, owner, &list_owner,
					     &fault);
		run_as = list_owner;
	}
	if (rc != RC_OK) {
		fault_set(&fault, RC_TEMP, "4.3.5", "%s",
			  mem_printf(job->mem,
				     "cannot open include file %s: %s", path,
				     fault.text));
		log_warning("%s", fault.text);
		job_fault(job, parent, &fault);
		return;
	}
	t.parent = parent;
	t.forward_all = true;
	job->depth++;
	tokens_deliver(job, &t, text, SOURCE_INCLUDE, run_as);
	job->depth--;
}

void address_deliver(struct job *job, const struct target *parent,
		     const char *address, enum target_source source,
		     const struct privilege_user *run_as)
{
	const struct conf *conf = job->local->conf;
	struct target t = {.parent = parent,
			   .source = source,
			   .sender = parent->sender,
			   .run_as = run_as,
			   .forward_all = parent->forward_all};
	const bool direct = address[0] == '\\';
	struct route *route;
	struct fault fault;
	enum rc rc;

	t.address = rewrite_address(job->mem, conf, REWRITE_LOCAL,
				    span_from(address + direct));
	rc = resolve(job->local->resolver, job->mem, span_from(t.sender),
		     span_from(t.address), &route, &fault);
	if (rc == RC_TEMP || rc == RC_CONF) {
		job_fault(job, &t, &fault);
		return;
	}
	if (rc == RC_OK && !t.forward_all &&
	    strcmp(route->transport, job->local->service_name) == 0) {
		t.address = route->recipient;
		target_split(job, &t);
		t.direct |= direct;
		target_deliver(job, &t);
		return;
	}
	forward_add(job, parent, t.address);
}

static void token_deliver(struct job *job, const struct target *parent,
			  const struct token *token, enum target_source source,
			  const struct privilege_user *run_as)
{
	const struct conf_values *v = &job->local->conf->v;

	switch (token->kind) {
	case TOKEN_COMMAND:
		if (may(v->allow_mail_to_commands, source))
			store_command(job, parent, token->text, run_as);
		else
			restricted(job, parent, "command");
		return;
	case TOKEN_FILE:
		if (may(v->allow_mail_to_files, source))
			store_file(job, parent, token->text, run_as);
		else
			restricted(job, parent, "file");
		return;
	case TOKEN_INCLUDE:
		include_deliver(job, parent, token->text, run_as);
		return;
	case TOKEN_ADDRESS:
		address_deliver(job, parent, token->text, source, run_as);
		return;
	}
}

void tokens_deliver(struct job *job, const struct target *parent,
		    struct span text, enum target_source source,
		    const struct privilege_user *run_as)
{
	struct token token;

	while (token_next(job->mem, &text, &token))
		token_deliver(job, parent, &token, source, run_as);
}
