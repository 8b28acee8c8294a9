/* SPDX-License-Identifier: Apache-2.0 */
#include "command/instance.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "conf/master_cf.h"
#include "sys/privilege.h"

struct check {
	const struct conf *conf;
	bool repair;
	instance_say_fn *say;
	void *arg;
	int problems;
	uid_t owner;
	gid_t owner_group, setgid_group;
};

enum folder_owner { BY_ROOT, BY_MAIL_OWNER };
enum folder_group { GROUP_OF_OWNER, GROUP_SETGID };

/* What the queue directory holds. */
static const struct folder {
	const char *name;
	enum folder_owner owner;
	enum folder_group group;
	mode_t mode;
} folders[] = {
	{ "journal", BY_MAIL_OWNER, GROUP_OF_OWNER, 0700 },
	{ "journal/free", BY_MAIL_OWNER, GROUP_OF_OWNER, 0700 },
	{ "queue", BY_MAIL_OWNER, GROUP_OF_OWNER, 0700 },
	{ "corrupt", BY_MAIL_OWNER, GROUP_OF_OWNER, 0700 },
	{ "maildrop", BY_MAIL_OWNER, GROUP_SETGID, 01730 },
	{ "public", BY_MAIL_OWNER, GROUP_SETGID, 0710 },
	{ "private", BY_MAIL_OWNER, GROUP_OF_OWNER, 0700 },
};

/* Where the reference keeps messages: not ours to touch. */
static const char *const foreign_queues[] = { "incoming", "active", "deferred",
					      "hold" };

PRINTF(2, 3)
static void tell(struct check *check, const char *format, ...)
{
	char text[FAULT_TEXT_MAX_BYTES * 2];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	check->say(check->arg, text);
}

/* Never through a link that the owner of the directory put there meanwhile. */
static int mode_set(const char *path, mode_t mode)
{
	return fchmodat(AT_FDCWD, path, mode, AT_SYMLINK_NOFOLLOW);
}

static void rights_check(struct check *check, const char *path,
			 const struct stat *st, uid_t owner, gid_t group,
			 mode_t mode)
{
	if (st->st_uid == owner && st->st_gid == group &&
	    (st->st_mode & 07777) == mode)
		return;
	if (!check->repair) {
		tell(check,
		     "warning: %s: owner %u:%u mode %04o, should be %u:%u "
		     "mode %04o; `postern set-permissions` repairs it",
		     path, st->st_uid, st->st_gid, st->st_mode & 07777, owner,
		     group, mode);
		check->problems++;
		return;
	}
	if (lchown(path, owner, group) != 0 || mode_set(path, mode) != 0) {
		tell(check, "error: cannot repair rights of %s: %s", path,
		     strerror(errno));
		check->problems++;
		return;
	}
	tell(check, "repaired owner and mode of %s", path);
}

static void folder_check(struct check *check, const char *path, uid_t owner,
			 gid_t group, mode_t mode)
{
	struct stat st;

	if (lstat(path, &st) != 0) {
		if (errno == ENOENT && check->repair && mkdir(path, mode) == 0) {
			tell(check, "made directory %s", path);
		} else {
			tell(check, "error: directory %s: %s", path,
			     strerror(errno));
			check->problems++;
			return;
		}
		if (lchown(path, owner, group) != 0 || mode_set(path, mode) != 0) {
			tell(check, "error: rights of %s: %s", path,
			     strerror(errno));
			check->problems++;
		}
		return;
	}
	if (!S_ISDIR(st.st_mode)) {
		tell(check, "error: %s is not a directory", path);
		check->problems++;
		return;
	}
	rights_check(check, path, &st, owner, group, mode);
}

static size_t count_files(const char *path, int depth, size_t limit)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	size_t count = 0;

	if (dir == NULL)
		return 0;
	while (count < limit && (entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		if (entry->d_type == DT_REG) {
			count++;
		} else if (entry->d_type == DT_DIR && depth > 0) {
			SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);

			count += count_files(mem_printf(tmp, "%s/%s", path,
							entry->d_name),
					     depth - 1, limit - count);
		}
	}
	closedir(dir);
	return count;
}

static void foreign_check(struct check *check)
{
	const size_t limit = 10000;
	size_t count = 0;

	for (size_t i = 0; i < ARRAY_LEN(foreign_queues); i++) {
		SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);

		count += count_files(mem_printf(tmp, "%s/%s",
						check->conf->v.queue_directory,
						foreign_queues[i]),
				     4, limit);
	}
	if (count > 0)
		tell(check,
		     "warning: %s holds %zu%s messages of another mail server "
		     "(Postfix); Postern does not touch or send them. Let that "
		     "server deliver them first, or give Postern its own "
		     "queue_directory",
		     check->conf->v.queue_directory, count,
		     count >= limit ? " or more" : "");
}

/* A private instance may lie where no folder is yet: parents are made too. */
static void parents_make(struct check *check, const char *path)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	char *copy = mem_strdup(tmp, path);

	if (!check->repair)
		return;
	for (char *p = copy + 1; *p != '\0'; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(copy, 0755) == 0)
			tell(check, "made directory %s", copy);
		*p = '/';
	}
}

