/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/local/local.h"

#include "deliver/loop.h"
#include "sys/log.h"

static enum rc tables_open(struct local *local, struct fault *fault)
{
	const struct conf_values *v = &local->conf->v;
	const struct {
		const char *name, *text;
		int flags;
		struct maps **into;
	} tables[] = {
	    {"alias_maps", v->alias_maps, MAP_FOLD | MAP_SECURE,
	     &local->aliases},
	    {"mailbox_command_maps", v->mailbox_command_maps,
	     MAP_FOLD | MAP_SECURE, &local->mailbox_command_maps},
	    {"mailbox_transport_maps", v->mailbox_transport_maps,
	     MAP_FOLD | MAP_SECURE, &local->mailbox_transport_maps},
	    {"fallback_transport_maps", v->fallback_transport_maps,
	     MAP_FOLD | MAP_SECURE, &local->fallback_transport_maps},
	};

	for (size_t i = 0; i < ARRAY_LEN(tables); i++)
		if (*tables[i].text != '\0' &&
		    maps_open(local, local->conf, tables[i].name,
			      tables[i].text, tables[i].flags, tables[i].into,
			      fault) != RC_OK)
			return fault->rc;
	return RC_OK;
}

enum rc local_open(TALLOC_CTX *mem, struct service *service,
		   struct local **ret_local, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(mem);
	struct local *local = mem_new(tmp, struct local);
	const struct conf_values *v = &service->conf->v;

	local->conf = service->conf;
	local->service_name = service->name;
	pthread_mutex_init(&local->lock, NULL);
	local->rules = (struct mailbox_rules){
	    .locks = v->mailbox_delivery_lock,
	    .limit_bytes = v->mailbox_size_limit,
	    .lock_attempts = v->deliver_lock_attempts,
	    .lock_delay_s = v->deliver_lock_delay,
	    .stale_lock_s = v->stale_lock_time,
	    .strict_owner = v->strict_mailbox_ownership,
	};
	if (tables_open(local, fault) != RC_OK ||
	    resolver_open(local, local->conf, &local->resolver, fault) != RC_OK)
		return fault->rc;
	if (privilege_user_find(local, v->default_privs, &local->default_user,
				fault) != RC_OK)
		return fault_set(fault, RC_CONF, "4.3.5",
				 "default_privs %s: no such user",
				 v->default_privs);
	if (local->default_user->uid == 0 || local->default_user->gid == 0)
		return fault_set(fault, RC_CONF, "4.3.5",
				 "default_privs %s: is root", v->default_privs);
	*ret_local = talloc_steal(mem, local);
	return RC_OK;
}

static void recipient_deliver(struct local *local, struct delivery *d,
			      size_t index)
{
	struct job job = {.local = local,
			  .d = d,
			  .index = index,
			  .mem = d,
			  .to = &d->request->recipients[index]};
	struct target top = {.address = job.to->address,
			     .sender = d->image->env->sender};
	struct fault fault;

	target_split(&job, &top);
	if (loop_check(d, index, &fault) != RC_OK) {
		job_fault(&job, &top, &fault);
	} else {
		target_deliver(&job, &top);
		forward_finish(&job, &top);
	}
	if (!job.settled_any) {
		/* An alias of nothing, or of what it was before. */
		fault_set(&fault, RC_PERM, "5.3.5",
			  "alias or .forward names no destination");
		job_fault(&job, &top, &fault);
	}
	delivery_record(d, index, &job.worst);
}

void local_deliver(void *arg, struct delivery *d)
{
	for (size_t i = 0; i < d->request->recipient_count; i++)
		recipient_deliver(arg, d, i);
}
