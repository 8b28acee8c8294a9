/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json - answers that programs read.
 *
 * Shape    json_begin and json_end in pairs; what is between two of them is
 *          separated and, unless it is one line, indented. Inside an object
 *          every value has a key; elsewhere the key is NULL.
 * Holds    the output is valid RFC 8259 text whatever the strings are: a byte
 *          that is no UTF-8 becomes U+FFFD
 * Limits   JSON_DEPTH_MAX levels
 */
#pragma once

#include <stdio.h>

#include "base/buf.h"

enum { JSON_DEPTH_MAX = 32 };

struct json {
	FILE *to;
	bool one_line; /* else two spaces a level */
	int depth;
	bool has_items[JSON_DEPTH_MAX];
};

void json_init(struct json *json, FILE *to, bool one_line);
/* bracket: '{' or '['. The end of the outermost one ends the line. */
void json_begin(struct json *json, const char *key, char bracket);
void json_end(struct json *json, char bracket);
void json_text(struct json *json, const char *key, const char *value);
void json_span(struct json *json, const char *key, struct span value);
void json_number(struct json *json, const char *key, long long value);
void json_real(struct json *json, const char *key, double value, int decimals);
void json_bool(struct json *json, const char *key, bool value);
void json_null(struct json *json, const char *key);
/* The text, or null for NULL. */
void json_text_or_null(struct json *json, const char *key, const char *value);
