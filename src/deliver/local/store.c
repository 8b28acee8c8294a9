/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "deliver/command.h"
#include "deliver/local/local.h"
#include "deliver/macro.h"
#include "deliver/user_work.h"
#include "sys/files.h"
#include "sys/log.h"

enum { ENV_MAX = 64 };

/* One mailbox or file, written in a child. */
struct storing {
	const char *path;
	struct mail_text text;
	const struct mailbox_rules *rules;
	const struct privilege_user *user;
	struct mbox *mbox; /* opened by the parent, or NULL */
};

static enum rc mbox_whole(void *arg, struct fault *fault)
{
	struct storing *s = arg;
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct mbox *mbox;

	if (mbox_open(tmp, s->path, s->user->uid, s->user->gid, s->rules, &mbox,
		      fault) != RC_OK ||
	    mbox_append(mbox, &s->text, s->rules, fault) != RC_OK)
		return fault->rc;
	return mbox_sync_name(mbox, fault);
}

static enum rc mbox_opened(void *arg, struct fault *fault)
{
	struct storing *s = arg;

	return mbox_append(s->mbox, &s->text, s->rules, fault);
}

static enum rc maildir_whole(void *arg, struct fault *fault)
{
	struct storing *s = arg;
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);

	return maildir_deliver(tmp, s->path, &s->text, fault);
}

static bool is_world_writable(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && (st.st_mode & S_IWOTH);
}

/* A spool directory where users may not make files: open and lock with our
 * rights, write with the user's. */
static enum rc spool_write(TALLOC_CTX *mem, struct storing *s,
			   struct fault *fault)
{
	enum rc rc;

	rc = mbox_open(mem, s->path, s->user->uid, (gid_t)-1, s->rules,
		       &s->mbox, fault);
	if (rc != RC_OK)
		return rc;
	rc = user_work(s->user, mbox_opened, s, fault);
	/* A child that was killed may have left a part. */
	if (rc != RC_OK && ftruncate(s->mbox->fd, s->mbox->size_bytes) != 0)
		log_warning("%s: cut back to %lld bytes: %m", s->path,
			    (long long)s->mbox->size_bytes);
	if (rc == RC_OK)
		rc = mbox_sync_name(s->mbox, fault);
	talloc_free(s->mbox);
	return rc;
}

static void mbox_store(struct job *job, const struct target *t,
		       struct storing *s, bool spool)
{
	struct fault fault;
	enum rc rc;

	if (delivery_is_probe(job->d)) {
		job_sent(job, t, "2.0.0", "delivers to mailbox");
		return;
	}
	s->text = job_text(
	    job, t, MAIL_TEXT_FROM | MAIL_TEXT_QUOTE | MAIL_TEXT_BLANK, NULL);
	if (spool && geteuid() == 0)
		rc = spool_write(job->mem, s, &fault);
	else
		rc = user_work(s->user, mbox_whole, s, &fault);
	if (rc == RC_OK) {
		job_sent(job, t, "2.0.0", "delivered to mailbox");
		return;
	}
	fault_add(&fault, "%s",
		  mem_printf(job->mem, "cannot update mailbox %s for user %s",
			     s->path, t->user));
	job_fault(job, t, &fault);
}

static void maildir_store(struct job *job, const struct target *t,
			  struct storing *s)
{
	struct fault fault;

	if (delivery_is_probe(job->d)) {
		job_sent(job, t, "2.0.0", "delivers to maildir");
		return;
	}
	s->text = job_text(job, t, 0, NULL);
	if (user_work(s->user, maildir_whole, s, &fault) == RC_OK) {
		job_sent(job, t, "2.0.0", "delivered to maildir");
		return;
	}
	log_warning("maildir access problem for UID/GID=%u/%u: %s",
		    (unsigned)s->user->uid, (unsigned)s->user->gid, fault.text);
	log_warning("perhaps you need to create the maildirs in advance");
	fault_add(&fault, "maildir delivery failed");
	job_fault(job, t, &fault);
}

static bool ends_in_slash(const char *path)
{
	return span_ends(span_from(path), "/");
}

