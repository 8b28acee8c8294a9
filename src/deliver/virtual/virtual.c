/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/virtual/virtual.h"

#include "deliver/loop.h"
#include "deliver/mailbox.h"
#include "deliver/user_work.h"
#include "mail/address.h"
#include "rule/rewrite.h"
#include "sys/log.h"

struct virtual
{
	struct conf *conf;
	const char *relay; /* the service's name */
	struct maps *mailboxes, *uids, *gids;
	struct resolver *resolver;
	struct mailbox_rules rules;
};

struct storing {
	const char *path;
	struct mail_text text;
	const struct mailbox_rules *rules;
	struct privilege_user user;
};

enum rc virtual_open(TALLOC_CTX *mem, struct service *service,
		     struct virtual **ret_virtual, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(mem);
	struct virtual *v = mem_new(tmp, struct virtual);
	const struct conf_values *cv = &service->conf->v;
	const struct {
		const char *name, *text;
		struct maps **into;
	} tables[] = {
	    {"virtual_mailbox_maps", cv->virtual_mailbox_maps, &v->mailboxes},
	    {"virtual_uid_maps", cv->virtual_uid_maps, &v->uids},
	    {"virtual_gid_maps", cv->virtual_gid_maps, &v->gids},
	};

	v->conf = service->conf;
	v->relay = service->name;
	v->rules = (struct mailbox_rules){
	    .locks = cv->virtual_mailbox_lock,
	    .limit_bytes = cv->virtual_mailbox_limit,
	    .lock_attempts = cv->deliver_lock_attempts,
	    .lock_delay_s = cv->deliver_lock_delay,
	    .stale_lock_s = cv->stale_lock_time,
	    .strict_owner = cv->strict_mailbox_ownership,
	};
	for (size_t i = 0; i < ARRAY_LEN(tables); i++)
		if (maps_open(v, v->conf, tables[i].name, tables[i].text,
			      MAP_FOLD | MAP_SECURE, tables[i].into,
			      fault) != RC_OK)
			return fault->rc;
	if (resolver_open(v, v->conf, &v->resolver, fault) != RC_OK)
		return fault->rc;
	*ret_virtual = talloc_steal(mem, v);
	return RC_OK;
}

static enum rc find(struct virtual *v, TALLOC_CTX *mem, struct maps *maps,
		    const char *address, const char **ret_value,
		    struct fault *fault)
{
	struct span value;
	enum rc rc =
	    address_find(maps, v->resolver, v->conf, mem, span_from(address),
			 FIND_FULL | FIND_NO_EXTENSION | FIND_AT_DOMAIN, &value,
			 NULL, fault);

	if (rc == RC_OK)
		*ret_value = mem_span_dup(mem, span_trim(value));
	return rc;
}

static enum rc misconfigured(struct fault *fault)
{
	log_warning("%s", fault->text);
	return fault_set(fault, RC_CONF, "4.3.5",
			 "mail system configuration error");
}

/* A number of a table, not below the least. */
static enum rc find_id(struct virtual *v, TALLOC_CTX *mem, struct maps *maps,
		       const char *table, const char *address, uint64_t least,
		       uint64_t *ret_id, struct fault *fault)
{
	const char *text;
	enum rc rc = find(v, mem, maps, address, &text, fault);

	if (rc == RC_NONE)
		fault_set(fault, RC_CONF, "4.3.5",
			  "recipient %s: not found in %s", address, table);
	if (rc != RC_OK)
		return rc == RC_TEMP ? rc : misconfigured(fault);
	if (!span_to_u64(span_from(text), UINT32_MAX - 1, ret_id) ||
	    *ret_id < least) {
		fault_set(fault, RC_CONF, "4.3.5",
			  "recipient %s: bad id %s in %s", address, text,
			  table);
		return misconfigured(fault);
	}
	return RC_OK;
}

/* A path of a table stays below virtual_mailbox_base. */
static bool path_climbs(const char *path)
{
	struct span rest = span_from(path), part;

	while (span_cut(&rest, '/', &part))
		if (span_is(part, ".."))
			return true;
	return false;
}

