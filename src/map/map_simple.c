/* SPDX-License-Identifier: Apache-2.0 */
/* Tables without a file: static, fail, internal, environ, inline, unix. */
#include "map/map_priv.h"

#include <grp.h>
#include <pwd.h>
#include <errno.h>
#include <unistd.h>

#include "map/mem_table.h"

static enum rc nothing_open(struct map *map, struct fault *fault)
{
	return RC_OK;
}

static enum rc static_open(struct map *map, struct fault *fault)
{
	struct span text = map_text_unbrace(span_from(map->name));

	map->state = mem_span_dup(map, text);
	return RC_OK;
}

static enum rc static_lookup(struct map *map, TALLOC_CTX *mem, struct span key,
			     struct span *ret_value, struct fault *fault)
{
	*ret_value = span_from(mem_strdup(mem, map->state));
	return RC_OK;
}

const struct map_driver map_driver_static = {
	.type = "static",
	.can = MAP_SHARED_BY_THREADS | MAP_PATTERN | MAP_NEEDS_NAME,
	.open = static_open,
	.lookup = static_lookup,
};

static enum rc fail_lookup(struct map *map, TALLOC_CTX *mem, struct span key,
			   struct span *ret_value, struct fault *fault)
{
	return fault_set(fault, RC_TEMP, "4.3.0", "made to fail");
}

const struct map_driver map_driver_fail = {
	.type = "fail",
	.can = MAP_SHARED_BY_THREADS | MAP_PATTERN | MAP_NEEDS_NAME,
	.open = nothing_open,
	.lookup = fail_lookup,
};

static enum rc internal_lookup(struct map *map, TALLOC_CTX *mem,
			       struct span key, struct span *ret_value,
			       struct fault *fault)
{
	return RC_NONE; /* nobody ever adds to it */
}

const struct map_driver map_driver_internal = {
	.type = "internal",
	.can = MAP_SHARED_BY_THREADS | MAP_NEEDS_NAME,
	.open = nothing_open,
	.lookup = internal_lookup,
};

static enum rc environ_lookup(struct map *map, TALLOC_CTX *mem, struct span key,
			      struct span *ret_value, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(mem);
	const char *value;

	if (span_find(key, '\0') >= 0)
		return RC_NONE;
	value = getenv(mem_span_dup(tmp, key));
	if (value == NULL)
		return RC_NONE;
	*ret_value = span_from(mem_strdup(mem, value));
	return RC_OK;
}

const struct map_driver map_driver_environ = {
	.type = "environ",
	.can = MAP_SHARED_BY_THREADS | MAP_NEEDS_NAME,
	.open = nothing_open,
	.lookup = environ_lookup,
};

/* "{ name = value }" or "name=value" into the table. */
static enum rc inline_add(struct map *map, struct mem_table *table,
			  struct span element, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(map);
	struct span key, value = map_text_unbrace(element);
	ssize_t equals = span_find(value, '=');

	key = equals < 0 ? SPAN_OF("") : span_trim(span_take(value,
							 (size_t)equals));
	if (key.len == 0)
		return fault_set(fault, RC_CONF, "4.3.5",
				 "%s: expected name=value instead of \"%.*s\"",
				 map->full_name,
				 (int)MIN_OF(value.len, (size_t)100), value.ptr);
	value = span_trim(span_skip(value, (size_t)equals + 1));
	if (map->flags & MAP_FOLD)
		key = map_fold(tmp, key, NULL, 0);
	if (mem_table_set(table, key, value) == MEM_FULL)
		return fault_set(fault, RC_CONF, "4.3.5", "%.100s: too large",
				 map->full_name);
	return RC_OK;
}

static enum rc inline_open(struct map *map, struct fault *fault)
{
	struct mem_table *table = mem_table_new(map);
	struct span rest = span_trim(span_from(map->name)), element;
	enum rc rc;

	if (!span_starts(rest, "{") || !span_ends(rest, "}"))
		return fault_set(fault, RC_CONF, "4.3.5",
				 "bad syntax: \"%s\"; need "
				 "\"inline:{name=value...}\"",
				 map->full_name);
	rest = map_text_unbrace(rest);
	while ((rc = map_text_next(&rest, &element, fault)) == RC_OK) {
		rc = inline_add(map, table, element, fault);
		if (rc != RC_OK)
			return rc;
	}
	if (rc != RC_NONE)
		return fault_add(fault, "%s", map->full_name);
	map->state = table;
	return RC_OK;
}

