/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ldap_priv - what the parts of the ldap table share: the calls of its library,
 * the table, a connection.
 */
#pragma once

#include <ldap.h>

#include "map/db_client.h"
#include "map/query.h"
#include "map/table_conf.h"
#include "sys/library.h"

#define LDAP_CALLS(CALL)                                \
	CALL(ldap_client, ber_memfree)                  \
	CALL(ldap_client, ber_free)                     \
	CALL(ldap_client, ldap_err2string)              \
	CALL(ldap_client, ldap_first_attribute)         \
	CALL(ldap_client, ldap_first_entry)             \
	CALL(ldap_client, ldap_free_urldesc)            \
	CALL(ldap_client, ldap_get_option)              \
	CALL(ldap_client, ldap_get_values_len)          \
	CALL(ldap_client, ldap_initialize)              \
	CALL(ldap_client, ldap_is_ldap_url)             \
	CALL(ldap_client, ldap_memfree)                 \
	CALL(ldap_client, ldap_msgfree)                 \
	CALL(ldap_client, ldap_next_attribute)          \
	CALL(ldap_client, ldap_next_entry)              \
	CALL(ldap_client, ldap_parse_result)            \
	CALL(ldap_client, ldap_result)                  \
	CALL(ldap_client, ldap_sasl_bind)               \
	CALL(ldap_client, ldap_sasl_interactive_bind_s) \
	CALL(ldap_client, ldap_search_ext_s)            \
	CALL(ldap_client, ldap_set_option)              \
	CALL(ldap_client, ldap_start_tls_s)             \
	CALL(ldap_client, ldap_unbind_ext_s)            \
	CALL(ldap_client, ldap_url_parse)               \
	CALL(ldap_client, ldap_value_free_len)

struct ldap_client {
	LDAP_CALLS(LIBRARY_MEMBER)
};

/* What the values of an attribute are. */
enum ldap_attribute_use {
	LDAP_USE_RESULT = 1,
	LDAP_USE_TERMINAL = 2,
	LDAP_USE_LEAF = 4,
	LDAP_USE_SPECIAL = 8,
};

struct ldap_attribute {
	const char *name;
	int use; /* enum ldap_attribute_use */
};

enum ldap_bind_kind { LDAP_BIND_NONE, LDAP_BIND_SIMPLE, LDAP_BIND_SASL };

struct map_ldap {
	struct table_conf_ldap conf;
	struct ldap_client client;
	struct query_template *base, *filter;
	struct query_rules *rules;
	int scope, size_limit;
	enum ldap_bind_kind bind;
	struct ldap_attribute *attributes;
	size_t attribute_count;
	const char **names; /* of all attributes, ended by NULL */
	struct map_hosts *hosts;
};

struct ldap_connection {
	const struct map_ldap *map;
	LDAP *ld;
	const char *host; /* as in server_host */
	bool with_tls;
};

/* ldap_connect.c: for struct map_hosts_kind. */
enum rc ldap_connect_host(void *arg, const char *host, void **ret_connection,
			  struct fault *fault);
bool ldap_connection_is_good(void *connection);
/* RC_TEMP; *ret_broken: another server may do better. */
enum rc ldap_fault(const struct ldap_connection *c, const char *what, int error,
		   bool *ret_broken, struct fault *fault);

/* One lookup. */
struct ldap_question {
	const struct map_ldap *map;
	TALLOC_CTX *mem;
	struct span key;
	struct query_answer answer;
	int searches;
	uint64_t deadline_ms;
};

/* ldap_search.c: question is a struct ldap_question. */
enum rc ldap_ask(void *question, void *connection, bool *ret_broken,
		 struct fault *fault);
