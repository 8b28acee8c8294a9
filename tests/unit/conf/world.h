/* SPDX-License-Identifier: Apache-2.0 */
/*
 * world - a configuration directory for one test, made from texts.
 */
#pragma once

#include "../cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "conf/conf.h"
#include "conf/master_cf.h"

struct world {
	TALLOC_CTX *mem;
	char dir[64];
	struct conf *conf;
	struct fault fault;
};

static inline void world_write(const struct world *w, const char *name,
			       const char *text)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", w->dir, name);
	file = fopen(path, "w");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static inline struct world *world_new(const char *main_cf)
{
	TALLOC_CTX *mem = talloc_new(NULL);
	struct world *w = mem_new(mem, struct world);

	w->mem = mem;
	snprintf(w->dir, sizeof(w->dir), "/tmp/postern-conf-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	world_write(w, "main.cf", main_cf);
	return w;
}

static inline void world_free(struct world *w)
{
	static const char *const names[] = { "main.cf", "master.cf", "origin" };
	char path[128];

	conf_unref(w->conf);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", w->dir, names[i]);
		unlink(path);
	}
	assert_int_equal(rmdir(w->dir), 0);
	talloc_free(w->mem);
}

static inline enum rc world_load(struct world *w, const char *const *overrides,
				 size_t count)
{
	struct conf_source source = { .config_directory = w->dir,
				      .overrides = overrides,
				      .override_count = count,
				      .process_name = "smtpd",
				      .service_name = "submission" };

	conf_unref(w->conf);
	w->conf = NULL;
	return conf_load(&source, &w->conf, &w->fault);
}

/* Load a text that must be good. */
static inline struct world *world_of(const char *main_cf)
{
	struct world *w = world_new(main_cf);

	if (world_load(w, NULL, 0) != RC_OK)
		fail_msg("%s", w->fault.text);
	return w;
}

/* The fault of a text that must not be good, without the directory. */
static inline void world_refuses(const char *main_cf, const char *want)
{
	struct world *w = world_new(main_cf);
	const char *text;

	assert_int_equal(world_load(w, NULL, 0), RC_CONF);
	text = w->fault.text;
	if (strncmp(text, w->dir, strlen(w->dir)) == 0)
		text += strlen(w->dir) + 1;
	if (strstr(text, want) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", text, want);
	world_free(w);
}
