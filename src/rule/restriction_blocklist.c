/* SPDX-License-Identifier: Apache-2.0 */
/* Lists in DNS: reject_rbl_client, reject_rhsbl_..., permit_dnswl_client,
 * permit_rhswl_client. */
#include "conf/expand.h"
#include "mail/address.h"
#include "mail/dsn.h"
#include "rule/restriction_access.h"
#include "rule/restriction_filter.h"
#include "rule/restriction_rules.h"

enum { REASON_MAX_BYTES = 500, REPLY_MAX_BYTES = 4096 };

struct blocklist {
	struct evaluation *ev;
	const struct rule_item *item;
	enum rule_class class;
	const char *domain; /* without the filter */
	struct span filter;
	const char *what;  /* client address, domain, address */
	const char *query; /* NULL: nothing to ask about */
	const char *reason;
};

/* Not for [192.0.2.1], nor for what ends in a number. */
static bool domain_can_be_listed(struct span domain)
{
	ssize_t dot = span_rfind(domain, '.');
	struct span last = span_skip(domain, (size_t)(dot + 1));
	bool digits = last.len > 0;

	for (size_t i = 0; i < last.len; i++)
		digits = digits && ascii_is_digit(last.ptr[i]);
	return domain.len > 0 && domain.ptr[0] != '[' && !digits;
}

static void about_name(struct blocklist *b, const char *what,
		       struct span domain)
{
	if (!domain_can_be_listed(domain))
		return;
	b->what = what;
	b->query =
		mem_printf(b->ev->mem, "%.*s.%s", SPAN_FMT(domain), b->domain);
}

static void about_client(struct blocklist *b, const char *name)
{
	if (name != NULL && strcmp(name, "unknown") != 0)
		about_name(b, name, span_from(name));
}

/* 9.2.0.192.list.test: as for a PTR record, without its last labels. */
static void about_address(struct blocklist *b, const char *text)
{
	char reverse[NET_REVERSE_TEXT_MAX];
	struct net_address address;
	struct span name;

	if (!net_address_parse(span_from(text), &address))
		return;
	name = span_from(net_address_reverse(&address, reverse));
	if (span_ends(name, "."))
		name = span_take(name, name.len - 1);
	for (int labels = 0; labels < 2 && span_rfind(name, '.') > 0; labels++)
		name = span_take(name, (size_t)span_rfind(name, '.'));
	b->what = text;
	b->query = mem_printf(b->ev->mem, "%.*s.%s", SPAN_FMT(name), b->domain);
}

static void blocklist_init(struct blocklist *b, struct evaluation *ev,
			   const struct rule_item *item)
{
	const struct restriction_request *req = ev->request;
	struct span domain = span_from(item->arg);
	ssize_t equals = span_find(domain, '=');
	const char *address = NULL;

	*b = (struct blocklist){
		.ev = ev,
		.item = item,
		.class = (enum rule_class)item->def->arg,
	};
	if (equals >= 0) {
		b->filter = span_skip(domain, (size_t)equals + 1);
		domain = span_take(domain, (size_t)equals);
	}
	b->domain = mem_span_dup(ev->mem, domain);
	switch (b->class) {
	case CLASS_OF_CLIENT:
		if (item->def->traits & BY_ADDRESS)
			about_address(b, req->client_address);
		else
			about_client(b, req->client_name);
		return;
	case CLASS_OF_REVERSE_CLIENT:
		about_client(b, req->reverse_name);
		return;
	case CLASS_OF_HELO:
		if (req->helo != NULL)
			about_name(b, req->helo, span_from(req->helo));
		return;
	case CLASS_OF_SENDER:
		address = req->sender;
		break;
	case CLASS_OF_RECIPIENT:
		address = req->recipient;
		break;
	default:
		break;
	}
	if (address != NULL && address[0] != '\0')
		about_name(b, address,
			   address_split(span_from(address)).domain);
}

/* RULE_OK: listed; RULE_DUNNO: not, or *ret_failed; RULE_WAIT. */
static enum rule_result look_up(struct blocklist *b, bool *ret_failed)
{
	const struct rule_dns *dns = rule_dns_ask(b->ev, b->query, DNS_A);

