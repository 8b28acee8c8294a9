/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conf - an immutable snapshot of the configuration: main.cf, the -o overrides
 * of one master.cf line, and the built-in defaults.
 *
 * Shape    conf->v.NAME for every parameter of conf/param/ *.def, typed:
 *          STRING const char * ($names expanded), RAW const char * (as written),
 *          BOOL bool, INT int, LONG long, TIME int seconds
 * Errors   RC_CONF with file and line: "/etc/postfix/main.cf, line 12: ..."
 * Owner    conf_ref/conf_unref count atomically; the last one frees
 * Threads  any may read
 * See      postconf(5); reference inventory 3.2
 */
#pragma once

#include "base/fault.h"
#include "base/mem.h"

typedef const char *PARAM_CTYPE_STRING;
typedef const char *PARAM_CTYPE_RAW;
typedef bool PARAM_CTYPE_BOOL;
typedef int PARAM_CTYPE_INT;
typedef long PARAM_CTYPE_LONG;
typedef int PARAM_CTYPE_TIME;

struct conf_values {
#define PARAM(type, name, preset, min, max, meaning) PARAM_CTYPE_##type name;
#include "conf/param/all.def"
#undef PARAM
};

struct conf {
	struct conf_values v;
	const char *config_directory; /* absolute */
	struct conf_priv *priv;
};

struct conf_source {
	const char *config_directory; /* NULL: $MAIL_CONFIG or PATH_CONFIG */
	/* "name=value" from master.cf -o and command lines, in order; the last
	 * one wins over all before it and over main.cf. */
	const char *const *overrides;
	size_t override_count;
	/* Where the overrides stand, for conf_locate: "/etc/postfix/master.cf"
	 * and the line of the service; NULL and 0: not known. */
	const char *override_path;
	int override_line;
	const char *process_name; /* "smtpd"; read-only parameters */
	const char *service_name; /* "smtp" */
	/* For tools that show a configuration. defaults_only: do not read
	 * main.cf. tolerant: a value that cannot be used is a note, and its
	 * field in v is not to be read. */
	bool defaults_only, tolerant;
};

MUST_CHECK enum rc conf_load(const struct conf_source *source,
			     struct conf **ret_conf, struct fault *fault);
struct conf *conf_ref(struct conf *conf);
void conf_unref(struct conf *conf); /* NULL is allowed */

/* What the operator should hear: names that nothing uses ("did you mean"),
 * parameters without effect here, lines that override others, values of the
 * user's own that cannot be expanded. table may be NULL; with it, names that
 * master.cf uses count as used, and its own lines are looked at too. A list of
 * count lines, child of mem. */
struct master_table;
void conf_warnings(TALLOC_CTX *mem, const struct conf *conf,
		   const struct master_table *table,
		   const char *const **ret_list, size_t *ret_count);

/* Where a piece of a value was written: the line of main.cf, of a continuation
 * line, or of the parameter that was referred to by $name. */
struct conf_place {
	const char *parameter;
	const char *file; /* NULL: nowhere, it is the default */
	int line;	  /* 0: not known */
	bool is_override; /* -o of master.cf or of a command line */
};
/* offset: in the expanded value of the parameter (a built-in one or the
 * user's). The place lives as long as the snapshot. */
void conf_locate(const struct conf *conf, const char *parameter, size_t offset,
		 struct conf_place *ret_place);

/* Any name, built in or the user's: its expanded text, or NULL when neither
 * set nor built in. The text lives as long as the snapshot. */
const char *conf_text(const struct conf *conf, const char *name);
/* Per-transport parameters: "<transport><suffix>", when set, else fallback.
 * RC_CONF when the text is not a number or time in range. */
MUST_CHECK enum rc conf_transport_int(const struct conf *conf,
				      const char *transport, const char *suffix,
				      int fallback, int *ret_value,
				      struct fault *fault);
MUST_CHECK enum rc conf_transport_time(const struct conf *conf,
				       const char *transport,
				       const char *suffix, int fallback_s,
				       int *ret_value_s, struct fault *fault);
/* Expand $names in a text with this snapshot's values; child of mem. */
MUST_CHECK enum rc conf_expand(TALLOC_CTX *mem, const struct conf *conf,
			       const char *text, char **ret_text,
			       struct fault *fault);
/* Parse "30", "5m", "1d" (unit: the letter a bare number means) to seconds. */
MUST_CHECK enum rc conf_parse_time(struct span text, char unit, int *ret_s,
				   struct fault *fault);
