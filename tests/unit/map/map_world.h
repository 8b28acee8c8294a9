/* SPDX-License-Identifier: Apache-2.0 */
/* A private directory with a main.cf, for tests of tables. */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "conf/conf.h"
#include "map/map_build.h"
#include "sys/log.h"

struct fake;

struct world {
	char dir[64];
	struct conf *conf;
	int log_fd; /* what was logged */
	struct fake *servers[4];
	int warnings;
	char last_warning[600];
};

static inline char *world_path(struct world *w, const char *name)
{
	return mem_printf(w, "%s/%s", w->dir, name);
}

static inline void world_write(struct world *w, const char *name,
			       struct span text)
{
	int fd = open(world_path(w, name), O_WRONLY | O_CREAT | O_TRUNC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text.ptr, text.len), text.len);
	close(fd);
}

static inline int world_open(void **state)
{
	struct world *w = mem_new(NULL, struct world);
	struct conf_source source = { .process_name = "test",
				      .service_name = "test" };
	struct fault fault;

	snprintf(w->dir, sizeof(w->dir), "/tmp/map-test-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	world_write(w, "main.cf",
		    span_from(mem_printf(
			    w,
			    "compatibility_level = 3.6\n"
			    "myhostname = mail.example.test\n"
			    "proxy_read_maps = proxy:texthash:%s/source\n",
			    w->dir)));
	w->log_fd = open(world_path(w, "log"),
			 O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	assert_true(w->log_fd >= 0);
	log_open("postfix", "test", LOG_TO_FD, w->log_fd, 0);
	source.config_directory = w->dir;
	if (conf_load(&source, &w->conf, &fault) != RC_OK)
		fail_msg("%s", fault.text);
	*state = w;
	return 0;
}

static inline int world_close(void **state)
{
	struct world *w = *state;
	char *command = mem_printf(w, "rm -rf %s", w->dir);

	assert_int_equal(system(command), 0);
	conf_unref(w->conf);
	talloc_free(w);
	return 0;
}

/* Is the text in the log? Then the log is empty again. */
static inline bool world_logged(struct world *w, const char *text)
{
	struct buf log;
	ssize_t n;
	bool found;

	buf_init(&log, w, 1024 * 1024);
	assert_true(buf_reserve(&log, 1024 * 1024 - 1));
	n = pread(w->log_fd, log.data, 1024 * 1024 - 1, 0);
	assert_true(n >= 0);
	log.data[n] = '\0';
	found = strstr(log.data, text) != NULL;
	if (!found)
		print_message("%s", log.data);
	buf_done(&log);
	return found && ftruncate(w->log_fd, 0) == 0;
}

static inline void world_warn(void *arg, const char *text)
{
	struct world *w = arg;

	w->warnings++;
	snprintf(w->last_warning, sizeof(w->last_warning), "%s", text);
}

/* Make the table "type:DIR/name" from the source of that name. */
static inline enum rc world_build(struct world *w, const char *type,
				  const char *name, int flags,
				  struct fault *fault)
{
	struct map_build_options options = { .flags = flags,
					     .warn = world_warn,
					     .warn_arg = w };
	char *text = mem_printf(w, "%s:%s/%s", type, w->dir, name);

	return map_build(w->conf, span_from(text), &options, fault);
}

static inline struct map *world_map(struct world *w, const char *text)
{
	struct fault fault;
	struct map *map;

	if (map_open(w, w->conf, span_from(text), MAP_FOLD, &map, &fault) !=
	    RC_OK)
		fail_msg("%s: %s", text, fault.text);
	return map;
}

static inline void assert_found(struct map *map, const char *key,
				const char *want)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct fault fault = { 0 };
	struct span value;
	enum rc rc = map_lookup(map, tmp, span_from(key), &value, &fault);

	if (want == NULL) {
		if (rc != RC_NONE)
			fail_msg("%s: %s: rc %d %s", map_name(map), key, rc,
				 fault.text);
		return;
	}
	if (rc != RC_OK)
		fail_msg("%s: %s: rc %d %s", map_name(map), key, rc,
			 fault.text);
	if (!span_is(value, want))
		fail_msg("%s: %s: \"%.*s\", not \"%s\"", map_name(map), key,
			 SPAN_FMT(value), want);
}
