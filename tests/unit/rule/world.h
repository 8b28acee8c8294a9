/* SPDX-License-Identifier: Apache-2.0 */
/* A private directory with a main.cf, for one test. */
#pragma once

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../cmocka_all.h"
#include "conf/conf.h"

struct world {
	TALLOC_CTX *mem;
	char dir[64];
	struct conf *conf;
};

static inline void world_write(const struct world *w, const char *name,
			       const char *text)
{
	char *path = mem_printf(w->mem, "%s/%s", w->dir, name);
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static inline void world_folder(const struct world *w, const char *name)
{
	char *path = mem_printf(w->mem, "%s/%s", w->dir, name);

	assert_int_equal(mkdir(path, 0700), 0);
}

/* A base every test shares; later lines win. */
static const char world_base[] =
	"compatibility_level = 3.6\n"
	"myhostname = mx.example.test\n"
	"mydomain = example.test\n"
	"mydestination = $myhostname, localhost.$mydomain, localhost\n"
	"inet_interfaces = 127.0.0.1\n"
	"inet_protocols = ipv4\n"
	"mynetworks = 127.0.0.0/8\n"
	"alias_maps =\n"
	"local_recipient_maps =\n";

static inline struct world *world_new(const char *main_cf,
				      const char *master_cf)
{
	static const char *const folders[] = { "journal", "journal/free",
					       "queue",	  "corrupt",
					       "maildrop", "public",
					       "private" };
	struct world *w = mem_new(NULL, struct world);
	struct conf_source source = { .process_name = "test",
				      .service_name = "test" };
	struct fault fault = { 0 };

	w->mem = talloc_new(w);
	snprintf(w->dir, sizeof(w->dir), "/tmp/postern-test-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	for (size_t i = 0; i < ARRAY_LEN(folders); i++)
		world_folder(w, folders[i]);
	world_write(w, "main.cf",
		    mem_printf(w->mem, "%squeue_directory = %s\n%s\n",
			       world_base, w->dir, main_cf));
	world_write(w, "master.cf", master_cf);
	source.config_directory = w->dir;
	if (conf_load(&source, &w->conf, &fault) != RC_OK)
		fail_msg("%s", fault.text);
	return w;
}

static inline int world_unlink(const char *path, const struct stat *st,
			       int type, struct FTW *ftw)
{
	return remove(path);
}

static inline void world_free(struct world *w)
{
	conf_unref(w->conf);
	nftw(w->dir, world_unlink, 16, FTW_DEPTH | FTW_PHYS);
	talloc_free(w);
}
