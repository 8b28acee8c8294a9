/* SPDX-License-Identifier: Apache-2.0 */
#include "rule/recipient.h"

#include "mail/address.h"
#include "mail/dsn.h"
#include "rule/rewrite.h"
#include "rule/rule_priv.h"

enum { CODE_NEVER = 550, CODE_LATER = 450 };

struct recipient_lists {
	struct conf *conf;
	struct resolver *resolver;
	struct maps *recipient_canonical, *canonical, *virtual_alias;
	struct maps *local, *virtual_mailbox, *relay;
};

static int lists_close(struct recipient_lists *lists)
{
	conf_unref(lists->conf);
	return 0;
}

enum rc recipient_lists_open(TALLOC_CTX *mem, struct conf *conf,
			     struct resolver *resolver,
			     struct recipient_lists **ret_lists,
			     struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct recipient_lists *l = mem_new(tmp, struct recipient_lists);
	const struct conf_values *v = &conf->v;
	const struct {
		const char *name, *text;
		struct maps **maps;
	} tables[] = {
		{ "recipient_canonical_maps", v->recipient_canonical_maps,
		  &l->recipient_canonical },
		{ "canonical_maps", v->canonical_maps, &l->canonical },
		{ "virtual_alias_maps", v->virtual_alias_maps,
		  &l->virtual_alias },
		{ "local_recipient_maps", v->local_recipient_maps, &l->local },
		{ "virtual_mailbox_maps", v->virtual_mailbox_maps,
		  &l->virtual_mailbox },
		{ "relay_recipient_maps", v->relay_recipient_maps, &l->relay },
	};

	l->conf = conf_ref(conf);
	l->resolver = resolver;
	talloc_set_destructor(l, lists_close);
	for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
		enum rc rc = rule_maps_open(l, conf, tables[i].name, tables[i].text,
				       MAP_FOLD, tables[i].maps, fault);

		if (rc != RC_OK)
			return rc;
	}
	*ret_lists = talloc_steal(mem, l);
	return RC_OK;
}

static enum rc find(struct recipient_lists *lists, TALLOC_CTX *mem,
		    struct maps *maps, struct span address, int strategy,
		    struct fault *fault)
{
	struct span value;

	return address_find(maps, lists->resolver, lists->conf, mem, address,
			    strategy, &value, NULL, fault);
}

/* An address that is mapped to another one need not exist by itself. */
static enum rc is_mapped(struct recipient_lists *lists, TALLOC_CTX *mem,
			 struct span address, struct fault *fault)
{
	struct maps *maps[] = { lists->recipient_canonical, lists->canonical,
				lists->virtual_alias };
	enum rc rc = RC_NONE;

	for (size_t i = 0; rc == RC_NONE && i < ARRAY_LEN(maps); i++)
		rc = find(lists, mem, maps[i], address, FIND_DEFAULT, fault);
	return rc;
}

static enum rc unknown(const struct recipient_lists *lists, const char *table,
		       struct fault *fault)
{
	if (!lists->conf->v.show_user_unknown_table_name)
		return fault_set(fault, RC_PERM, "5.1.1", "User unknown");
	return fault_set(fault, RC_PERM, "5.1.1", "User unknown in %s table",
			 table);
}

/* What an error: transport says, "5.1.6 User has moved to ...". */
static enum rc error_transport(const struct route *route, int *ret_code,
			       struct fault *fault)
{
	struct span text = span_from(route->nexthop);
	char dsn[DSN_MAX_BYTES] = "5.0.0";
	bool later;

	if (!dsn_cut(&text, dsn))
		text = span_from(route->nexthop);
	later = dsn[0] == '4';
	*ret_code = later ? CODE_LATER : CODE_NEVER;
	return fault_set(fault, later ? RC_TEMP : RC_PERM, dsn, "%.*s",
			 SPAN_FMT(text));
}

static bool always_local(struct span local)
{
	static const char *const names[] = { "postmaster", "mailer-daemon",
					     "double-bounce" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (span_is_nocase(local, names[i]))
			return true;
	return false;
}

static enum rc class_check(struct recipient_lists *lists, TALLOC_CTX *mem,
			   struct span address, const struct route *route,
			   int *ret_code, struct fault *fault)
{
	const struct conf_values *v = &lists->conf->v;
	struct maps *maps = NULL;
	const char *table = "";
	int strategy = FIND_FULL | FIND_NO_EXTENSION | FIND_AT_DOMAIN;
	int code = CODE_NEVER;
	enum rc rc;

	switch (route->class) {
	case CLASS_LOCAL:
		if (always_local(address_split(address).local))
			return RC_OK;
		maps = lists->local, table = "local recipient";
		strategy = FIND_DEFAULT;
		code = v->unknown_local_recipient_reject_code;
		break;
	case CLASS_VIRTUAL_MAILBOX:
		maps = lists->virtual_mailbox, table = "virtual mailbox";
		code = v->unknown_virtual_mailbox_reject_code;
		break;
	case CLASS_RELAY:
		maps = lists->relay, table = "relay recipient";
		code = v->unknown_relay_recipient_reject_code;
		break;
	case CLASS_VIRTUAL_ALIAS: /* is known, or goes to error: */
	case CLASS_DEFAULT:
		return RC_OK;
	}
	if (maps_is_empty(maps))
		return RC_OK;
	rc = find(lists, mem, maps, address, strategy, fault);
	if (rc != RC_NONE)
		return rc;
	*ret_code = code;
	return unknown(lists, table, fault);
}

/* Whatever failed, it is "later"; the text says which table. */
static enum rc later(struct fault *fault)
{
	if (fault != NULL)
		fault->rc = RC_TEMP;
	return RC_TEMP;
}

enum rc recipient_is_listed(struct recipient_lists *lists, TALLOC_CTX *mem,
			    struct span address, const struct route *route,
			    int *ret_code, struct fault *fault)
{
	SCRATCH TALLOC_CTX *scratch = talloc_new(mem);
	enum rc rc = is_mapped(lists, scratch, address, fault);

	*ret_code = CODE_LATER;
	if (rc != RC_NONE)
		return rc == RC_OK ? RC_OK : later(fault);
	if (strcmp(route->transport, "error") == 0) {
		rc = error_transport(route, ret_code, fault);
		if (route->class == CLASS_VIRTUAL_ALIAS && rc == RC_PERM)
			*ret_code =
				lists->conf->v.unknown_virtual_alias_reject_code;
		return rc;
	}
	rc = class_check(lists, scratch, address, route, ret_code, fault);
	if (rc == RC_OK || rc == RC_PERM)
		return rc;
	*ret_code = CODE_LATER;
	return later(fault);
}
