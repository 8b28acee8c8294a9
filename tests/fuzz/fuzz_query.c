/* SPDX-License-Identifier: Apache-2.0 */
#include "map/ldap_quote.h"
#include "map/query.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* After quoting, nothing in a filter value means more than itself. */
static void filter_check(struct span value)
{
	for (size_t i = 0; i < value.len; i++) {
		assert(value.ptr[i] != '*' && value.ptr[i] != '(' &&
		       value.ptr[i] != ')' && value.ptr[i] != '\0');
		if (value.ptr[i] != '\\')
			continue;
		assert(i + 2 < value.len);
		i += 2;
	}
}

/* No value ends in the middle of a DN. */
static void dn_check(struct span value)
{
	for (size_t i = 0; i < value.len; i++) {
		assert(strchr(",+\"<>;=#", value.ptr[i]) == NULL);
		if (value.ptr[i] == '\\')
			assert(++i < value.len);
	}
}

/* A template, a line end, a key, a line end, and a result. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	TALLOC_CTX *mem = talloc_new(NULL);
	struct span rest = { (const char *)data, size }, text, key;
	struct query_quote filter = { ldap_quote_filter, NULL };
	struct query_template *t;
	struct buf out;

	if (span_cut(&rest, '\n', &text) && span_cut(&rest, '\n', &key) &&
	    query_template_parse(mem, mem_span_dup(mem, text), &t, NULL) ==
		    RC_OK) {
		buf_init(&out, mem, 1 << 20);
		if (query_template_expand(t, key, rest, &filter, &out) == RC_OK)
			(void)query_template_has_key(t);
		buf_clear(&out);
		ldap_quote_filter(NULL, key, &out);
		filter_check(buf_span(&out));
		buf_clear(&out);
		ldap_quote_dn(NULL, key, &out);
		dn_check(buf_span(&out));
	}
	talloc_free(mem);
	return 0;
}
