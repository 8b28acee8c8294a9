/* SPDX-License-Identifier: Apache-2.0 */
/* unix: the accounts of this machine. Answers are kept for a second, because
 * each recipient asks and the directory may be far away. */
#include "map/map_priv.h"

#include <errno.h>
#include <grp.h>
#include <pthread.h>
#include <pwd.h>

#include "base/clock.h"
#include "map/mem_table.h"

enum {
	ACCOUNT_FIRST_BYTES = 4096,
	ACCOUNT_MAX_BYTES = 1024 * 1024,
	KEEP_MS = 1000,
	KEEP_MAX = 4096, /* answers */
};

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
	*ret_value = span_from(mem_printf(mem, "%s:%s:%ld:%ld:%s:%s:%s",
					  pw.pw_name, pw.pw_passwd,
					  (long)pw.pw_uid, (long)pw.pw_gid,
					  pw.pw_gecos, pw.pw_dir, pw.pw_shell));
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
	buf_addf(&out, "%s:%s:%ld:", gr.gr_name, gr.gr_passwd, (long)gr.gr_gid);
	for (char **member = gr.gr_mem; *member != NULL; member++)
		buf_addf(&out, "%s%s", member == gr.gr_mem ? "" : ",", *member);
	*ret_value = buf_span(&out);
	return RC_OK;
}

struct unix_map {
	bool groups;
	pthread_mutex_t lock;
	struct mem_table *kept; /* "+value", or "-" when there is none */
	uint64_t kept_until_ms;
};

static int unix_close(struct unix_map *accounts)
{
	pthread_mutex_destroy(&accounts->lock);
	talloc_free(accounts->kept);
	return 0;
}

static enum rc unix_open(struct map *map, struct fault *fault)
{
	struct unix_map *accounts;
	bool groups = strcmp(map->name, "group.byname") == 0;

	if (!groups && strcmp(map->name, "passwd.byname") != 0)
		return fault_set(fault, RC_CONF, "4.3.5",
				 "unknown %s: there are unix:passwd.byname and "
				 "unix:group.byname",
				 map->full_name);
	accounts = mem_new(map, struct unix_map);
	accounts->groups = groups;
	pthread_mutex_init(&accounts->lock, NULL);
	talloc_set_destructor(accounts, unix_close);
	map->state = accounts;
	return RC_OK;
}

/* RC_OK and RC_NONE are kept answers; RC_TEMP: ask. */
static enum rc kept_find(struct unix_map *accounts, TALLOC_CTX *mem,
			 struct span key, struct span *ret_value)
{
	enum rc rc = RC_TEMP;
	struct span kept;

	pthread_mutex_lock(&accounts->lock);
	if (accounts->kept != NULL &&
	    clock_mono_ms() < accounts->kept_until_ms &&
	    mem_table_find(accounts->kept, key, &kept)) {
		rc = kept.ptr[0] == '+' ? RC_OK : RC_NONE;
		if (rc == RC_OK)
			*ret_value = mem_span_copy(mem, span_skip(kept, 1));
	}
	pthread_mutex_unlock(&accounts->lock);
	return rc;
}

static void kept_add(struct unix_map *accounts, struct span key, enum rc rc,
		     struct span value)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct span kept = SPAN("-");
	uint64_t now_ms = clock_mono_ms();
	enum mem_add added;

	if (rc == RC_OK)
		kept = span_from(mem_printf(tmp, "+%.*s", SPAN_FMT(value)));
	pthread_mutex_lock(&accounts->lock);
	if (accounts->kept == NULL || now_ms >= accounts->kept_until_ms ||
	    mem_table_count(accounts->kept) >= KEEP_MAX) {
		talloc_free(accounts->kept);
		accounts->kept = mem_table_new(NULL);
		accounts->kept_until_ms = now_ms + KEEP_MS;
	}
	added = mem_table_add(accounts->kept, key, kept);
	(void)added; /* not kept: it will be asked for again */
	pthread_mutex_unlock(&accounts->lock);
}

static enum rc unix_lookup(struct map *map, TALLOC_CTX *mem, struct span key,
			   struct span *ret_value, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = NULL;
	struct unix_map *accounts = map->state;
	struct span value = SPAN("");
	enum rc rc;

	if (key.len == 0 || span_find(key, '\0') >= 0)
		return RC_NONE;
	rc = kept_find(accounts, mem, key, ret_value);
	if (rc == RC_OK || rc == RC_NONE)
		return rc;
	tmp = talloc_new(mem);
	if (accounts->groups)
		rc = group_find(mem, mem_span_dup(tmp, key), &value, fault);
	else
		rc = passwd_find(mem, mem_span_dup(tmp, key), &value, fault);
	if (rc != RC_OK && rc != RC_NONE)
		return rc;
	kept_add(accounts, key, rc, value);
	*ret_value = value;
	return rc;
}

const struct map_driver map_driver_unix = {
	.type = "unix",
	.can = MAP_SHARED_BY_THREADS | MAP_NEEDS_NAME,
	.open = unix_open,
	.lookup = unix_lookup,
};
