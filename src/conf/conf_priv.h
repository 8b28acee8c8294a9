/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conf_priv - what a snapshot is made of. Written while it is loaded, constant
 * afterwards.
 */
#pragma once

#include <stdatomic.h>

#include "base/buf.h"
#include "conf/conf.h"
#include "conf/expand.h"
#include "conf/param.h"

enum entry_state {
	ENTRY_NEW,
	ENTRY_BUSY, /* being expanded: to meet it again is a loop */
	ENTRY_DONE,
	ENTRY_BROKEN, /* the user's own, cannot be expanded */
};

struct conf_entry {
	const char *name;
	const char *text;	     /* as written; NULL: the default */
	const char *value;	     /* expanded */
	const struct param_def *def; /* NULL: a name of the user's */
	int line;		     /* of main.cf; 0: default or override */
	bool is_override;
	enum entry_state state;
};

struct conf_priv {
	struct conf *conf;
	atomic_int refs;
	const char *main_path;	    /* "/etc/postfix/main.cf" */
	struct span main_text;	    /* all of it */
	const char *override_path;  /* NULL: not known */
	int override_line;
	struct conf_entry *entries; /* the declared ones first */
	size_t count, cap;
	uint32_t *slots;    /* index + 1 by hash of the name */
	size_t slot_count;  /* a power of two */
	const char **notes; /* warnings met while loading */
	size_t note_count;
	const char *process_name, *service_name;
};

/* table.c */
void conf_table_init(struct conf_priv *priv);
struct conf_entry *conf_table_find(const struct conf_priv *priv,
				   struct span name);
/* Find or add. Pointers to entries are void after it. */
struct conf_entry *conf_table_put(struct conf_priv *priv, struct span name);
void conf_note(struct conf_priv *priv, const char *format, ...) PRINTF(2, 3);

/* evaluate.c */
MUST_CHECK enum rc conf_evaluate(struct conf_priv *priv,
				 struct conf_entry *entry, int depth,
				 struct fault *fault);
/* The value of a name during loading, as struct expand wants it. */
enum rc conf_value_loading(void *arg, struct span name, int depth,
			   struct span *ret_value, struct fault *fault);
/* Put "main.cf, line 3: name = text: " in front of the fault. */
enum rc conf_fault_at(const struct conf_priv *priv,
		      const struct conf_entry *entry, struct fault *fault);

/* host.c: the computed defaults. RC_NONE: this one is not computed. */
MUST_CHECK enum rc conf_host_preset(struct conf_priv *priv,
				    const struct conf_entry *entry, int depth,
				    const char **ret_text, struct fault *fault);
/* myorigin = /etc/mailname: the first line of that file. */
MUST_CHECK enum rc conf_host_origin(struct conf_priv *priv, const char **value,
				    struct fault *fault);
MUST_CHECK enum rc conf_host_check(const struct conf *conf,
				   struct fault *fault);