	*ret_failed = false;
	if (dns == NULL)
		return RULE_WAIT;
	if (dns->rc == RC_NONE)
		return RULE_DUNNO;
	if (dns->rc != RC_OK) {
		rule_note(b->ev, "warning", "%s: RBL lookup error: %s",
			  b->query, dns->fault.text);
		*ret_failed = true;
		return RULE_DUNNO;
	}
	if (b->filter.len == 0)
		return RULE_OK;
	for (size_t i = 0; i < dns->answer->count; i++)
		if (address_filter_matches(b->filter,
					   &dns->answer->records[i].address))
			return RULE_OK;
	return RULE_DUNNO;
}

/* What the list says about the entry. */
static enum rule_result find_reason(struct blocklist *b)
{
	const struct rule_dns *dns = rule_dns_ask(b->ev, b->query, DNS_TXT);
	struct buf text;

	if (dns == NULL)
		return RULE_WAIT;
	b->reason = "";
	if (dns->rc == RC_TEMP)
		rule_note(b->ev, "warning", "%s: TXT lookup error: %s",
			  b->query, dns->fault.text);
	if (dns->rc != RC_OK)
		return RULE_DUNNO;
	buf_init(&text, b->ev->mem, REPLY_MAX_BYTES);
	for (size_t i = 0; i < dns->answer->count; i++) {
		struct span data = dns->answer->records[i].data;

		if (i > 0)
			buf_add_text(&text, " / ");
		buf_add(&text, span_take(data, REASON_MAX_BYTES));
	}
	b->reason = mem_span_dup(b->ev->mem,
				 span_take(buf_span(&text), REASON_MAX_BYTES));
	buf_done(&text);
	return RULE_DUNNO;
}

/* ---- the reply ---- */

struct reply_values {
	const struct blocklist *b;
};

static struct span address_part(const char *address, char part)
{
	struct address_parts parts = address_split(span_from(address));

	if (address[0] == '\0')
		return part == 'd' ? SPAN_OF("") : SPAN_OF("<>");
	if (part == 'd')
		return parts.domain;
	return part == 'n' ? parts.local : span_from(address);
}

static enum rc reply_value(void *arg, struct span name, int depth,
			   struct span *ret_value, struct fault *fault)
{
	const struct blocklist *b = ((struct reply_values *)arg)->b;
	const struct restriction_request *req = b->ev->request;
	const char *sender = req->sender == NULL ? "" : req->sender;
	const char *recipient = req->recipient == NULL ? "" : req->recipient;
	char code[12];
	const struct {
		const char *name;
		struct span value;
	} values[] = {
		{ "client", span_from(rule_subject(b->ev, CLASS_OF_CLIENT)) },
		{ "client_address", span_from(req->client_address) },
		{ "client_name", span_from(req->client_name) },
		{ "client_port", span_from(req->client_port) },
		{ "reverse_client_name", span_from(req->reverse_name) },
		{ "helo_name", span_from(req->helo) },
		{ "sender", address_part(sender, 'a') },
		{ "sender_name", address_part(sender, 'n') },
		{ "sender_domain", address_part(sender, 'd') },
		{ "recipient", address_part(recipient, 'a') },
		{ "recipient_name", address_part(recipient, 'n') },
		{ "recipient_domain", address_part(recipient, 'd') },
		{ "rbl_code", span_from(code) },
		{ "rbl_domain", span_from(b->domain) },
		{ "rbl_reason", span_from(b->reason) },
		{ "rbl_txt", span_from(b->reason) },
		{ "rbl_what", span_from(b->what) },
		{ "rbl_class", span_from(rule_class_name(b->class)) },
	};

