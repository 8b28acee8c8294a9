/* SPDX-License-Identifier: Apache-2.0 */
/* Searches of the ldap table: entries, and what their values refer to. */
#include "base/clock.h"
#include "map/ldap_priv.h"
#include "map/ldap_quote.h"

/* However many entries refer to each other. */
enum { SEARCHES_MAX = 10000, LOOKUP_MAX_MS = 60 * 1000 };

/* One search of a lookup. */
struct search {
	struct ldap_question *question;
	struct ldap_connection *c;
	bool *broken;
	struct fault *fault;
	const char *const *names; /* attributes to get */
	int depth; /* 1: what was asked for; more: what entries refer to */
};

static bool is_name(struct span a, struct span b)
{
	return span_eq_nocase(a, b);
}

static struct span without_options(struct span name)
{
	ssize_t semicolon = span_find(name, ';');

	return semicolon < 0 ? name : span_take(name, (size_t)semicolon);
}

/* What an attribute of an entry is for: its name is one of the table's, or that
 * with options (mail;lang-de). */
static int use_of(const struct map_ldap *m, struct span name)
{
	int use = 0;

	for (size_t i = 0; i < m->attribute_count; i++) {
		struct span own = span_from(m->attributes[i].name);

		if (is_name(name, own) || is_name(without_options(name), own))
			use |= m->attributes[i].use;
	}
	return use;
}

static enum rc search_run(const struct search *s, const char *base, int scope,
			  const char *filter);

/* The attributes that both the URL and the table name; NULL: none. */
static const char **names_of_url(TALLOC_CTX *mem, const struct map_ldap *m,
				 char **url_names)
{
	const char **names = NULL;
	size_t count = 0;

	for (; *url_names != NULL; url_names++) {
		struct span url = span_from(*url_names);

		if (span_is(url, "*"))
			return m->names;
		for (size_t i = 0; i < m->attribute_count; i++) {
			struct span own = span_from(m->attributes[i].name);
			bool url_has = span_find(url, ';') >= 0;
			bool own_has = span_find(own, ';') >= 0;
			bool same = is_name(url, own);

			if (!same && url_has != own_has)
				same = is_name(without_options(url),
					       without_options(own));
			if (!same)
				continue;
			names = mem_resize(mem, names, const char *, count + 2);
			names[count++] = mem_span_dup(mem, url_has ? url : own);
			names[count] = NULL;
		}
	}
	return names;
}

static enum rc url_follow(const struct search *s, const char *value)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	const struct map_ldap *m = s->question->map;
	struct search inner = *s;
	LDAPURLDesc *url = NULL;
	enum rc rc = RC_OK;
	int error = m->client.ldap_url_parse(value, &url);

	if (error != LDAP_URL_SUCCESS)
		return fault_set(s->fault, RC_TEMP, "4.3.0",
				 "host %s: \"%.200s\" is a malformed LDAP URL",
				 s->c->host, value);
	inner.depth++;
	inner.names = m->names;
	if (url->lud_attrs != NULL)
		inner.names = names_of_url(tmp, m, url->lud_attrs);
	if (inner.names != NULL)
		rc = search_run(&inner, url->lud_dn == NULL ? "" : url->lud_dn,
				url->lud_scope == LDAP_SCOPE_DEFAULT
					? LDAP_SCOPE_BASE
					: url->lud_scope,
				url->lud_filter == NULL ? "(objectClass=*)"
							: url->lud_filter);
	m->client.ldap_free_urldesc(url);
	return rc;
}

/* A value that names other entries: a DN or a URL. */
static enum rc reference_follow(const struct search *s, struct span value)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	const struct map_ldap *m = s->question->map;
	char *text = mem_span_dup(tmp, value);
	struct search inner = *s;

	if (s->depth >= m->conf.recursion_limit)
		return fault_set(s->fault, RC_TEMP, "4.3.0",
				 "entries refer to others deeper than "
				 "recursion_limit = %d",
				 m->conf.recursion_limit);
	if (m->client.ldap_is_ldap_url(text))
		return url_follow(s, text);
	inner.depth++;
	inner.names = m->names;
	return search_run(&inner, text, LDAP_SCOPE_BASE, "(objectClass=*)");
}

/* What to do with the values of one attribute. */
static enum rc values_take(const struct search *s, struct berval **values,
			   bool follow)
{
	struct ldap_question *q = s->question;
	enum rc rc = RC_OK;

	for (size_t i = 0; values[i] != NULL && rc == RC_OK; i++) {
		struct span value = { values[i]->bv_val, values[i]->bv_len };

		rc = follow ? reference_follow(s, value)
			    : query_answer_add(q->map->rules, q->key, value,
					       &q->answer, s->fault);
	}
	return rc;
}

/* Call `see` for each attribute of an entry that has values. */
typedef enum rc attribute_fn(const struct search *s, int use, void *arg,
			     struct berval **values);

