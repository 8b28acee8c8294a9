/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/local/local.h"
#include "deliver/loop.h"
#include "mail/address.h"
#include "sys/log.h"

void job_settle(struct job *job, const struct target *target,
		struct outcome *out)
{
	static const int badness[] = {
	    [DELIVERY_SENT] = 0,
	    [DELIVERY_BOUNCED] = 1,
	    [DELIVERY_DEFERRED] = 2,
	};

	if (out->relay == NULL)
		out->relay = job->local->service_name;
	delivery_log(job->d, target->address, job->to->original, out);
	if (!job->settled_any ||
	    badness[out->action] > badness[job->worst.action])
		job->worst = *out;
	job->settled_any = true;
}

void job_sent(struct job *job, const struct target *target, const char *dsn,
	      const char *text)
{
	struct outcome out = {
	    .action = DELIVERY_SENT, .dsn = dsn, .text = text};

	job_settle(job, target, &out);
}

void job_fault(struct job *job, const struct target *target,
	       const struct fault *fault)
{
	struct outcome out = {
	    .action =
		fault->rc == RC_PERM ? DELIVERY_BOUNCED : DELIVERY_DEFERRED,
	    .dsn = mem_strdup(job->mem, fault->dsn),
	    .text = mem_strdup(job->mem, fault->text),
	};

	job_settle(job, target, &out);
}

bool job_seen(struct job *job, const char *kind, const char *key)
{
	const char *entry = mem_printf(job->mem, "%s %s", kind, key);
	const int limit = job->local->conf->v.duplicate_filter_limit;

	for (size_t i = 0; i < job->seen_count; i++)
		if (span_is_nocase(span_from(entry), job->seen[i]))
			return true;
	if (limit > 0 && job->seen_count >= (size_t)limit)
		return false;
	if (job->seen_count % 16 == 0)
		job->seen = mem_resize(job->mem, job->seen, const char *,
				       job->seen_count + 16);
	job->seen[job->seen_count++] = entry;
	return false;
}

static bool prepends_delivered(const struct job *job, const char *kind)
{
	struct span rest =
	    span_from(job->local->conf->v.prepend_delivered_header);

	if (kind == NULL) /* a mailbox always has it */
		return true;
	for (struct span word; span_token(&rest, ", \t\r\n", &word);)
		if (span_is_nocase(word, kind))
			return true;
	return false;
}

struct mail_text job_text(struct job *job, const struct target *target,
			  int flags, const char *kind)
{
	const int lines =
	    LINE_RETURN_PATH | LINE_ORIGINAL_TO |
	    (prepends_delivered(job, kind) ? LINE_DELIVERED_TO : 0);

	return (struct mail_text){
	    .image = job->d->image,
	    .flags = flags,
	    .sender = *target->sender != '\0'
			  ? address_quote(job->mem, span_from(target->sender))
			  : "",
	    .prepend = loop_lines(job->mem, target->sender, job->to, lines),
	    .arrival_us = job->d->request->env->arrival_us,
	};
}
