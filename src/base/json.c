/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include <assert.h>

#include "base/utf8.h"

void json_init(struct json *json, FILE *to, bool one_line)
{
	*json = (struct json){ .to = to, .one_line = one_line };
}

static void line_begin(struct json *json)
{
	if (json->one_line)
		return;
	fputc('\n', json->to);
	for (int i = 0; i < json->depth; i++)
		fputs("  ", json->to);
}

static void put_control(FILE *to, unsigned char c)
{
	static const struct {
		char c, name;
	} short_forms[] = { { '\n', 'n' },
			    { '\r', 'r' },
			    { '\t', 't' },
			    { '\b', 'b' },
			    { '\f', 'f' } };

	for (size_t i = 0; i < ARRAY_LEN(short_forms); i++) {
		if (short_forms[i].c != (char)c)
			continue;
		fprintf(to, "\\%c", short_forms[i].name);
		return;
	}
	fprintf(to, "\\u%04x", c);
}

static void put_string(FILE *to, struct span text)
{
	fputc('"', to);
	while (text.len > 0) {
		size_t len = utf8_first_len(text);
		unsigned char c = (unsigned char)text.ptr[0];

		if (len == 0) {
			fputs("\\ufffd", to);
			len = 1;
		} else if (c < 0x20 || c == 0x7f) {
			put_control(to, c);
		} else {
			if (c == '"' || c == '\\')
				fputc('\\', to);
			fwrite(text.ptr, 1, len, to);
		}
		text = span_skip(text, len);
	}
	fputc('"', to);
}

/* What comes before a value: comma, line, key. */
static void item_begin(struct json *json, const char *key)
{
	if (json->depth > 0) {
		if (json->has_items[json->depth - 1])
			fputs(json->one_line ? ", " : ",", json->to);
		json->has_items[json->depth - 1] = true;
		line_begin(json);
	}
	if (key == NULL)
		return;
	put_string(json->to, span_from(key));
	fputs(": ", json->to);
}

void json_begin(struct json *json, const char *key, char bracket)
{
	assert(json->depth < JSON_DEPTH_MAX);
	item_begin(json, key);
	fputc(bracket, json->to);
	json->has_items[json->depth++] = false;
}

void json_end(struct json *json, char bracket)
{
	bool had_items = json->has_items[--json->depth];

	assert(json->depth >= 0);
	if (had_items)
		line_begin(json);
	fputc(bracket, json->to);
	if (json->depth == 0)
		fputc('\n', json->to);
}

void json_span(struct json *json, const char *key, struct span value)
{
	item_begin(json, key);
	put_string(json->to, value);
}

void json_text(struct json *json, const char *key, const char *value)
{
	json_span(json, key, span_from(value));
}

void json_number(struct json *json, const char *key, long long value)
{
	item_begin(json, key);
	fprintf(json->to, "%lld", value);
}

void json_real(struct json *json, const char *key, double value, int decimals)
{
	item_begin(json, key);
	fprintf(json->to, "%.*f", decimals, value);
}

void json_bool(struct json *json, const char *key, bool value)
{
	item_begin(json, key);
	fputs(value ? "true" : "false", json->to);
}

void json_null(struct json *json, const char *key)
{
	item_begin(json, key);
	fputs("null", json->to);
}

void json_text_or_null(struct json *json, const char *key, const char *value)
{
	if (value == NULL)
		json_null(json, key);
	else
		json_text(json, key, value);
}
