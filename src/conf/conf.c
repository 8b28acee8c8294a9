/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/conf.h"

#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "conf/conf_priv.h"
#include "conf/lines.h"
#include "conf/main_cf.h"
#include "conf/value.h"

#define NEWEST_LEVEL "3.12"

/* Set by the program, not by main.cf. */
static const char *const read_only[] = {"process_id", "process_name",
					"service_name"};

static bool is_read_only(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(read_only); i++) {
		if (strcmp(read_only[i], name) == 0)
			return true;
	}
	return false;
}

static void load_main(struct conf_priv *priv, const struct main_cf *main_cf)
{
	if (main_cf->orphan_line > 0)
		conf_note(priv,
			  "%s, line %d: ignored: the first line begins with a "
			  "blank and continues nothing",
			  priv->main_path, main_cf->orphan_line);
	for (size_t i = 0; i < main_cf->count; i++) {
		const struct main_cf_line *line = &main_cf->lines[i];
		struct conf_entry *entry =
		    conf_table_put(priv, span_from(line->name));

		if (is_read_only(line->name)) {
			conf_note(priv, "%s, line %d: %s cannot be set",
				  priv->main_path, line->line, line->name);
			continue;
		}
		if (entry->text != NULL)
			conf_note(priv,
				  "%s, line %d: overriding earlier entry: "
				  "%s=%s",
				  priv->main_path, line->line, entry->name,
				  entry->text);
		entry->text = line->value;
		entry->line = line->line;
	}
}

static enum rc load_overrides(struct conf_priv *priv,
			      const struct conf_source *source,
			      struct fault *fault)
{
	for (size_t i = 0; i < source->override_count; i++) {
		const char *text = source->overrides[i];
		struct conf_entry *entry;
		struct span name, value;

		if (main_cf_split(span_from(text), &name, &value, fault) !=
		    RC_OK)
			return fault_add(fault, "-o %s", text);
		entry = conf_table_put(priv, name);
		entry->text = mem_span_dup(priv, value);
		entry->is_override = true;
		entry->line = 0;
	}
	return RC_OK;
}

static enum rc fill_text(const struct conf_entry *entry, const char **field,
			 struct fault *fault)
{
	const struct param_def *def = entry->def;

	*field = entry->value;
	if (def->type == PARAM_RAW && !(entry->text == NULL))
		*field = entry->text;
	else if (def->type == PARAM_RAW)
		*field = def->preset;
	if (entry->text == NULL)
		return RC_OK;
	if (def->min == 1 && **field == '\0')
		return fault_set(fault, RC_CONF, "4.3.5",
				 "the value may not be empty");
	return value_check_range((long)strlen(*field), def->min, def->max,
				 "length", fault);
}

static enum rc fill_time(struct conf_priv *priv, const struct conf_entry *entry,
			 int *field, struct fault *fault)
{
	const struct param_def *def = entry->def;
	const struct expand expand = {conf_value_loading, priv};
	const char *preset = def->preset;
	struct buf out;
	enum rc rc = RC_OK;

	buf_init(&out, priv, EXPAND_MAX_BYTES);
	if (strchr(preset, '$') != NULL) {
		rc = expand_text(&expand, span_from(preset), 0, &out, fault);
		preset = buf_text(&out);
	}
	if (rc == RC_OK)
		rc = conf_parse_time(span_trim(span_from(entry->value)),
				     value_time_unit(preset), field, fault);
	if (rc == RC_OK)
		rc = value_check_range(*field, def->min, def->max, "time",
				       fault);
	buf_done(&out);
	return rc;
}

static enum rc fill_number(const struct conf_entry *entry, void *field,
			   struct fault *fault)
{
	const struct param_def *def = entry->def;
	long value;

	if (value_parse_long(span_trim(span_from(entry->value)), &value,
			     fault) != RC_OK ||
	    value_check_range(value, def->min, def->max, "number", fault) !=
		RC_OK)
		return RC_CONF;
	if (def->type == PARAM_LONG) {
		*(long *)field = value;
		return RC_OK;
	}
	if (value < INT_MIN || value > INT_MAX)
		return fault_set(fault, RC_CONF, "4.3.5",
				 "number %ld is too large: the maximum is %d",
				 value, INT_MAX);
	*(int *)field = (int)value;
	return RC_OK;
}

static enum rc fill_field(struct conf_priv *priv,
			  const struct conf_entry *entry, struct fault *fault)
{
	void *field = (char *)&priv->conf->v + entry->def->offset;

	switch (entry->def->type) {
	case PARAM_STRING:
	case PARAM_RAW:
		return fill_text(entry, field, fault);
	case PARAM_BOOL:
		return value_parse_bool(span_trim(span_from(entry->value)),
					field, fault);
	case PARAM_INT:
	case PARAM_LONG:
		return fill_number(entry, field, fault);
	case PARAM_TIME:
		return fill_time(priv, entry, field, fault);
	}
	return RC_OK;
}

static enum rc fill_entry(struct conf_priv *priv, struct conf_entry *entry,
			  struct fault *fault)
{
	if (conf_evaluate(priv, entry, 0, fault) != RC_OK)
		return RC_CONF;
	if (entry->def != NULL && fill_field(priv, entry, fault) != RC_OK)
		return conf_fault_at(priv, entry, fault);
	return RC_OK;
}

static enum rc fill_some(struct conf_priv *priv, bool written, bool tolerant,
			 struct fault *fault)
{
	for (size_t i = 0; i < priv->count; i++) {
		struct conf_entry *entry = &priv->entries[i];

		if ((entry->line > 0) != written)
			continue;
		if (fill_entry(priv, entry, fault) == RC_OK)
			continue;
		/* The user's own are harmless until something uses them. */
		if (entry->def != NULL && !tolerant)
			return RC_CONF;
		entry->state = ENTRY_BROKEN;
		conf_note(priv, "%s", fault->text);
	}
	return RC_OK;
}

