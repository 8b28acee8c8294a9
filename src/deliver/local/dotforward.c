/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/local/local.h"
#include "deliver/macro.h"
#include "deliver/local/token.h"
#include "sys/log.h"

static enum rc path_expand(struct job *job, const struct target *t,
			   const struct privilege_user *user,
			   struct span template, char **ret_path,
			   struct fault *fault)
{
	const struct macro_value values[] = {
	    {"home", user->home},	 {"user", t->user},
	    {"extension", t->extension}, {"domain", t->domain},
	    {"local", t->name},		 {"recipient", t->address},
	    {"shell", user->shell},	 {"recipient_delimiter", t->delimiter},
	};

	return macro_expand(job->mem, mem_span_dup(job->mem, template), values,
			    ARRAY_LEN(values),
			    job->local->conf->v.forward_expansion_filter,
			    ret_path, fault);
}

static bool has_token(TALLOC_CTX *mem, struct span text)
{
	struct token token;

	return token_next(mem, &text, &token);
}

/* RC_NONE: try the next path. */
static enum rc path_deliver(struct job *job, struct target *t,
			    const struct privilege_user *user, const char *path,
			    struct fault *fault)
{
	struct span text;
	enum rc rc;

	rc = user_file_read(job->mem, path, user, &text, NULL, fault);
	if (rc == RC_NONE && fault->text[0] != '\0')
		log_warning("%s; ignored", fault->text);
	if (rc != RC_OK)
		return rc;
	if (!has_token(job->mem, text) || job_seen(job, "forward", path))
		return RC_NONE;
	{
		struct target next = *t;

		next.run_as = user;
		tokens_deliver(job, &next, text, SOURCE_FORWARD, user);
	}
	return RC_OK;
}

bool dotforward_deliver(struct job *job, struct target *t,
			const struct privilege_user *user)
{
	struct span rest = span_from(job->local->conf->v.forward_path);
	struct fault fault;
	struct span word;
	enum rc rc = RC_NONE;
	char *path;

	while (rc == RC_NONE && span_token(&rest, ", \t\r\n", &word)) {
		rc = path_expand(job, t, user, word, &path, &fault);
		if (rc == RC_OK)
			rc = path[0] == '/'
				 ? path_deliver(job, t, user, path, &fault)
				 : RC_NONE;
	}
	if (rc == RC_NONE)
		return false;
	if (rc != RC_OK)
		job_fault(job, t, &fault);
	return true;
}
