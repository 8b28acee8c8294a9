/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/privilege.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

enum { FIRST_ROOM_BYTES = 1024, ROOM_MAX_BYTES = 1024 * 1024 };

static struct privilege_user *user_copy(TALLOC_CTX *mem,
					const struct passwd *entry)
{
	struct privilege_user *user = mem_new(mem, struct privilege_user);

	user->name = mem_strdup(user, entry->pw_name);
	user->home = mem_strdup(user, entry->pw_dir);
	user->shell = mem_strdup(user, entry->pw_shell);
	user->uid = entry->pw_uid;
	user->gid = entry->pw_gid;
	return user;
}

/* "No such entry" comes in several spellings from different databases. */
static bool is_not_found(int error)
{
	return error == 0 || error == ENOENT || error == ESRCH ||
	       error == EBADF || error == EPERM;
}

static enum rc user_ask(TALLOC_CTX *mem, const char *name, uid_t uid,
			struct privilege_user **ret_user, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(mem);
	char *room = NULL;
	struct passwd entry, *found = NULL;
	int error = ERANGE;

	for (size_t size = FIRST_ROOM_BYTES;
	     error == ERANGE && size <= ROOM_MAX_BYTES; size *= 2) {
		room = mem_resize(tmp, room, char, size);
		error = name != NULL
				? getpwnam_r(name, &entry, room, size, &found)
				: getpwuid_r(uid, &entry, room, size, &found);
		if (error == EINTR)
			error = ERANGE;
	}
	if (error == 0 && found != NULL) {
		*ret_user = user_copy(mem, found);
		return RC_OK;
	}
	errno = error;
	if (is_not_found(error) && name != NULL)
		return fault_set(fault, RC_NONE, "5.1.1", "unknown user: %s",
				 name);
	if (is_not_found(error))
		return fault_set(fault, RC_NONE, "5.1.1", "unknown user id: %u",
				 (unsigned)uid);
	return fault_set(fault, RC_TEMP, "4.3.0", "user database: %m");
}

enum rc privilege_user_find(TALLOC_CTX *mem, const char *name,
			    struct privilege_user **ret_user,
			    struct fault *fault)
{
	return user_ask(mem, name, 0, ret_user, fault);
}

enum rc privilege_user_find_uid(TALLOC_CTX *mem, uid_t uid,
				struct privilege_user **ret_user,
				struct fault *fault)
{
	return user_ask(mem, NULL, uid, ret_user, fault);
}

enum rc privilege_group_find(const char *name, gid_t *ret_gid,
			     struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	char *room = NULL;
	struct group entry, *found = NULL;
	int error = ERANGE;

	for (size_t size = FIRST_ROOM_BYTES;
	     error == ERANGE && size <= ROOM_MAX_BYTES; size *= 2) {
		room = mem_resize(tmp, room, char, size);
		error = getgrnam_r(name, &entry, room, size, &found);
		if (error == EINTR)
			error = ERANGE;
	}
	if (error == 0 && found != NULL) {
		*ret_gid = found->gr_gid;
		return RC_OK;
	}
	errno = error;
	if (is_not_found(error))
		return fault_set(fault, RC_NONE, "5.3.5", "unknown group: %s",
				 name);
	return fault_set(fault, RC_TEMP, "4.3.0", "group database: %m");
}

static bool is_already(const struct privilege_user *user)
{
	uid_t real, effective, saved;

	return user->uid != 0 && getresuid(&real, &effective, &saved) == 0 &&
	       real == user->uid && effective == user->uid &&
	       saved == user->uid;
}

enum rc privilege_become(const struct privilege_user *user, bool all_groups,
			 struct fault *fault)
{
	int failed;

	if (is_already(user))
		return RC_OK;
	failed = all_groups ? initgroups(user->name, user->gid)
			    : setgroups(1, &user->gid);
	if (failed || setresgid(user->gid, user->gid, user->gid) != 0 ||
	    setresuid(user->uid, user->uid, user->uid) != 0)
		return fault_set(fault, RC_CONF, "4.3.5", "become user %s: %m",
				 user->name);
	if (user->uid != 0 && (setuid(0) == 0 || seteuid(0) == 0))
		return fault_set(fault, RC_CONF, "4.3.5",
				 "become user %s: root could be regained",
				 user->name);
	return RC_OK;
}

enum rc privilege_chroot(const char *directory, struct fault *fault)
{
	if (chdir(directory) != 0 || chroot(".") != 0 || chdir("/") != 0)
		return fault_set(fault, RC_CONF, "4.3.5", "chroot %s: %m",
				 directory);
	return RC_OK;
}

enum rc privilege_no_new_privs(struct fault *fault)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return fault_set(fault, RC_CONF, "4.3.5", "no_new_privs: %m");
	return RC_OK;
}

size_t privilege_raise_files(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return 0;
	if (limit.rlim_cur != limit.rlim_max) {
		rlim_t before = limit.rlim_cur;

		limit.rlim_cur = limit.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
			limit.rlim_cur = before;
	}
	return (size_t)limit.rlim_cur;
}