static void directories_check(struct check *check)
{
	const struct conf_values *v = &check->conf->v;
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);

	parents_make(check, v->queue_directory);
	parents_make(check, v->data_directory);
	folder_check(check, v->queue_directory, 0, 0, 0755);
	folder_check(check, v->data_directory, check->owner, check->owner_group,
		     0700);
	folder_check(check,
		     mem_printf(tmp, "%s/%s", v->queue_directory,
				v->process_id_directory),
		     0, 0, 0755);
	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		const struct folder *f = &folders[i];

		folder_check(check,
			     mem_printf(tmp, "%s/%s", v->queue_directory,
					f->name),
			     f->owner == BY_ROOT ? 0 : check->owner,
			     f->group == GROUP_SETGID ? check->setgid_group :
			     f->owner == BY_ROOT      ? 0 :
							check->owner_group,
			     f->mode);
	}
}

static bool users_check(struct check *check)
{
	const struct conf_values *v = &check->conf->v;
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct privilege_user *user;
	struct fault fault;

	if (privilege_user_find(tmp, v->mail_owner, &user, &fault) != RC_OK) {
		tell(check,
		     "error: mail_owner = %s: %s; add it: useradd --system "
		     "--no-create-home %s",
		     v->mail_owner, fault.text, v->mail_owner);
		return false;
	}
	if (user->uid == 0) {
		tell(check, "error: mail_owner = %s must not be root",
		     v->mail_owner);
		return false;
	}
	check->owner = user->uid;
	check->owner_group = user->gid;
	if (privilege_group_find(v->setgid_group, &check->setgid_group,
				 &fault) != RC_OK) {
		tell(check,
		     "error: setgid_group = %s: %s; add it: groupadd --system "
		     "%s",
		     v->setgid_group, fault.text, v->setgid_group);
		return false;
	}
	return true;
}

static void setgid_check(struct check *check, const char *name)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	const char *path = mem_printf(
		tmp, "%s/%s", check->conf->v.command_directory, name);
	struct stat st;

	if (stat(path, &st) != 0) {
		tell(check, "error: %s: %s", path, strerror(errno));
		check->problems++;
		return;
	}
	if (st.st_gid != check->setgid_group || (st.st_mode & 07777) != 02755)
		rights_check(check, path, &st, 0, check->setgid_group, 02755);
}

static void config_rights_check(struct check *check)
{
	static const char *const names[] = { "main.cf", "master.cf" };
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct stat st;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const char *path =
			mem_printf(tmp, "%s/%s", check->conf->config_directory,
				   names[i]);

		if (stat(path, &st) == 0 && (st.st_mode & 022) != 0)
			tell(check,
			     "warning: others than the owner may write %s; "
			     "`chmod go-w %s`",
			     path, path);
	}
}

/* Misspelt names, parameters without effect: said once, at check and start. */
static void settings_check(struct check *check,
			   const struct master_table *table)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	const char *const *list;
	size_t count;

	conf_warnings(tmp, check->conf, table, &list, &count);
	for (size_t i = 0; i < count; i++)
		tell(check, "warning: %s", list[i]);
}

static void master_cf_check(struct check *check)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct master_table *table;
	struct fault fault;

	if (master_cf_load(tmp, check->conf, &table, &fault) == RC_OK) {
		settings_check(check, table);
		return;
	}
	tell(check, "error: %s", fault.text);
	check->problems++;
}

int instance_check(const struct conf *conf, bool repair, instance_say_fn *say,
		   void *arg)
{
	struct check check = {
		.conf = conf,
		.repair = repair,
		.say = say,
		.arg = arg,
	};

	if (!users_check(&check))
		return 1;
	directories_check(&check);
	foreign_check(&check);
	setgid_check(&check, "postdrop");
	setgid_check(&check, "postqueue");
	config_rights_check(&check);
	master_cf_check(&check);
	return check.problems;
}

enum rc instance_master_pid(const struct conf *conf, pid_t *ret_pid,
			    struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	const char *path =
		mem_printf(tmp, "%s/%s/master.pid", conf->v.queue_directory,
			   conf->v.process_id_directory);
	int fd = open(path, O_RDWR | O_CLOEXEC);
	char text[32] = { 0 };
	uint64_t pid;
	bool running;

	if (fd < 0 && errno == ENOENT)
		return RC_NONE;
	if (fd < 0)
		return fault_set(fault, RC_CONF, "4.3.0", "open %s: %m", path);
	running = flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
	if (running && read(fd, text, sizeof(text) - 1) <= 0)
		running = false;
	close(fd);
	if (!running)
		return RC_NONE;
	if (!span_to_u64(span_trim(span_from(text)), INT32_MAX, &pid) ||
	    pid == 0)
		return fault_set(fault, RC_CONF, "4.3.0",
				 "%s does not hold a process id", path);
	*ret_pid = (pid_t)pid;
	return RC_OK;
}
