/* SPDX-License-Identifier: Apache-2.0 */
#include "arrive/smtpd/attribute.h"

#include "mail/smtp_command.h"
#include "net/address.h"
#include "net/dns.h"

enum { PORT_DIGITS = 5 };

/* Checks a decoded value; may put a better form in its place. */
typedef bool check_fn(TALLOC_CTX *mem, const char **text);

static bool check_name(TALLOC_CTX *mem, const char **text)
{
	return dns_name_is_valid(span_from(*text));
}

static bool check_address(TALLOC_CTX *mem, const char **text)
{
	struct span rest = span_from(*text);
	char plain[NET_ADDRESS_TEXT_MAX];
	struct net_address address;
	bool said_ipv6 = span_starts_nocase(rest, "IPV6:");

	if (said_ipv6)
		rest = span_skip(rest, 5);
	if (!net_address_parse(rest, &address) ||
	    (span_find(rest, ':') >= 0) != said_ipv6)
		return false;
	*text = mem_strdup(mem, net_address_text(&address, plain));
	return true;
}

static bool check_port(TALLOC_CTX *mem, const char **text)
{
	uint64_t port;

	return strlen(*text) <= PORT_DIGITS &&
	       span_to_u64(span_from(*text), 99999, &port);
}

static bool check_smtp(TALLOC_CTX *mem, const char **text)
{
	return span_is_nocase(span_from(*text), "SMTP") ||
	       span_is_nocase(span_from(*text), "ESMTP");
}

static bool check_source(TALLOC_CTX *mem, const char **text)
{
	return span_is_nocase(span_from(*text), "LOCAL") ||
	       span_is_nocase(span_from(*text), "REMOTE");
}

void attribute_clean_word(char *text)
{
	for (char *c = text; *c != '\0'; c++)
		if (strchr("<>()\\\";@", *c) != NULL || ascii_is_space(*c) ||
		    (!ascii_is_print(*c) && (unsigned char)*c < 128))
			*c = '?';
}

static bool check_word(TALLOC_CTX *mem, const char **text)
{
	char *clean = mem_strdup(mem, *text);

	attribute_clean_word(clean);
	*text = clean;
	return true;
}

static bool check_any(TALLOC_CTX *mem, const char **text)
{
	return true;
}

enum specials { UNAVAIL = 1, TEMPUNAVAIL = 2 };

struct rule {
	const char *name;
	enum attribute_name number;
	check_fn *check;
	int specials;
};

/* clang-format off */
static const struct rule xclient[] = {
	{ "NAME", ATTRIBUTE_NAME, check_name, UNAVAIL | TEMPUNAVAIL },
	{ "ADDR", ATTRIBUTE_ADDR, check_address, UNAVAIL },
	{ "PORT", ATTRIBUTE_PORT, check_port, UNAVAIL },
	{ "PROTO", ATTRIBUTE_PROTO, check_smtp, 0 },
	{ "HELO", ATTRIBUTE_HELO, check_word, UNAVAIL },
	{ "REVERSE_NAME", ATTRIBUTE_REVERSE_NAME, check_name, UNAVAIL | TEMPUNAVAIL },
	{ "LOGIN", ATTRIBUTE_LOGIN, check_any, UNAVAIL },
	{ "DESTADDR", ATTRIBUTE_DESTADDR, check_address, UNAVAIL },
	{ "DESTPORT", ATTRIBUTE_DESTPORT, check_port, UNAVAIL },
};

static const struct rule xforward[] = {
	{ "NAME", ATTRIBUTE_NAME, check_name, UNAVAIL },
	{ "ADDR", ATTRIBUTE_ADDR, check_address, UNAVAIL },
	{ "PORT", ATTRIBUTE_PORT, check_port, UNAVAIL },
	{ "PROTO", ATTRIBUTE_PROTO, check_word, UNAVAIL },
	{ "HELO", ATTRIBUTE_HELO, check_word, UNAVAIL },
	{ "IDENT", ATTRIBUTE_IDENT, check_word, UNAVAIL },
	{ "SOURCE", ATTRIBUTE_SOURCE, check_source, UNAVAIL },
};
/* clang-format on */

static const struct {
	const char *verb;
	const struct rule *rules;
	size_t count;
} commands[] = {
	[ATTRIBUTES_XCLIENT] = { "XCLIENT", xclient, ARRAY_LEN(xclient) },
	[ATTRIBUTES_XFORWARD] = { "XFORWARD", xforward, ARRAY_LEN(xforward) },
};

static const struct rule *rule_find(enum attribute_command command,
				    struct span name)
{
	for (size_t i = 0; i < commands[command].count; i++)
		if (span_is_nocase(name, commands[command].rules[i].name))
			return &commands[command].rules[i];
	return NULL;
}

/* The value as text; one with a bad escape is taken as it is written. */
static char *decode(TALLOC_CTX *mem, struct span value)
{
	struct span decoded = value;
	char *text;

	if (xtext_decode_bytes(mem, value, &decoded, NULL) != RC_OK)
		decoded = value;
	text = mem_span_dup(mem, decoded);
	for (size_t i = 0; i < decoded.len; i++)
		if ((unsigned char)text[i] < ' ' || text[i] == 127)
			text[i] = '?';
	return text;
}

static enum rc set(TALLOC_CTX *mem, const struct rule *rule, struct span value,
		   struct attribute *attribute, struct fault *fault)
{
	const char *text = decode(mem, value);

	if ((rule->specials & UNAVAIL) &&
	    span_is_nocase(span_from(text), "[UNAVAILABLE]")) {
		*attribute = (struct attribute){ ATTRIBUTE_UNAVAILABLE, NULL };
		return RC_OK;
	}
	if ((rule->specials & TEMPUNAVAIL) &&
	    span_is_nocase(span_from(text), "[TEMPUNAVAIL]")) {
		*attribute = (struct attribute){ ATTRIBUTE_TEMPUNAVAIL, NULL };
		return RC_OK;
	}
	attribute->text = text;
	attribute->status = ATTRIBUTE_VALUE;
	if (!rule->check(mem, &attribute->text))
		return fault_set(fault, RC_PERM, "5.5.4", "Bad %s syntax: %s",
				 rule->name, text);
	return RC_OK;
}

enum rc attributes_parse(TALLOC_CTX *mem, enum attribute_command command,
			 struct span args, struct attributes *ret_attributes,
			 struct fault *fault)
{
	struct attributes all = { 0 };
	struct span word, name;
	enum rc rc = RC_OK;

	while (rc == RC_OK && span_token(&args, " \t", &word)) {
		const struct rule *rule;

		if (span_find(word, '=') <= 0 || span_ends(word, "=") ||
		    !span_cut(&word, '=', &name))
			return fault_set(fault, RC_PERM, "5.5.4",
					 "Error: attribute=value expected");
		rule = rule_find(command, name);
		if (rule == NULL)
			return fault_set(fault, RC_PERM, "5.5.4",
					 "Bad %s attribute name: %.*s",
					 commands[command].verb,
					 SPAN_FMT(span_take(name, 100)));
		rc = set(mem, rule, word, &all.at[rule->number], fault);
	}
	if (rc == RC_OK)
		*ret_attributes = all;
	return rc;
}