/* What the operator wrote comes first, so that a mistake is reported at its
 * line and not at a default that refers to it. */
/* Many defaults depend on it: blame it, not them. */
static enum rc check_level(struct conf_priv *priv, bool tolerant,
			   struct fault *fault)
{
	static const char newer[] =
	    "${{$compatibility_level} >level {" NEWEST_LEVEL "}?yes}";
	const struct expand expand = {conf_value_loading, priv};
	struct conf_entry *entry =
	    conf_table_find(priv, SPAN_OF("compatibility_level"));
	struct buf out;
	enum rc rc;

	if (conf_evaluate(priv, entry, 0, fault) != RC_OK)
		return tolerant ? RC_OK : RC_CONF;
	buf_init(&out, priv, EXPAND_MAX_BYTES);
	rc = expand_text(&expand, SPAN_OF(newer), 0, &out, fault);
	if (rc != RC_OK) {
		fault_set(fault, RC_CONF, "4.3.5",
			  "bad compatibility level: write a release such as "
			  "3.6");
		conf_fault_at(priv, entry, fault);
		conf_note(priv, "%s", fault->text);
		entry->value = "0";
	} else if (out.len > 0) {
		conf_note(priv,
			  "compatibility_level %s is newer than " NEWEST_LEVEL
			  ", the newest that is known here",
			  entry->value);
	}
	buf_done(&out);
	return tolerant ? RC_OK : rc;
}

static enum rc fill_values(struct conf_priv *priv, bool tolerant,
			   struct fault *fault)
{
	if (fill_some(priv, true, tolerant, fault) != RC_OK)
		return RC_CONF;
	return fill_some(priv, false, tolerant, fault);
}

static enum rc set_directory(struct conf *conf,
			     const struct conf_source *source,
			     struct fault *fault)
{
	const char *dir = source->config_directory;
	char *cwd;

	if (dir == NULL)
		dir = getenv("MAIL_CONFIG");
	if (dir == NULL || *dir == '\0')
		dir = PATH_CONFIG;
	if (*dir == '/') {
		conf->config_directory = mem_strdup(conf->priv, dir);
	} else {
		cwd = getcwd(NULL, 0);
		if (cwd == NULL)
			return fault_set(fault, RC_CONF, "4.3.5",
					 "working directory: %m");
		conf->config_directory =
		    strcmp(dir, ".") == 0
			? mem_strdup(conf->priv, cwd)
			: mem_printf(conf->priv, "%s/%s", cwd, dir);
		free(cwd);
	}
	conf->priv->main_path =
	    mem_printf(conf->priv, "%s/main.cf", conf->config_directory);
	return RC_OK;
}

static enum rc read_main(struct conf_priv *priv, struct fault *fault)
{
	struct main_cf *main_cf;
	struct span text;

	if (lines_read_file(priv, priv->main_path, &text, fault) != RC_OK ||
	    main_cf_parse(priv, text, priv->main_path, &main_cf, fault) !=
		RC_OK)
		return RC_CONF;
	priv->main_text = text;
	load_main(priv, main_cf);
	return RC_OK;
}

static enum rc load(struct conf *conf, const struct conf_source *source,
		    struct fault *fault)
{
	struct conf_priv *priv = conf->priv;
	struct conf_entry *entry;

	if (set_directory(conf, source, fault) != RC_OK)
		return RC_CONF;
	if (!source->defaults_only && read_main(priv, fault) != RC_OK)
		return RC_CONF;
	/* It is where it was found, whatever main.cf says. */
	entry = conf_table_find(priv, SPAN_OF("config_directory"));
	entry->text = strcmp(conf->config_directory, PATH_CONFIG) == 0
			  ? NULL
			  : conf->config_directory;
	entry->line = 0;
	if (load_overrides(priv, source, fault) != RC_OK ||
	    check_level(priv, source->tolerant, fault) != RC_OK ||
	    fill_values(priv, source->tolerant, fault) != RC_OK)
		return RC_CONF;
	if (conf_host_check(conf, fault) == RC_OK)
		return RC_OK;
	if (!source->tolerant)
		return RC_CONF;
	conf_note(priv, "%s", fault->text);
	return RC_OK;
}

enum rc conf_load(const struct conf_source *source, struct conf **ret_conf,
		  struct fault *fault)
{
	struct conf *conf = mem_new(NULL, struct conf);
	struct conf_priv *priv = mem_new(conf, struct conf_priv);
	struct fault own;

	conf->priv = priv;
	priv->conf = conf;
	atomic_init(&priv->refs, 1);
	priv->process_name = mem_strdup(
	    priv, source->process_name == NULL ? "" : source->process_name);
	priv->service_name = mem_strdup(
	    priv, source->service_name == NULL ? "" : source->service_name);
	if (source->override_path != NULL)
		priv->override_path = mem_strdup(priv, source->override_path);
	priv->override_line = source->override_line;
	conf_table_init(priv);
	if (load(conf, source, fault == NULL ? &own : fault) != RC_OK) {
		talloc_free(conf);
		return RC_CONF;
	}
	*ret_conf = conf;
	return RC_OK;
}

struct conf *conf_ref(struct conf *conf)
{
	atomic_fetch_add(&conf->priv->refs, 1);
	return conf;
}

void conf_unref(struct conf *conf)
{
	if (conf != NULL && atomic_fetch_sub(&conf->priv->refs, 1) == 1)
		talloc_free(conf);
}