void store_mailbox(struct job *job, const struct target *t,
		   const struct privilege_user *user)
{
	const struct conf_values *v = &job->local->conf->v;
	struct storing s = {.rules = &job->local->rules, .user = user};
	struct fault fault;
	struct stat st;

	if (strchr(t->user, '/') != NULL) {
		fault_set(&fault, RC_PERM, "5.2.0",
			  "the user name has a slash in it");
		job_fault(job, t, &fault);
		return;
	}
	if (v->require_home_directory && stat(user->home, &st) != 0) {
		fault_set(&fault, RC_TEMP, "4.3.0",
			  "cannot access home directory %s: %m", user->home);
		job_fault(job, t, &fault);
		return;
	}
	if (*v->home_mailbox != '\0') {
		s.path =
		    mem_printf(job->mem, "%s/%s", user->home, v->home_mailbox);
		if (ends_in_slash(s.path))
			maildir_store(job, t, &s);
		else
			mbox_store(job, t, &s, false);
		return;
	}
	if (ends_in_slash(v->mail_spool_directory)) {
		s.path = mem_printf(job->mem, "%s%s/", v->mail_spool_directory,
				    t->user);
		maildir_store(job, t, &s);
		return;
	}
	s.path =
	    mem_printf(job->mem, "%s/%s", v->mail_spool_directory, t->user);
	mbox_store(job, t, &s, !is_world_writable(v->mail_spool_directory));
}

/* root's files and commands are nobody's in particular: neither is ever
 * touched or run as root. */
static const struct privilege_user *runs_as(const struct job *job,
					    const struct privilege_user *user)
{
	return user != NULL && user->uid != 0 ? user : job->local->default_user;
}

void store_file(struct job *job, const struct target *t, const char *path,
		const struct privilege_user *user)
{
	struct mailbox_rules rules = job->local->rules;
	struct storing s = {.path = path, .rules = &rules};
	struct fault fault;
	const bool maildir = ends_in_slash(path);

	s.user = runs_as(job, user);
	rules.strict_owner = false;
	if (job_seen(job, "file", path))
		return;
	if (delivery_is_probe(job->d)) {
		job_sent(job, t, "2.0.0",
			 mem_printf(job->mem, "delivers to file: %s", path));
		return;
	}
	if (strcmp(path, "/dev/null") == 0) {
		job_sent(job, t, "2.0.0", "delivered to file: /dev/null");
		return;
	}
	if (maildir) {
		maildir_store(job, t, &s);
		return;
	}
	s.text = job_text(
	    job, t, MAIL_TEXT_FROM | MAIL_TEXT_QUOTE | MAIL_TEXT_BLANK, "file");
	if (user_work(s.user, mbox_whole, &s, &fault) == RC_OK) {
		job_sent(job, t, "2.0.0",
			 mem_printf(job->mem, "delivered to file: %s", path));
		return;
	}
	fault_add(&fault, "cannot append message to file %s", path);
	job_fault(job, t, &fault);
}

struct environment {
	TALLOC_CTX *mem;
	const char **entries;
	size_t count;
	const char *allowed; /* command_expansion_filter */
};

static void env_add(struct environment *env, const char *name,
		    const char *value)
{
	if (value != NULL && *value != '\0' && env->count + 1 < ENV_MAX)
		env->entries[env->count++] =
		    mem_printf(env->mem, "%s=%s", name, value);
}

/* What came with the mail: a shell may see it. */
static void env_add_clean(struct environment *env, const char *name,
			  const char *value)
{
	const char *const allowed = env->allowed;
	char *clean;

	if (value == NULL)
		return;
	clean = mem_strdup(env->mem, value);
	for (char *c = clean; *c != '\0'; c++)
		if (strchr(allowed, *c) == NULL)
			*c = '_';
	env_add(env, name, clean);
}

static void env_export(struct environment *env, const char *list)
{
	struct span rest = span_from(list), word;

	while (span_token(&rest, ", \t\r\n", &word)) {
		const char *name = mem_span_dup(env->mem, word);

		if (span_find(word, '=') > 0 && env->count + 1 < ENV_MAX)
			env->entries[env->count++] = name;
		else
			env_add(env, name, getenv(name));
	}
}

