/* SPDX-License-Identifier: Apache-2.0 */
#include "map/table_conf.h"

#include "conf/lines.h"
#include "conf/main_cf.h"
#include "conf/value.h"

/* Where a value comes from, for the fault. */
struct origin {
	const char *path; /* NULL: main.cf */
	const char *name; /* as it is written there */
	int line;
};

static enum rc origin_add(const struct origin *origin, const char *text,
			  struct fault *fault)
{
	if (origin->path == NULL)
		return fault_add(fault, "%s = %.100s", origin->name, text);
	if (origin->line == 0)
		return fault_add(fault, "%s: %s = %.100s", origin->path,
				 origin->name, text);
	return fault_add(fault, "%s, line %d: %s = %.100s", origin->path,
			 origin->line, origin->name, text);
}

static enum rc string_check(const struct table_param *param, const char *text,
			    struct fault *fault)
{
	long len = (long)strlen(text);

	if (len < param->min)
		return fault_set(fault, RC_CONF, "4.3.5",
				 "bad string length %ld < %ld: set it in the "
				 "settings of the table",
				 len, param->min);
	if (param->max > 0 && len > param->max)
		return fault_set(fault, RC_CONF, "4.3.5",
				 "bad string length %ld > %ld", len,
				 param->max);
	return RC_OK;
}

static enum rc number_parse(const struct table_param *param, const char *text,
			    int *ret_value, struct fault *fault)
{
	enum rc rc;
	long value;

	if (param->type == TABLE_PARAM_TIME) {
		rc = conf_parse_time(span_from(text), 's', ret_value, fault);
		value = *ret_value;
	} else {
		rc = value_parse_long(span_from(text), &value, fault);
	}
	if (rc == RC_OK)
		rc = value_check_range(value, param->min,
				       param->max > 0 ? param->max : INT32_MAX,
				       "number", fault);
	if (rc == RC_OK)
		*ret_value = (int)value;
	return rc;
}

static enum rc value_set(const struct table_param *param, const char *text,
			 void *values, struct fault *fault)
{
	void *at = (char *)values + param->offset;
	int number = -1;
	enum rc rc = RC_OK;

	switch (param->type) {
	case TABLE_PARAM_STRING:
		if (text != NULL)
			rc = string_check(param, text, fault);
		*(const char **)at = text;
		return rc;
	case TABLE_PARAM_BOOL:
		return value_parse_bool(span_from(text), at, fault);
	case TABLE_PARAM_INT:
	case TABLE_PARAM_TIME:
		if (text != NULL)
			rc = number_parse(param, text, &number, fault);
		*(int *)at = number;
		return rc;
	}
	return rc;
}

/* What stands last under this name; the lines are few. */
static const struct main_cf_line *line_find(const struct main_cf *file,
					    const char *name)
{
	for (size_t i = file->count; i > 0; i--)
		if (strcmp(file->lines[i - 1].name, name) == 0)
			return &file->lines[i - 1];
	return NULL;
}

/* Say the first thing that is odd about the file. */
static void file_warn(const struct table_params *params,
		      const struct main_cf *file, const char *path,
		      struct fault *fault)
{
	for (size_t i = 0; i < file->count; i++) {
		const struct main_cf_line *line = &file->lines[i];
		struct span name = span_from(line->name);
		const char *nearest;

		if (table_param_find(params, name) == NULL) {
			nearest = table_param_nearest(params, name);
			fault_set(fault, RC_OK, "",
				  "%s, line %d: a table of type %s has no "
				  "setting \"%.60s\"%s%s%s",
				  path, line->line, params->type, line->name,
				  nearest == NULL ? "" : "; did you mean \"",
				  nearest == NULL ? "" : nearest,
				  nearest == NULL ? "" : "\"?");
			return;
		}
		if (line_find(file, line->name) != line) {
			fault_set(fault, RC_OK, "",
				  "%s, line %d: overriding earlier entry: "
				  "%s=%.100s",
				  path, line_find(file, line->name)->line,
				  line->name, line->value);
			return;
		}
	}
}

enum rc table_conf_parse(TALLOC_CTX *mem, const struct table_params *params,
			 struct span text, const char *path, void *ret_values,
			 struct fault *fault)
{
	struct main_cf *file;
	enum rc rc;

	rc = main_cf_parse(mem, text, path, &file, fault);
	if (rc != RC_OK)
		return rc;
	for (size_t i = 0; i < params->count; i++) {
		const struct table_param *param = &params->list[i];
		const struct main_cf_line *line = line_find(file, param->name);
		const char *value = line != NULL ? line->value : param->preset;
		struct origin origin = { path, param->name,
					 line != NULL ? line->line : 0 };

		rc = value_set(param, value, ret_values, fault);
		if (rc != RC_OK)
			return origin_add(&origin, value, fault);
	}
	file_warn(params, file, path, fault);
	return RC_OK;
}

static enum rc main_cf_load(TALLOC_CTX *mem, const struct map *map,
			    const struct table_params *params, void *ret_values,
			    struct fault *fault)
{
	for (size_t i = 0; i < params->count; i++) {
		const struct table_param *param = &params->list[i];
		char *name = mem_printf(mem, "%s_%s", map->name, param->name);
		const char *value = conf_text(map->conf, name);
		struct origin origin = { NULL, name, 0 };

		if (value == NULL)
			value = param->preset;
		if (value_set(param, value, ret_values, fault) != RC_OK)
			return origin_add(&origin, value, fault);
	}
	return RC_OK;
}

enum rc table_conf_load(TALLOC_CTX *mem, const struct map *map,
			void *ret_values, struct fault *fault)
{
	const struct table_params *params =
		table_params_find(span_from(map->driver->type));
	struct span text;
	enum rc rc;

	assert(params != NULL);
	if (map->name[0] != '/' && map->name[0] != '.')
		return main_cf_load(mem, map, params, ret_values, fault);
	rc = lines_read_file(mem, map->name, &text, fault);
	if (rc != RC_OK)
		return rc;
	return table_conf_parse(mem, params, text, map->name, ret_values,
				fault);
}
