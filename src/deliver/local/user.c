/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/local/local.h"
#include "deliver/macro.h"
#include "deliver/pass.h"
#include "sys/log.h"

/* Hand it on; the other agent logs the line. */
static void transport_deliver(struct job *job, struct target *t,
			      const char *transport)
{
	struct delivery_status status;
	struct fault fault;

	if (pass_recipient(job->d, job->index, transport, t->address, &status,
			   &fault) != RC_OK) {
		job_fault(job, t, &fault);
		return;
	}
	if (job->settled_any && job->worst.action == DELIVERY_DEFERRED)
		return;
	if (job->settled_any && status.action == DELIVERY_SENT)
		return;
	job->settled_any = true;
	job->worst = (struct outcome){
	    .action = status.action,
	    .dsn = mem_strdup(job->mem, status.dsn),
	    .text = status.reason,
	    .dsn_action = status.dsn_action,
	    .remote_mta = status.remote_mta,
	    .diag_type = status.diag_type,
	    .diag_text = status.diag_text,
	};
}

/* The value for this user in a table that may not be there. RC_NONE: none. */
static enum rc table_value(struct job *job, struct maps *maps, const char *key,
			   const char **ret_value, struct fault *fault)
{
	struct span value;
	enum rc rc;

	if (maps == NULL || maps_is_empty(maps))
		return RC_NONE;
	rc = maps_lookup(maps, job->mem, span_from(key), &value, fault);
	if (rc == RC_OK)
		*ret_value = mem_span_dup(job->mem, value);
	return rc;
}

/* true: dealt with. */
static bool by_transport(struct job *job, struct target *t, struct maps *maps,
			 const char *key, const char *otherwise)
{
	const char *transport = otherwise;
	struct fault fault;
	enum rc rc = table_value(job, maps, key, &transport, &fault);

	if (rc != RC_OK && rc != RC_NONE) {
		job_fault(job, t, &fault);
		return true;
	}
	if (*transport == '\0')
		return false;
	transport_deliver(job, t, transport);
	return true;
}

void user_deliver(struct job *job, struct target *t,
		  const struct privilege_user *user)
{
	const struct conf_values *v = &job->local->conf->v;
	const char *command = v->mailbox_command;
	struct fault fault;
	enum rc rc;

	if (job_seen(job, "mailbox", t->user))
		return;
	if (by_transport(job, t, job->local->mailbox_transport_maps, t->user,
			 v->mailbox_transport))
		return;
	rc = table_value(job, job->local->mailbox_command_maps, t->user,
			 &command, &fault);
	if (rc != RC_OK && rc != RC_NONE)
		job_fault(job, t, &fault);
	else if (*command != '\0')
		store_command(job, t, command, user);
	else
		store_mailbox(job, t, user);
}

static bool is_required(const char *name)
{
	return strcmp(name, "postmaster") == 0 ||
	       strcmp(name, "mailer-daemon") == 0 ||
	       strcmp(name, "double-bounce") == 0;
}

/* A local part that would lead luser_relay to a host of its own choice. */
static bool has_route(const char *local)
{
	return strpbrk(local, "@%!") != NULL || local[0] == '\\';
}

static void luser_deliver(struct job *job, struct target *t)
{
	const struct conf_values *v = &job->local->conf->v;
	const struct macro_value values[] = {
	    {"user", t->user},
	    {"local", t->name},
	    {"extension", t->extension},
	    {"domain", t->domain},
	    {"recipient", t->address},
	    {"mailbox", t->name},
	    {"recipient_delimiter", t->delimiter},
	    {"home", NULL},
	    {"shell", NULL},
	};
	struct fault fault;
	char *text;

	if (macro_expand(job->mem, v->luser_relay, values, ARRAY_LEN(values),
			 NULL, &text, &fault) != RC_OK) {
		log_warning("luser_relay: %s", fault.text);
		job_fault(job, t, &fault);
		return;
	}
	/* One address as it is: its parts are a stranger's, who may not name a
	 * command, a file or a second address with them. */
	if (has_route(t->name)) {
		fault_set(&fault, RC_PERM, "5.1.1", "unknown user: \"%s\"",
			  t->user);
		job_fault(job, t, &fault);
		return;
	}
	address_deliver(job, t, text, SOURCE_RECIPIENT, NULL);
}

void unknown_deliver(struct job *job, struct target *t)
{
	const struct conf_values *v = &job->local->conf->v;
	struct fault fault;

	if (by_transport(job, t, job->local->fallback_transport_maps,
			 t->address, v->fallback_transport))
		return;
	if (is_required(t->user)) {
		log_warning("required alias not found: %s", t->user);
		job_sent(job, t, "2.0.0", "discarded");
		return;
	}
	if (*v->luser_relay != '\0' && !job_seen(job, "luser", t->address)) {
		luser_deliver(job, t);
		return;
	}
	fault_set(&fault, RC_PERM, "5.1.1", "unknown user: \"%s\"", t->user);
	job_fault(job, t, &fault);
}
