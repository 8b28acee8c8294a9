/* SPDX-License-Identifier: Apache-2.0 */
/* ldap: directories, through OpenLDAP's client library. */
#include "map/ldap_priv.h"

static const struct library_call calls[] = { LDAP_CALLS(LIBRARY_ROW) };

/* Its own start is not safe in many threads. */
static void library_prepare(void *table)
{
	const struct ldap_client *client = table;
	int version;

	client->ldap_get_option(NULL, LDAP_OPT_PROTOCOL_VERSION, &version);
}

static const struct library library = { "libldap-2.5.so.0", "libldap-2.5-0",
					calls, ARRAY_LEN(calls),
					library_prepare };

/* A word of a setting and what it means; the first one without a name is for
 * all others. */
struct word {
	const char *name;
	int value;
};

static bool word_find(const struct word *words, const char *text, int *ret)
{
	for (; words->name != NULL; words++)
		if (strcasecmp(words->name, text) == 0) {
			*ret = words->value;
			return true;
		}
	*ret = words->value;
	return false;
}

static const struct word scopes[] = {
	{ "sub", LDAP_SCOPE_SUBTREE },
	{ "base", LDAP_SCOPE_BASE },
	{ "one", LDAP_SCOPE_ONELEVEL },
	{ NULL, LDAP_SCOPE_SUBTREE },
};

static const struct word binds[] = {
	{ "yes", LDAP_BIND_SIMPLE }, { "simple", LDAP_BIND_SIMPLE },
	{ "no", LDAP_BIND_NONE },    { "none", LDAP_BIND_NONE },
	{ "sasl", LDAP_BIND_SASL },  { NULL, LDAP_BIND_NONE },
};

/* Say one thing that is odd, unless something was said already. */
static void warn(struct fault *fault, const struct map *map, const char *text)
{
	if (fault != NULL && fault->text[0] == '\0')
		fault_set(fault, RC_OK, "", "%s: %s", map->name, text);
}

static void attributes_add(struct map_ldap *m, const char *text, int use)
{
	struct span rest = span_from(text), name;

	while (span_token(&rest, ", \t\r\n", &name)) {
		size_t n = m->attribute_count++;

		m->attributes = mem_resize(m, m->attributes,
					   struct ldap_attribute, n + 1);
		m->attributes[n] =
			(struct ldap_attribute){ mem_span_dup(m, name), use };
		m->names = mem_resize(m, m->names, const char *, n + 2);
		m->names[n] = m->attributes[n].name;
		m->names[n + 1] = NULL;
	}
}

static enum rc attributes_open(struct map *map, struct map_ldap *m,
			       struct fault *fault)
{
	const struct table_conf_ldap *c = &m->conf;

	attributes_add(m, c->result_attribute, LDAP_USE_RESULT);
	attributes_add(m, c->terminal_result_attribute, LDAP_USE_TERMINAL);
	attributes_add(m, c->leaf_result_attribute, LDAP_USE_LEAF);
	attributes_add(m, c->special_result_attribute, LDAP_USE_SPECIAL);
	if (m->attribute_count == 0)
		return fault_set(fault, RC_CONF, "4.3.5",
				 "%s: set result_attribute: nothing says what "
				 "to read",
				 map->name);
	return RC_OK;
}

static enum rc words_open(struct map *map, struct map_ldap *m,
			  struct fault *fault)
{
	const struct table_conf_ldap *c = &m->conf;
	int bind;

	if (!word_find(binds, c->bind, &bind))
		return fault_set(fault, RC_CONF, "4.3.5",
				 "%s: bind = %.40s: expected no, yes or sasl",
				 map->name, c->bind);
	m->bind = (enum ldap_bind_kind)bind;
	if (!word_find(scopes, c->scope, &m->scope))
		warn(fault, map,
		     "scope is none of sub, one, base: sub is used");
	if (c->start_tls && strstr(c->server_host, "ldaps:") != NULL)
		return fault_set(fault, RC_CONF, "4.3.5",
				 "%s: start_tls = yes does not go with an "
				 "ldaps: server, which has TLS from the start",
				 map->name);
	if (c->cache != NULL || c->cache_expiry != NULL ||
	    c->cache_size != NULL)
		warn(fault, map,
		     "cache, cache_expiry and cache_size are ignored: the LDAP "
		     "library has no cache");
	return RC_OK;
}

static enum rc templates_open(struct map *map, struct map_ldap *m,
			      struct fault *fault)
{
	const struct table_conf_ldap *c = &m->conf;
	const struct query_settings settings = {
		.domain = c->domain,
		.result_format = c->result_format != NULL ? c->result_format
							  : c->result_filter,
		.expansion_limit = c->expansion_limit,
	};

	if (query_template_parse(m, c->search_base, &m->base, fault) != RC_OK)
		return fault_add(fault, "%s: search_base", map->name);
	if (query_template_parse(m, c->query_filter, &m->filter, fault) !=
	    RC_OK)
		return fault_add(fault, "%s: query_filter", map->name);
	if (query_rules_open(m, map, &settings, &m->rules, fault) != RC_OK)
		return fault_add(fault, "%s", map->name);
	if (query_template_is_fixed(m->filter))
		warn(fault, map,
		     "query_filter has no %s: every key finds the same");
	map->pattern = !query_template_has_key(m->filter) &&
		       !query_template_has_key(m->base);
	m->size_limit = c->size_limit >= 0 ? c->size_limit : c->expansion_limit;
	return RC_OK;
}

static const struct map_hosts_kind hosts_kind = { ldap_connect_host,
						  ldap_connection_is_good };

static enum rc map_ldap_open(struct map *map, struct fault *fault)
{
	struct map_ldap *m = mem_new(map, struct map_ldap);
	const struct table_conf_ldap *c = &m->conf;
	enum { IDLE_S = 60, RETRY_S = 60 };
	enum rc rc;

	map->state = m;
	rc = table_conf_load(m, map, &m->conf, fault);
	if (rc == RC_OK)
		rc = words_open(map, m, fault);
	if (rc == RC_OK)
		rc = attributes_open(map, m, fault);
	if (rc == RC_OK)
		rc = templates_open(map, m, fault);
	if (rc == RC_OK)
		rc = library_load(&library, &m->client, fault);
	if (rc != RC_OK)
		return rc;
	if (c->debuglevel > 0)
		m->client.ldap_set_option(NULL, LDAP_OPT_DEBUG_LEVEL,
					  &c->debuglevel);
	return db_hosts_open(
		map,
		&(struct db_hosts_settings){ .hosts = c->server_host,
					     .idle_s = IDLE_S,
					     .retry_s = RETRY_S,
					     .kind = &hosts_kind,
					     .arg = m },
		&m->hosts, fault);
}

static enum rc map_ldap_lookup(struct map *map, TALLOC_CTX *mem,
			       struct span key, struct span *ret_value,
			       struct fault *fault)
{
	struct map_ldap *m = map->state;
	struct ldap_question question = { .map = m, .mem = mem, .key = key };
	enum rc rc = query_rules_allow(m->rules, key, fault);

	if (rc != RC_OK)
		return rc;
	query_answer_init(&question.answer, mem);
	rc = map_hosts_ask(m->hosts, ldap_ask, &question, fault);
	if (rc != RC_OK)
		return rc;
	return query_answer_end(m->rules, &question.answer, ret_value, fault);
}

const struct map_driver map_driver_ldap = {
	.type = "ldap",
	.can = MAP_SHARED_BY_THREADS | MAP_NEEDS_NAME,
	.open = map_ldap_open,
	.lookup = map_ldap_lookup,
};
