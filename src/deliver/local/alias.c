/* SPDX-License-Identifier: Apache-2.0 */
#include <sys/stat.h>

#include "deliver/local/local.h"
#include "mail/address.h"
#include "rule/rewrite.h"
#include "sys/log.h"

/* Whose table it is: files and commands of its aliases run as that user. root's
 * run as default_privs. */
static enum rc table_owner(struct job *job, const struct map *map,
			   struct privilege_user **ret_user,
			   struct fault *fault)
{
	static const char *const suffixes[] = {".db", ".lmdb", ".cdb", ""};
	struct span name = span_from(map_name(map)), type;
	struct stat st;

	*ret_user = NULL;
	if (!span_cut(&name, ':', &type) || !span_starts(name, "/"))
		return RC_OK;
	for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
		const char *path =
		    mem_printf(job->mem, "%.*s%s", SPAN_FMT(name), suffixes[i]);

		if (stat(path, &st) != 0)
			continue;
		if (st.st_uid == 0)
			return RC_OK;
		if (privilege_user_find_uid(job->mem, st.st_uid, ret_user,
					    fault) == RC_OK)
			return RC_OK;
		return fault_set(fault, RC_TEMP, "4.3.0",
				 "cannot find alias database owner for %s",
				 map_name(map));
	}
	return RC_OK;
}

static enum rc lookup(struct job *job, const char *name, struct map **ret_map,
		      struct span *ret_value, struct fault *fault)
{
	struct maps *maps = job->local->aliases;

	for (size_t i = 0; maps != NULL && i < maps_count(maps); i++) {
		enum rc rc = map_lookup(maps_at(maps, i), job->mem,
					span_from(name), ret_value, fault);

		if (rc == RC_NONE)
			continue;
		*ret_map = maps_at(maps, i);
		return rc;
	}
	return RC_NONE;
}

static bool is_loop(const struct target *t, const char *name)
{
	for (const struct target *p = t->parent; p != NULL; p = p->parent)
		if (p->alias != NULL && strcmp(p->alias, name) == 0)
			return true;
	return false;
}

/* A list with an owner: errors go to the owner, and every member gets a message
 * of its own. */
static enum rc owner_find(struct job *job, struct target *t, const char *name,
			  struct fault *fault)
{
	const struct conf *conf = job->local->conf;
	const char *owner = mem_printf(job->mem, "owner-%s", name);
	struct span value;
	struct map *map;
	enum rc rc;

	if (span_starts(span_from(name), "owner-"))
		return RC_OK;
	rc = lookup(job, owner, &map, &value, fault);
	if (rc == RC_NONE && conf->v.reset_owner_alias)
		return RC_OK;
	if (rc == RC_NONE)
		return RC_OK;
	if (rc != RC_OK)
		return rc;
	if (conf->v.expand_owner_alias && span_find(value, ',') < 0)
		owner = address_unquote(job->mem, span_trim(value));
	if (*t->sender != '\0')
		t->sender = rewrite_address(job->mem, conf, REWRITE_LOCAL,
					    span_from(owner));
	t->forward_all = true;
	return RC_OK;
}

static void loop_found(struct job *job, const struct target *t,
		       const char *name)
{
	struct fault fault;

	fault_set(&fault, RC_PERM, "5.4.6", "alias database loop for %s", name);
	log_warning("%s", fault.text);
	job_fault(job, t, &fault);
}

static void expand(struct job *job, const struct target *from, const char *name,
		   const struct map *map, struct span value)
{
	struct target t = *from;
	struct privilege_user *run_as;
	struct fault fault;

	t.alias = name;
	if (table_owner(job, map, &run_as, &fault) != RC_OK ||
	    owner_find(job, &t, name, &fault) != RC_OK) {
		fault.rc = RC_TEMP;
		job_fault(job, from, &fault);
		return;
	}
	tokens_deliver(job, &t, value, SOURCE_ALIAS, run_as);
}

static bool name_deliver(struct job *job, struct target *t, const char *name)
{
	struct fault fault;
	struct span value;
	struct map *map;
	enum rc rc = lookup(job, name, &map, &value, &fault);

	if (rc == RC_NONE)
		return false;
	if (rc != RC_OK) {
		log_warning("%s", fault.text);
		fault_set(&fault, RC_TEMP, "4.3.0",
			  "alias database unavailable");
		job_fault(job, t, &fault);
		return true;
	}
	if (is_loop(t, name))
		loop_found(job, t, name);
	else if ((job->d->request->env->flags & ENVELOPE_VERIFY) != 0)
		job_sent(job, t, "2.0.0",
			 mem_printf(job->mem, "aliased to %.*s",
				    SPAN_FMT(span_trim(value))));
	else if (!job_seen(job, "alias", name))
		expand(job, t, name, map, value);
	return true;
}

bool alias_deliver(struct job *job, struct target *t)
{
	return name_deliver(job, t, t->name) ||
	       (strcmp(t->name, t->user) != 0 && name_deliver(job, t, t->user));
}