static enum rc attributes_each(const struct search *s, LDAPMessage *entry,
			       attribute_fn *see, void *arg)
{
	const struct ldap_client *client = &s->question->map->client;
	LDAP *ld = s->c->ld;
	BerElement *ber = NULL;
	enum rc rc = RC_OK;
	char *next, *name;

	for (name = client->ldap_first_attribute(ld, entry, &ber); name != NULL;
	     name = next) {
		int use = use_of(s->question->map, span_from(name));
		struct berval **values = NULL;

		if (rc == RC_OK && use != 0)
			values = client->ldap_get_values_len(ld, entry, name);
		if (values != NULL && values[0] != NULL)
			rc = see(s, use, arg, values);
		if (values != NULL)
			client->ldap_value_free_len(values);
		client->ldap_memfree(name);
		next = client->ldap_next_attribute(ld, entry, ber);
	}
	if (ber != NULL)
		client->ber_free(ber, 0);
	return rc;
}

static enum rc uses_gather(const struct search *s, int use, void *arg,
			   struct berval **values)
{
	*(int *)arg |= use;
	return RC_OK;
}

static enum rc attribute_take(const struct search *s, int use, void *arg,
			      struct berval **values)
{
	int all = *(const int *)arg; /* uses in this entry */
	enum rc rc;

	if (all & LDAP_USE_TERMINAL)
		return use & LDAP_USE_TERMINAL ? values_take(s, values, false)
					       : RC_OK;
	if (use & LDAP_USE_SPECIAL) {
		rc = values_take(s, values, true);
		if (rc != RC_OK)
			return rc;
	}
	if (use & LDAP_USE_LEAF)
		return all & LDAP_USE_SPECIAL ? RC_OK
					      : values_take(s, values, false);
	if (use & LDAP_USE_RESULT)
		return values_take(s, values, false);
	return RC_OK;
}

static enum rc entry_take(const struct search *s, LDAPMessage *entry)
{
	int uses = 0;
	enum rc rc = attributes_each(s, entry, uses_gather, &uses);

	if (rc != RC_OK)
		return rc;
	return attributes_each(s, entry, attribute_take, &uses);
}

/* How long this search may take, or RC_TEMP: the lookup takes too long. */
static enum rc search_limit(const struct search *s, struct timeval *ret_limit)
{
	struct ldap_question *q = s->question;
	uint64_t now_ms = clock_mono_ms();

	if (++q->searches > SEARCHES_MAX || now_ms >= q->deadline_ms)
		return fault_set(s->fault, RC_TEMP, "4.3.0",
				 "the entries that refer to each other need "
				 "more than %d searches or %d seconds",
				 SEARCHES_MAX, LOOKUP_MAX_MS / 1000);
	*ret_limit = (struct timeval){ .tv_sec = q->map->conf.timeout };
	return RC_OK;
}

static enum rc search_run(const struct search *s, const char *base, int scope,
			  const char *filter)
{
	const struct map_ldap *m = s->question->map;
	const struct ldap_client *client = &m->client;
	LDAPMessage *result = NULL;
	struct timeval limit;
	enum rc rc = search_limit(s, &limit);
	int error;

	if (rc != RC_OK)
		return rc;
	error = client->ldap_search_ext_s(s->c->ld, base, scope, filter,
					  (char **)s->names, 0, NULL, NULL,
					  &limit, m->size_limit, &result);
	if (error == LDAP_SUCCESS) {
		for (LDAPMessage *entry =
			     client->ldap_first_entry(s->c->ld, result);
		     entry != NULL && rc == RC_OK;
		     entry = client->ldap_next_entry(s->c->ld, entry))
			rc = entry_take(s, entry);
	} else if (error != LDAP_NO_SUCH_OBJECT) {
		rc = ldap_fault(s->c, "search", error, s->broken, s->fault);
	} else if (s->depth == 1 && query_template_is_fixed(m->base)) {
		rc = fault_set(s->fault, RC_TEMP, "4.3.0",
			       "host %s: Search base '%s' not found",
			       s->c->host, base);
	}
	if (result != NULL)
		client->ldap_msgfree(result);
	return rc;
}

/* Put the key into a template. */
static enum rc expand(TALLOC_CTX *mem, const struct query_template *t,
		      struct span key, query_quote_fn *quote, char **ret_text,
		      struct fault *fault)
{
	enum { TEXT_MAX_BYTES = 1024 * 1024 };
	const struct query_quote quoting = { quote, NULL };
	struct buf out;
	enum rc rc;

	buf_init(&out, mem, TEXT_MAX_BYTES);
	rc = query_template_expand(t, key, key, &quoting, &out);
	if (rc != RC_OK)
		return rc;
	if (out.full)
		return fault_set(fault, RC_TEMP, "4.3.0",
				 "the search is longer than %d bytes",
				 TEXT_MAX_BYTES);
	*ret_text = mem_strdup(mem, buf_text(&out));
	return RC_OK;
}

enum rc ldap_ask(void *question, void *connection, bool *ret_broken,
		 struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct ldap_question *q = question;
	struct search s = {
		.question = q,
		.c = connection,
		.broken = ret_broken,
		.fault = fault,
		.names = q->map->names,
		.depth = 1,
	};
	char *base, *filter;
	enum rc rc;

	rc = expand(tmp, q->map->base, q->key, ldap_quote_dn, &base, fault);
	if (rc == RC_OK)
		rc = expand(tmp, q->map->filter, q->key, ldap_quote_filter,
			    &filter, fault);
	if (rc != RC_OK)
		return rc;
	buf_done(&q->answer.text);
	query_answer_init(&q->answer, q->mem);
	q->searches = 0;
	q->deadline_ms = clock_mono_ms() + LOOKUP_MAX_MS;
	return search_run(&s, base, q->map->scope, filter);
}