	snprintf(code, sizeof(code), "%d",
		 b->ev->set->conf->v.maps_rbl_reject_code);
	for (size_t i = 0; i < ARRAY_LEN(values); i++)
		if (span_is(name, values[i].name)) {
			*ret_value = span_is(name, "rbl_code")
					     ? span_from(code)
					     : values[i].value;
			if (ret_value->ptr == NULL)
				*ret_value = SPAN_OF("");
			*ret_value = mem_span_copy(b->ev->mem, *ret_value);
			return RC_OK;
		}
	return RC_NONE;
}

/* The template: the table's for "domain=filter" or "domain", or the general. */
static enum rc find_template(struct blocklist *b, struct span *ret_template,
			     struct fault *fault)
{
	const char *keys[] = { b->item->arg, b->domain };
	enum rc rc = RC_NONE;

	for (size_t i = 0; rc == RC_NONE && i < ARRAY_LEN(keys); i++)
		rc = maps_lookup(b->ev->set->rbl_replies, b->ev->mem,
				 span_from(keys[i]), ret_template, fault);
	if (rc != RC_NONE)
		return rc;
	*ret_template = span_from(b->ev->set->conf->v.default_rbl_reply);
	return RC_OK;
}

static enum rule_result say_reply(struct blocklist *b, struct span reply)
{
	char dsn[DSN_MAX_BYTES] = "5.7.1";
	struct span rest = reply, word;
	uint64_t code;

	if (!span_token(&rest, " \t", &word) || word.len != 3 ||
	    !span_to_u64(word, 599, &code) || code < 400) {
		rule_note(b->ev, "warning",
			  "rbl response code configuration error: %.*s",
			  SPAN_FMT(reply));
		return rule_reject(b->ev, 450, "4.7.1", "Service unavailable");
	}
	rest = span_trim(rest);
	if (dsn_cut(&rest, dsn))
		access_fit_dsn(dsn, b->class);
	return rule_reject(b->ev, (int)code, dsn, "%.*s", SPAN_FMT(rest));
}

static enum rule_result refuse(struct blocklist *b)
{
	struct reply_values values = { b };
	struct expand expand = { reply_value, &values };
	struct fault fault = { 0 };
	struct span template;
	struct buf reply;
	enum rc rc;

	if (find_template(b, &template, &fault) != RC_OK)
		return rule_lookup_failed(b->ev, b->what, &fault);
	buf_init(&reply, b->ev->mem, REPLY_MAX_BYTES);
	rc = expand_text(&expand, template, 0, &reply, &fault);
	if (rc != RC_OK) {
		rule_note(b->ev, "warning",
			  "%s: bad rbl reply template for domain %s: %s",
			  b->item->word, b->domain, fault.text);
		return rule_config_error(b->ev);
	}
	return say_reply(b, buf_span(&reply));
}

/* A list of friends must not open the relay. */
static enum rule_result permit(struct blocklist *b)
{
	enum rule_result result = RULE_OK;

	if (b->ev->request->recipient != NULL)
		result = rule_permit_auth(b->ev, b->item);
	return result;
}

enum rule_result rule_blocklist(struct evaluation *ev,
				const struct rule_item *item)
{
	bool permits = item->def->traits & PERMITS, failed;
	enum rule_result result;
	struct blocklist b;

	blocklist_init(&b, ev, item);
	if (!address_filter_is_valid(b.filter)) {
		rule_note(ev, "warning", "bad DNS list filter: %s", item->arg);
		return rule_config_error(ev);
	}
	if (b.query == NULL)
		return RULE_DUNNO;
	result = look_up(&b, &failed);
	if (failed && permits)
		rule_defer_if_reject(
			ev, mem_printf(ev->mem,
				       "450 4.7.1 <%s>: %s rejected: Service "
				       "unavailable",
				       b.what, rule_class_name(b.class)));
	if (result != RULE_OK)
		return result;
	if (permits)
		return permit(&b);
	result = find_reason(&b);
	return result == RULE_DUNNO ? refuse(&b) : result;
}

void rule_blocklist_ahead(struct evaluation *ev, const struct rule_item *item)
{
	struct blocklist b;

	blocklist_init(&b, ev, item);
	if (b.query != NULL)
		rule_dns_begin(ev, b.query, DNS_A);
}