static const char *const *env_make(struct job *job, const struct target *t,
				   const struct privilege_user *user)
{
	const struct envelope *e = job->d->image->env;
	struct environment env = {
	    job->mem, mem_array(job->mem, const char *, ENV_MAX), 0,
	    job->local->conf->v.command_expansion_filter};

	env_add(&env, "PATH", "/usr/bin:/bin");
	env_add_clean(&env, "USER", user != NULL ? user->name : t->user);
	env_add_clean(&env, "LOGNAME", user != NULL ? user->name : t->user);
	env_add(&env, "HOME", user != NULL ? user->home : NULL);
	env_add(&env, "SHELL", user != NULL ? user->shell : NULL);
	env_add_clean(&env, "EXTENSION", t->extension);
	env_add_clean(&env, "DOMAIN", t->domain);
	env_add_clean(&env, "LOCAL", t->name);
	env_add_clean(&env, "RECIPIENT", t->address);
	env_add_clean(&env, "ORIGINAL_RECIPIENT", job->to->original);
	env_add_clean(&env, "SENDER", *t->sender ? t->sender : "MAILER-DAEMON");
	env_add_clean(&env, "ENVID", e->dsn_envid);
	env_add_clean(&env, "CLIENT_ADDRESS", e->client_address);
	env_add_clean(&env, "CLIENT_HELO", e->client_helo);
	env_add_clean(&env, "CLIENT_HOSTNAME", e->client_name);
	env_add_clean(&env, "CLIENT_PROTOCOL", e->client_proto);
	env_add_clean(&env, "SASL_METHOD", e->sasl_method);
	env_add_clean(&env, "SASL_SENDER", e->sasl_sender);
	env_add_clean(&env, "SASL_USERNAME", e->sasl_username);
	env_export(&env, job->local->conf->v.export_environment);
	return env.entries;
}

static enum rc directory_expand(struct job *job, const struct target *t,
				const struct privilege_user *user,
				char **ret_path, struct fault *fault)
{
	const struct conf_values *v = &job->local->conf->v;
	const struct macro_value values[] = {
	    {"user", t->user},
	    {"home", user != NULL ? user->home : NULL},
	    {"shell", user != NULL ? user->shell : NULL},
	    {"recipient", t->address},
	    {"domain", t->domain},
	    {"local", t->name},
	    {"extension", t->extension},
	    {"recipient_delimiter", t->delimiter},
	};

	return macro_expand(
	    job->mem, v->command_execution_directory, values, ARRAY_LEN(values),
	    v->execution_directory_expansion_filter, ret_path, fault);
}

void store_command(struct job *job, const struct target *t, const char *command,
		   const struct privilege_user *user)
{
	const struct conf_values *v = &job->local->conf->v;
	const struct mail_text text =
	    job_text(job, t, MAIL_TEXT_FROM, "command");
	struct command c = {
	    .argv = command_argv(job->mem, command, v->local_command_shell),
	    .shown = command,
	    .env = env_make(job, t, user),
	    .user = runs_as(job, user),
	    .time_limit_s = v->command_time_limit,
	};
	struct fault fault;
	char *directory = NULL;

	if (job_seen(
		job, "command",
		mem_printf(job->mem, "%u %s", (unsigned)c.user->uid, command)))
		return;
	if (directory_expand(job, t, user, &directory, &fault) != RC_OK) {
		job_fault(job, t, &fault);
		return;
	}
	c.directory = *directory != '\0' ? directory : NULL;
	if (delivery_is_probe(job->d))
		job_sent(
		    job, t, "2.0.0",
		    mem_printf(job->mem, "delivers to command: %s", command));
	else if (command_run(job->mem, &c, &text, NULL, &fault) == RC_OK)
		job_sent(
		    job, t, "2.0.0",
		    mem_printf(job->mem, "delivered to command: %s", command));
	else
		job_fault(job, t, &fault);
}
