/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "map/match_list.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is on this machine is no input: the text names no files. */
static void without_files(char *text)
{
	for (char *p = text; *p != '\0'; p++)
		if (*p == '/' && (p == text || !ascii_is_alnum(p[-1])))
			*p = 'x';
}

/* Files and servers are no input either. */
static bool names_the_outside(const char *text)
{
	static const char *const types[] = {
		"btree:",  "cdb:",   "hash:",  "ldap:",	     "lmdb:",
		"mysql:",  "pgsql:", "proxy:", "memcache:",  "redis:",
		"sqlite:", "tcp:",   "unix:",  "socketmap:",
	};

	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (strstr(text, types[i]) != NULL)
			return true;
	return false;
}

static struct conf *conf_read(void)
{
	const struct conf_source source = { .config_directory = "/",
					    .defaults_only = true };
	struct fault fault;
	struct conf *conf;

	if (conf_load(&source, &conf, &fault) != RC_OK)
		abort();
	conf->v.parent_domain_matches_subdomains = "relay_domains";
	return conf;
}

/* A list, a line end, and whom to ask for. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct conf *conf;
	struct span subject = { (const char *)data, size }, head;
	TALLOC_CTX *mem = talloc_new(NULL);
	struct match_list *list;
	struct fault fault;
	enum rc rc = RC_NONE;
	char *text;

	if (conf == NULL)
		conf = conf_read();
	if (size > 0 && span_cut(&subject, '\n', &head)) {
		text = mem_span_dup(mem, head);
		without_files(text);
		if (!names_the_outside(text) &&
		    match_list_open(mem, conf, "relay_domains", text, &list,
				    &fault) == RC_OK) {
			rc = match_list_domain(list, subject, &fault);
			assert(rc != RC_PERM && rc != RC_CONF);
			rc = match_list_client(list, SPAN_OF("unknown"),
					       subject, &fault);
			assert(rc != RC_PERM && rc != RC_CONF);
		}
	}
	talloc_free(mem);
	return 0;
}
