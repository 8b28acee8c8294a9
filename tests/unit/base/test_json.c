/* SPDX-License-Identifier: Apache-2.0 */
#include "../cmocka_all.h"

#include <stdlib.h>

#include "base/json.h"

struct page {
	char *text;
	size_t size;
	struct json json;
};

static void page_open(struct page *page, bool one_line)
{
	json_init(&page->json, open_memstream(&page->text, &page->size),
		  one_line);
}

static void page_is(struct page *page, const char *want)
{
	fclose(page->json.to);
	assert_string_equal(page->text, want);
	free(page->text);
}

static void fill(struct json *json)
{
	json_begin(json, NULL, '{');
	json_text(json, "name", "mx");
	json_begin(json, "list", '[');
	json_number(json, NULL, -7);
	json_bool(json, NULL, true);
	json_null(json, NULL);
	json_end(json, ']');
	json_begin(json, "none", '{');
	json_end(json, '}');
	json_real(json, "share", 9.5625, 2);
	json_text_or_null(json, "why", NULL);
	json_end(json, '}');
}

static void one_line_is_separated_by_blanks(void **state)
{
	struct page page;

	page_open(&page, true);
	fill(&page.json);
	page_is(&page, "{\"name\": \"mx\", \"list\": [-7, true, null], "
		       "\"none\": {}, \"share\": 9.56, \"why\": null}\n");
}

static void many_lines_are_indented(void **state)
{
	struct page page;

	page_open(&page, false);
	fill(&page.json);
	page_is(&page, "{\n  \"name\": \"mx\",\n  \"list\": [\n    -7,\n    "
		       "true,\n    null\n  ],\n  \"none\": {},\n  \"share\": "
		       "9.56,\n  \"why\": null\n}\n");
}

static void any_bytes_become_a_string(void **state)
{
	static const struct {
		struct span bytes;
		const char *want;
	} cases[] = {
		{ SPAN("a\"b\\c"), "[\"a\\\"b\\\\c\"]\n" },
		{ SPAN("\r\n\t\001\177"), "[\"\\r\\n\\t\\u0001\\u007f\"]\n" },
		{ SPAN("a\0b"), "[\"a\\u0000b\"]\n" },
		{ SPAN("\xd0\xb4\xd0\xb0"), "[\"\xd0\xb4\xd0\xb0\"]\n" },
		{ SPAN("\xff\xd0"), "[\"\\ufffd\\ufffd\"]\n" },
		{ SPAN("\xed\xa0\x80"), "[\"\\ufffd\\ufffd\\ufffd\"]\n" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct page page;

		page_open(&page, true);
		json_begin(&page.json, NULL, '[');
		json_span(&page.json, NULL, cases[i].bytes);
		json_end(&page.json, ']');
		page_is(&page, cases[i].want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_line_is_separated_by_blanks),
		cmocka_unit_test(many_lines_are_indented),
		cmocka_unit_test(any_bytes_become_a_string),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
