/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/address.h"
#include "rule/resolve_priv.h"
#include "rule/rewrite.h"

/* "smtp:[relay]:25", "smtp", ":[relay]": parts that are not there are empty. */
static void transport_split(struct span text, struct span *transport,
			    struct span *nexthop)
{
	ssize_t colon = span_find(text, ':');

	*transport = colon < 0 ? text : span_take(text, (size_t)colon);
	*nexthop = colon < 0 ? SPAN_OF("") : span_skip(text, (size_t)colon + 1);
}

static enum rc null_transport(struct fault *fault, const char *parameter)
{
	return fault_set(fault, RC_TEMP, "4.3.5",
			 "parameter %s: null transport is not allowed",
			 parameter);
}

static struct span own_relayhost(const struct resolver *resolver,
				 struct span transport)
{
	for (size_t i = 0; i < resolver->relay_count; i++)
		if (span_is(transport, resolver->relays[i].transport))
			return span_from(resolver->relays[i].relayhost);
	return SPAN_OF("");
}

/* user@domain, then @domain; an empty answer and DUNNO say nothing. */
static enum rc sender_lookup(struct resolver *resolver, TALLOC_CTX *scratch,
			     struct maps *maps, struct span sender,
			     const char *empty_key, struct span *ret_value,
			     struct fault *fault)
{
	struct span value;
	enum rc rc;

	if (maps_is_empty(maps))
		return RC_NONE;
	if (sender.len == 0)
		rc = maps_lookup_key(maps, scratch, span_from(empty_key), false,
				     &value, fault);
	else
		rc = address_find(maps, resolver, resolver->conf, scratch,
				  sender,
				  FIND_FULL | FIND_NO_EXTENSION |
					  FIND_AT_DOMAIN,
				  &value, NULL, fault);
	if (rc != RC_OK)
		return rc;
	value = span_trim(value);
	if (span_is_nocase(value, "DUNNO"))
		return RC_NONE;
	*ret_value = value;
	return RC_OK;
}

static enum rc in_list(const struct match_list *list, struct target *target,
		       enum address_class class, struct fault *fault)
{
	enum rc rc = match_list_domain(list, target->domain, fault);

	if (rc == RC_OK)
		target->class = class;
	return rc;
}

static enum rc class_find(struct resolver *resolver, struct target *target,
			  struct fault *fault)
{
	enum rc rc;

	target->class = CLASS_LOCAL;
	if (target->is_local)
		return RC_OK;
	target->class = CLASS_DEFAULT;
	rc = in_list(resolver->virtual_alias_domains, target,
		     CLASS_VIRTUAL_ALIAS, fault);
	if (rc == RC_NONE)
		rc = in_list(resolver->virtual_mailbox_domains, target,
			     CLASS_VIRTUAL_MAILBOX, fault);
	if (rc == RC_NONE)
		rc = in_list(resolver->relay_domains, target, CLASS_RELAY,
			     fault);
	return rc == RC_NONE ? RC_OK : rc;
}

/* The class's own transport, or for other people's domains the sender's. */
static enum rc class_transport(struct resolver *resolver, TALLOC_CTX *scratch,
			       struct target *target, struct fault *fault)
{
	const struct conf_values *v = &resolver->conf->v;
	const char *text = v->default_transport;
	const char *parameter = "default_transport";
	struct span value;
	enum rc rc = RC_NONE;

	switch (target->class) {
	case CLASS_LOCAL:
		text = v->local_transport, parameter = "local_transport";
		break;
	case CLASS_VIRTUAL_ALIAS:
		target->transport = SPAN_OF("error");
		target->nexthop =
			v->show_user_unknown_table_name ?
				SPAN_OF("5.1.1 User unknown in virtual alias "
					"table") :
				SPAN_OF("5.1.1 User unknown");
		return RC_OK;
	case CLASS_VIRTUAL_MAILBOX:
		text = v->virtual_transport, parameter = "virtual_transport";
		break;
	case CLASS_RELAY:
		text = v->relay_transport, parameter = "relay_transport";
		break;
	case CLASS_DEFAULT:
		rc = sender_lookup(
			resolver, scratch, resolver->sender_transports,
			target->sender,
			v->empty_address_default_transport_maps_lookup_key,
			&value, fault);
		parameter = rc == RC_OK ?
				    "sender_dependent_default_transport_maps" :
				    parameter;
		break;
	}
	if (rc != RC_OK && rc != RC_NONE)
		return rc;
	if (rc == RC_NONE)
		value = span_from(text);
	transport_split(value, &target->transport, &target->nexthop);
	return target->transport.len > 0 ? RC_OK :
					   null_transport(fault, parameter);
}

/* Where the transport does not say: its own relay, the sender's, everybody's,
 * or the domain itself. */