static enum rc mailbox_find(struct virtual *v, TALLOC_CTX *mem,
			    const char *address, struct storing *s,
			    struct fault *fault)
{
	const struct conf_values *cv = &v->conf->v;
	const char *path;
	uint64_t uid, gid;
	enum rc rc = find(v, mem, v->mailboxes, address, &path, fault);

	if (rc == RC_NONE)
		return fault_set(fault, RC_PERM, "5.1.1",
				 "unknown user: \"%s\"", address);
	if (rc != RC_OK)
		return rc;
	if (path_climbs(path)) {
		fault_set(fault, RC_CONF, "4.3.5",
			  "recipient %s: \"..\" in virtual_mailbox_maps",
			  address);
		return misconfigured(fault);
	}
	rc = find_id(v, mem, v->uids, "virtual_uid_maps", address,
		     (uint64_t)MAX_OF(cv->virtual_minimum_uid, 1), &uid, fault);
	if (rc == RC_OK)
		rc = find_id(v, mem, v->gids, "virtual_gid_maps", address, 1,
			     &gid, fault);
	if (rc != RC_OK)
		return rc;
	if (*cv->virtual_mailbox_base == '\0' && path[0] != '/') {
		fault_set(fault, RC_CONF, "4.3.5",
			  "virtual_mailbox_base is not set");
		return misconfigured(fault);
	}
	s->path =
	    *cv->virtual_mailbox_base == '\0'
		? path
		: mem_printf(mem, "%s/%s", cv->virtual_mailbox_base, path);
	s->user = (struct privilege_user){.name = "virtual",
					  .home = "/",
					  .shell = "/bin/sh",
					  .uid = (uid_t)uid,
					  .gid = (gid_t)gid};
	return RC_OK;
}

static enum rc mbox_write(void *arg, struct fault *fault)
{
	struct storing *s = arg;
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct mbox *mbox;

	if (mbox_open(tmp, s->path, s->user.uid, s->user.gid, s->rules, &mbox,
		      fault) != RC_OK ||
	    mbox_append(mbox, &s->text, s->rules, fault) != RC_OK)
		return fault->rc;
	return mbox_sync_name(mbox, fault);
}

static enum rc maildir_write(void *arg, struct fault *fault)
{
	struct storing *s = arg;
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);

	return maildir_deliver(tmp, s->path, &s->text, fault);
}

static void recipient_store(struct virtual *v, struct delivery *d, size_t i,
			    struct storing *s)
{
	const bool maildir = span_ends(span_from(s->path), "/");
	struct outcome sent = {
	    .action = DELIVERY_SENT, .dsn = "2.0.0", .relay = v->relay};
	struct fault fault;

	s->rules = &v->rules;
	s->text = loop_mail_text(
	    d, i,
	    maildir ? 0 : MAIL_TEXT_FROM | MAIL_TEXT_QUOTE | MAIL_TEXT_BLANK);
	sent.text = maildir ? "delivered to maildir" : "delivered to mailbox";
	if (delivery_is_probe(d)) {
		sent.text = maildir ? "delivers to maildir"
				    : "delivers to mailbox";
		delivery_settle(d, i, &sent);
		return;
	}
	if (user_work(&s->user, maildir ? maildir_write : mbox_write, s,
		      &fault) == RC_OK) {
		delivery_settle(d, i, &sent);
		return;
	}
	if (maildir)
		fault_add(&fault, "maildir delivery failed");
	else
		fault_add(&fault, "%s",
			  mem_printf(d, "cannot update mailbox %s", s->path));
	delivery_settle_fault(d, i, &fault, v->relay);
}

void virtual_deliver(void *arg, struct delivery *d)
{
	struct virtual *v = arg;

	for (size_t i = 0; i < d->request->recipient_count; i++) {
		const char *address = d->request->recipients[i].address;
		struct storing s = {0};
		struct fault fault;

		if (loop_check(d, i, &fault) != RC_OK ||
		    mailbox_find(v, d, address, &s, &fault) != RC_OK)
			delivery_settle_fault(d, i, &fault, v->relay);
		else
			recipient_store(v, d, i, &s);
	}
}