static enum rc inline_lookup(struct map *map, TALLOC_CTX *mem, struct span key,
			     struct span *ret_value, struct fault *fault)
{
	struct span value;

	if (!mem_table_find(map->state, key, &value))
		return RC_NONE;
	*ret_value = mem_span_copy(mem, value);
	return RC_OK;
}

static enum rc inline_each(struct map *map, map_each_fn *each, void *arg,
			   struct fault *fault)
{
	struct span key, value;
	enum rc rc = RC_OK;

	for (size_t i = 0; rc == RC_OK && i < mem_table_count(map->state);
	     i++) {
		mem_table_at(map->state, i, &key, &value);
		rc = each(arg, key, value, fault);
	}
	return rc;
}

const struct map_driver map_driver_inline = {
	.type = "inline",
	.can = MAP_SHARED_BY_THREADS | MAP_NEEDS_NAME,
	.open = inline_open,
	.lookup = inline_lookup,
	.each = inline_each,
};

enum { ACCOUNT_FIRST_BYTES = 4096, ACCOUNT_MAX_BYTES = 1024 * 1024 };

static enum rc account_fault(int error, struct fault *fault)
{
	errno = error;
	return fault_set(fault, RC_TEMP, "4.3.0", "account lookup: %m");
}

static enum rc passwd_find(TALLOC_CTX *mem, const char *name,
			   struct span *ret_value, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(mem);
	struct passwd pw, *found;
	char *room = NULL;
	int error = ERANGE;

	for (size_t size = ACCOUNT_FIRST_BYTES;
	     error == ERANGE && size <= ACCOUNT_MAX_BYTES; size *= 16) {
		room = mem_resize(tmp, room, char, size);
		error = getpwnam_r(name, &pw, room, size, &found);
	}
	if (error != 0)
		return account_fault(error, fault);
	if (found == NULL)
		return RC_NONE;
	*ret_value = span_from(mem_printf(
		mem, "%s:%s:%ld:%ld:%s:%s:%s", pw.pw_name, pw.pw_passwd,
		(long)pw.pw_uid, (long)pw.pw_gid, pw.pw_gecos, pw.pw_dir,
		pw.pw_shell));
	return RC_OK;
}

static enum rc group_find(TALLOC_CTX *mem, const char *name,
			  struct span *ret_value, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(mem);
	struct group gr, *found;
	struct buf out;
	char *room = NULL;
	int error = ERANGE;

	for (size_t size = ACCOUNT_FIRST_BYTES;
	     error == ERANGE && size <= ACCOUNT_MAX_BYTES; size *= 16) {
		room = mem_resize(tmp, room, char, size);
		error = getgrnam_r(name, &gr, room, size, &found);
	}
	if (error != 0)
		return account_fault(error, fault);
	if (found == NULL)
		return RC_NONE;
	buf_init(&out, mem, ACCOUNT_MAX_BYTES);
	buf_addf(&out, "%s:%s:%ld:", gr.gr_name, gr.gr_passwd,
		 (long)gr.gr_gid);
	for (char **member = gr.gr_mem; *member != NULL; member++)
		buf_addf(&out, "%s%s", member == gr.gr_mem ? "" : ",", *member);
	*ret_value = buf_span(&out);
	return RC_OK;
}

static enum rc unix_open(struct map *map, struct fault *fault)
{
	if (strcmp(map->name, "passwd.byname") == 0 ||
	    strcmp(map->name, "group.byname") == 0)
		return RC_OK;
	return fault_set(fault, RC_CONF, "4.3.5",
			 "unknown %s: there are unix:passwd.byname and "
			 "unix:group.byname", map->full_name);
}

static enum rc unix_lookup(struct map *map, TALLOC_CTX *mem, struct span key,
			   struct span *ret_value, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(mem);
	char *name;

	if (key.len == 0 || span_find(key, '\0') >= 0)
		return RC_NONE;
	name = mem_span_dup(tmp, key);
	if (strcmp(map->name, "passwd.byname") == 0)
		return passwd_find(mem, name, ret_value, fault);
	return group_find(mem, name, ret_value, fault);
}

const struct map_driver map_driver_unix = {
	.type = "unix",
	.can = MAP_SHARED_BY_THREADS | MAP_NEEDS_NAME,
	.open = unix_open,
	.lookup = unix_lookup,
};
