/* SPDX-License-Identifier: Apache-2.0 */
/*
 * map_priv - what a table driver is; for this folder only.
 *
 * Threads  open runs once, before the map is shared; lookup may run in many
 *          threads at once. What changes later is behind the lock of a
 *          map_watch, in trees without a parent.
 */
#pragma once

#include "base/buf.h"

#include "map/map.h"
#include "map/map_build.h"

enum map_traits {
	MAP_SHARED_BY_THREADS = 1, /* lookup needs no lock around it */
	MAP_PATTERN = 2,    /* one query with the whole string, never folded */
	MAP_NEEDS_NAME = 4, /* "type:" alone is not enough */
};

struct map_driver {
	const char *type; /* "static" in "static:OK" */
	int can;	  /* enum map_traits */
	enum rc (*open)(struct map *map, struct fault *fault);
	enum rc (*lookup)(struct map *map, TALLOC_CTX *mem, struct span key,
			  struct span *ret_value, struct fault *fault);
	/* A table at a server, changed one entry at a time; NULL: cannot be
	 * changed so. RC_NONE: the key is there, and `replace` is false; there
	 * was no such key. */
	enum rc (*put)(struct map *map, struct span key, struct span value,
		       bool replace, struct fault *fault);
	enum rc (*erase)(struct map *map, struct span key, struct fault *fault);
	/* NULL: cannot be listed. */
	enum rc (*each)(struct map *map, map_each_fn *each, void *arg,
			struct fault *fault);
	/* NULL: does not hold files, or for the files it can make. */
	const struct map_store *store;
	/* NULL: never. */
	bool (*needs_restart)(const struct map *map);
};

struct map {
	const struct map_driver *driver;
	const struct conf *conf; /* outlives the map */
	const char *full_name;	 /* "static:OK" */
	const char *name;	 /* "OK" */
	int flags;		 /* enum map_flags */
	bool pattern;
	void *state; /* the driver's */
};

/* NULL when there is no such type. */
const struct map_driver *map_driver_find(struct span type);

/* May "proxy:NAME" be used? RC_CONF: it is not in proxy_read_maps, or, to
 * change it, in proxy_write_maps. */
MUST_CHECK enum rc map_proxy_approve(const struct conf *conf, struct span name,
				     bool to_change, struct fault *fault);

/* Text of a table: "type:name" split; false when it has no type. */
bool map_name_split(struct span text, struct span *ret_type,
		    struct span *ret_name);
/* The next element of a list: separated by blanks and commas, braces keep it
 * together. RC_NONE at the end, RC_CONF when braces do not match. */
enum rc map_text_next(struct span *rest, struct span *ret_element,
		      struct fault *fault);
/* "{ text }" without braces and blanks; other text is only trimmed. */
struct span map_text_unbrace(struct span text);
/* Does the brace that text starts with, if any, close at its very end? */
bool map_text_braces_are_whole(struct span text);

/* Lower case, of letters above 127 too when the text is UTF-8. The answer is in
 * `small` when it fits, else a child of mem. */
struct span map_fold(TALLOC_CTX *mem, struct span key, char *small,
		     size_t small_size);

extern const struct map_driver map_driver_btree;
extern const struct map_driver map_driver_cdb;
extern const struct map_driver map_driver_cidr;
extern const struct map_driver map_driver_debug;
extern const struct map_driver map_driver_environ;
extern const struct map_driver map_driver_fail;
extern const struct map_driver map_driver_hash;
extern const struct map_driver map_driver_inline;
extern const struct map_driver map_driver_internal;
extern const struct map_driver map_driver_ldap;
extern const struct map_driver map_driver_lmdb;
extern const struct map_driver map_driver_memcache;
extern const struct map_driver map_driver_mysql;
extern const struct map_driver map_driver_pcre;
extern const struct map_driver map_driver_pgsql;
extern const struct map_driver map_driver_pipemap;
extern const struct map_driver map_driver_proxy;
extern const struct map_driver map_driver_randmap;
extern const struct map_driver map_driver_redis;
extern const struct map_driver map_driver_regexp;
extern const struct map_driver map_driver_socketmap;
extern const struct map_driver map_driver_sqlite;
extern const struct map_driver map_driver_static;
extern const struct map_driver map_driver_tcp;
extern const struct map_driver map_driver_texthash;
extern const struct map_driver map_driver_unionmap;
extern const struct map_driver map_driver_unix;
