/* SPDX-License-Identifier: Apache-2.0 */
/*
 * postconf_priv - what the parts of postconf share.
 *
 * Errors   a function that returns a fault wrote nothing to the files
 * Output   standard output; warnings to standard error
 */
#pragma once

#include "base/buf.h"
#include "conf/conf.h"
#include "conf/master_cf.h"

enum postconf_class {
	CLASS_BUILTIN = 1,
	CLASS_SERVICE = 2,
	CLASS_USER = 4,
	CLASS_ALL = 7,
};

struct postconf {
	TALLOC_CTX *mem;
	struct conf *conf;
	struct master_table *table; /* NULL: there is no master.cf */
	bool defaults, set_only, expand, fold, hide_names, hide_values;
	bool json, quiet, verbose;
	unsigned classes; /* of enum postconf_class */
	char **names;
	size_t name_count;
};

enum postconf_edit { EDIT_SET, EDIT_DELETE, EDIT_COMMENT };

/* The command line; a talloc object. */
struct postconf_options {
	struct postconf pc;
	const char *config_directory;
	const char **overrides;
	size_t override_count;
	const char *tls_mode; /* of -T */
	char mode; /* M, F, P, or 0 for main.cf */
	char list; /* m, l, a, A, b, t, T, or 0 */
	bool edit, explain;
	enum postconf_edit what;
};

/* postconf_options.c: ends the program when they make no sense. */
void postconf_options_parse(struct postconf_options *options, int argc,
			    char **argv);
NORETURN void postconf_fail(const char *text);

/* postconf_lists.c: what is printed without looking at parameters. */
bool postconf_list_needs_conf(char list);
MUST_CHECK enum rc postconf_list(const struct postconf *pc, char list,
				 const char *tls_mode, struct fault *fault);

/* postconf_print.c */
MUST_CHECK enum rc postconf_print(const struct postconf *pc,
				  struct fault *fault);
/* One "name = value" line as -f, -h and -H want it. */
void postconf_print_pair(const struct postconf *pc, const char *name,
			 const char *value);
/* {"name": "value"}, with -j. */
void postconf_print_json(const char *name, const char *value);
/* The text with -x applied when asked; child of pc->mem. */
MUST_CHECK enum rc postconf_value(const struct postconf *pc, const char *text,
				  const char **ret_text, struct fault *fault);

/* postconf_explain.c: what parameters mean, with type, range and default. */
MUST_CHECK enum rc postconf_explain(const struct postconf *pc,
				    struct fault *fault);

/* postconf_edit.c: "name=value" or names in main.cf of a directory. */
MUST_CHECK enum rc postconf_edit_main(const char *config_directory,
				      enum postconf_edit what, char **args,
				      size_t count, struct fault *fault);

/* postconf_master.c */
MUST_CHECK enum rc postconf_print_master(const struct postconf *pc, char mode,
					 struct fault *fault);
/* postconf_master_edit.c: all requests, or none of them. */
MUST_CHECK enum rc postconf_edit_master(const struct postconf *pc, char mode,
					enum postconf_edit what,
					struct fault *fault);

enum { FIELD_COUNT = 8 };
extern const char *const postconf_field_names[FIELD_COUNT];
enum rc postconf_bad_field(struct span name, struct fault *fault);
/* The line of an entry as it is written to the file. */
MUST_CHECK enum rc postconf_entry_format(const struct postconf *pc,
					 const struct master_entry *entry,
					 bool fold, struct buf *out,
					 struct fault *fault);

/* postconf_file.c: rewrite a configuration file by its logical lines. */
struct edit_verdict {
	enum {
		VERDICT_KEEP,
		VERDICT_DROP,
		VERDICT_COMMENT,
		VERDICT_REPLACE
	} what;
	const char *text; /* of VERDICT_REPLACE, without the line end */
};
typedef struct edit_verdict (*edit_judge)(void *arg, struct span first_line);
/* The text with each logical line kept, dropped, commented out or replaced;
 * comments and empty lines stay, also those inside. */
void edit_text(struct span text, edit_judge judge, void *arg, struct buf *out);
/* Put the text in place of the file: all or nothing, same owner and mode. */
MUST_CHECK enum rc edit_write(const char *path, struct span text,
			      struct fault *fault);
/* One editor at a time; the lock ends with the process. */
MUST_CHECK enum rc edit_lock(const char *config_directory, struct fault *fault);
