/* SPDX-License-Identifier: Apache-2.0 */
#include "map/match_list.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is on this machine is no input: the text names no files. */
static void without_files(char *text)
{
	for (char *p = text; *p != '\0'; p++)
		if (*p == '/' && (p == text || !ascii_is_alnum(p[-1])))
			*p = 'x';
}

/* A list, a line end, and whom to ask for. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct conf conf = {
		.v.parent_domain_matches_subdomains = "relay_domains",
	};
	struct span subject = { (const char *)data, size }, head;
	TALLOC_CTX *mem = talloc_new(NULL);
	struct match_list *list;
	struct fault fault;
	enum rc rc = RC_NONE;
	char *text;

	if (size > 0 && span_cut(&subject, '\n', &head)) {
		text = mem_span_dup(mem, head);
		without_files(text);
		if (strstr(text, "hash:") == NULL &&
		    strstr(text, "btree:") == NULL &&
		    match_list_open(mem, &conf, "relay_domains", text, &list,
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
