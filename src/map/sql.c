/* SPDX-License-Identifier: Apache-2.0 */
#include "map/sql.h"

/* The query of the settings that came before `query`. */
static const char *old_query(TALLOC_CTX *mem, const struct sql_settings *s,
			     struct fault *fault)
{
	if (s->select_function != NULL && s->select_function[0] != '\0')
		return mem_printf(mem, "SELECT %s('%%s')", s->select_function);
	if (s->select_field[0] == '\0' || s->table[0] == '\0' ||
	    s->where_field[0] == '\0') {
		fault_set(fault, RC_CONF, "4.3.5",
			  "no query: set query, or select_field, table and "
			  "where_field");
		return NULL;
	}
	return mem_printf(mem, "SELECT %s FROM %s WHERE %s = '%%s' %s",
			  s->select_field, s->table, s->where_field,
			  s->additional_conditions);
}

enum rc sql_open(struct map *map, const struct sql_settings *settings,
		 struct sql *ret_sql, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(map);
	const char *query = settings->query;
	const char *warning = ""; /* of the settings: "querry" */
	enum rc rc;

	if (fault != NULL && fault->text[0] != '\0')
		warning = mem_printf(tmp, "%s; ", fault->text);
	if (query == NULL || query[0] == '\0')
		query = old_query(tmp, settings, fault);
	if (query == NULL)
		return fault_add(fault, "%s%s", warning, map->name);
	rc = query_template_parse(map, query, &ret_sql->query, fault);
	if (rc != RC_OK)
		return fault_add(fault, "%s: query", map->name);
	rc = query_rules_open(map, map, &settings->common, &ret_sql->rules,
			      fault);
	if (rc != RC_OK)
		return fault_add(fault, "%s", map->name);
	map->pattern = !query_template_has_key(ret_sql->query);
	return RC_OK;
}

enum rc sql_query(const struct sql *sql, TALLOC_CTX *mem, struct span key,
		  const struct query_quote *quote, struct span *ret_query,
		  struct fault *fault)
{
	struct buf out;
	enum rc rc;

	buf_init(&out, mem, SQL_QUERY_MAX_BYTES);
	rc = query_template_expand(sql->query, key, key, quote, &out);
	if (rc != RC_OK)
		return rc;
	if (out.full)
		return fault_set(fault, RC_TEMP, "4.3.0",
				 "the query is longer than %d bytes",
				 SQL_QUERY_MAX_BYTES);
	*ret_query = buf_span(&out);
	return RC_OK;
}

enum rc sql_answer_add(struct sql_answer *answer, const void *data, size_t len,
		       struct fault *fault)
{
	if (data == NULL)
		return RC_OK;
	return query_answer_add(answer->sql->rules, answer->key,
				(struct span){ data, len }, &answer->answer,
				fault);
}

void sql_answer_begin(struct sql_answer *answer)
{
	buf_done(&answer->answer.text);
	query_answer_init(&answer->answer, answer->mem);
}

enum rc sql_lookup(const struct sql *sql, struct map_hosts *hosts,
		   map_hosts_ask_fn *ask, TALLOC_CTX *mem, struct span key,
		   struct span *ret_value, struct fault *fault)
{
	struct sql_answer answer = { .sql = sql, .mem = mem, .key = key };
	enum rc rc = query_rules_allow(sql->rules, key, fault);

	if (rc != RC_OK)
		return rc;
	query_answer_init(&answer.answer, mem);
	rc = map_hosts_ask(hosts, ask, &answer, fault);
	if (rc != RC_OK)
		return rc;
	return query_answer_end(sql->rules, &answer.answer, ret_value, fault);
}