static enum rc class_nexthop(struct resolver *resolver, TALLOC_CTX *scratch,
			     struct target *target, struct fault *fault)
{
	const struct conf_values *v = &resolver->conf->v;
	enum rc rc = RC_NONE;

	if (target->nexthop.len > 0)
		return RC_OK;
	target->nexthop = own_relayhost(resolver, target->transport);
	if (target->nexthop.len > 0)
		return RC_OK;
	target->nexthop = target->domain;
	if (target->class != CLASS_RELAY && target->class != CLASS_DEFAULT)
		return RC_OK;
	rc = sender_lookup(resolver, scratch, resolver->sender_relayhosts,
			   target->sender,
			   v->empty_address_relayhost_maps_lookup_key,
			   &target->nexthop, fault);
	if (rc == RC_NONE && v->relayhost[0] != '\0')
		target->nexthop = span_from(v->relayhost);
	return rc == RC_NONE ? RC_OK : rc;
}

/* example.test, then its parents: .test, or test with bare_parents. */
static enum rc domain_lookup(struct resolver *resolver, TALLOC_CTX *scratch,
			     struct span domain, struct span *ret_value,
			     struct fault *fault)
{
	enum rc rc = maps_lookup_key(resolver->transports, scratch, domain,
				     true, ret_value, fault);

	while (rc == RC_NONE && domain.len > 0 && domain.ptr[0] != '[') {
		ssize_t dot = span_find(span_skip(domain, 1), '.');

		if (dot < 0)
			break;
		domain = span_skip(domain, (size_t)dot + 1);
		rc = maps_lookup_key(
			resolver->transports, scratch,
			resolver->bare_parents ? span_skip(domain, 1) : domain,
			true, ret_value, fault);
	}
	return rc;
}

static enum rc transport_lookup(struct resolver *resolver, TALLOC_CTX *scratch,
				const struct target *target,
				struct span *ret_value, struct fault *fault)
{
	enum rc rc;

	if (maps_is_empty(resolver->transports))
		return RC_NONE;
	rc = address_find(resolver->transports, resolver, resolver->conf,
			  scratch, target->address,
			  FIND_FULL | FIND_NO_EXTENSION, ret_value, NULL,
			  fault);
	if (rc == RC_NONE)
		rc = domain_lookup(resolver, scratch, target->domain, ret_value,
				   fault);
	if (rc == RC_NONE)
		rc = maps_lookup_key(resolver->transports, scratch,
				     SPAN_OF("*"), true, ret_value, fault);
	return rc;
}

static enum rc table_transport(struct resolver *resolver, TALLOC_CTX *scratch,
			       struct target *target, struct fault *fault)
{
	struct span value, transport, nexthop;
	enum rc rc;

	if (target->class == CLASS_VIRTUAL_ALIAS)
		return RC_OK;
	rc = transport_lookup(resolver, scratch, target, &value, fault);
	if (rc != RC_OK)
		return rc == RC_NONE ? RC_OK : rc;
	transport_split(span_trim(value), &transport, &nexthop);
	if (transport.len > 0) { /* takes the next hop of the class with it */
		target->transport = transport;
		target->nexthop = own_relayhost(resolver, transport);
		if (target->nexthop.len == 0)
			target->nexthop = target->domain;
		if (nexthop.len == 0 && (span_is(transport, "error") ||
					 span_is(transport, "retry")))
			target->nexthop = SPAN_OF("Address is undeliverable");
	}
	if (nexthop.len > 0)
		target->nexthop = nexthop;
	return RC_OK;
}

static enum rc relocated_check(struct resolver *resolver, TALLOC_CTX *scratch,
			       struct target *target, struct fault *fault)
{
	struct span value;
	enum rc rc = address_find(resolver->relocated, resolver, resolver->conf,
				  scratch, target->address, FIND_DEFAULT,
				  &value, NULL, fault);

	if (rc != RC_OK)
		return rc == RC_NONE ? RC_OK : rc;
	target->transport = SPAN_OF("error");
	target->nexthop = span_from(mem_printf(
		scratch, "%s%.*s",
		resolver->conf->v.relocated_prefix_enable ?
			"5.1.6 User has moved to " :
			"",
		SPAN_FMT(value)));
	return RC_OK;
}

enum rc resolve_transport(struct resolver *resolver, TALLOC_CTX *scratch,
			  struct target *target, struct fault *fault)
{
	enum rc rc = class_find(resolver, target, fault);

	if (rc == RC_OK)
		rc = class_transport(resolver, scratch, target, fault);
	if (rc == RC_OK)
		rc = class_nexthop(resolver, scratch, target, fault);
	if (rc == RC_OK)
		rc = table_transport(resolver, scratch, target, fault);
	if (rc == RC_OK)
		rc = relocated_check(resolver, scratch, target, fault);
	if (rc != RC_OK)
		return fault_add(fault, "resolve %.*s",
				 SPAN_FMT(target->address));
	return RC_OK;
}
