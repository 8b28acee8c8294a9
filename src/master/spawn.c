/* SPDX-License-Identifier: Apache-2.0 */
#include "master/spawn.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "sys/child.h"
#include "sys/socket_unix.h"

enum { ENVIRONMENT_MAX = 100 };

static const char default_path[] = "/usr/bin:/usr/sbin:/bin:/sbin";

/* What every service is told, then the arguments of the line as they are: what
 * follows argv= of pipe(8) is another program's. */
static char **spawn_arguments(TALLOC_CTX *mem, const struct slot *slot,
			      const char *path)
{
	const struct master_entry *entry = slot->entry;
	char **argv = mem_array(mem, char *, entry->argc +
					     2 * entry->override_count + 16);
	size_t n = 0;

	argv[n++] = mem_strdup(argv, path);
	for (size_t i = 0; i < entry->override_count; i++) {
		argv[n++] = mem_strdup(argv, "-o");
		argv[n++] = mem_strdup(argv, entry->overrides[i]);
	}
	argv[n++] = mem_strdup(argv, "-n");
	argv[n++] = mem_strdup(argv, entry->name);
	argv[n++] = mem_strdup(argv, "-t");
	argv[n++] = mem_strdup(argv, service_type_name(entry->type));
	argv[n++] = mem_strdup(argv, "-s");
	argv[n++] = mem_printf(argv, "%zu", slot->listen_count);
	argv[n++] = mem_strdup(argv, "-l");
	argv[n++] = mem_printf(argv, "%d", entry->max_processes);
	if (entry->unprivileged)
		argv[n++] = mem_strdup(argv, "-u");
	if (entry->chroot)
		argv[n++] = mem_strdup(argv, "-c");
	for (size_t i = 0; i < entry->argc; i++)
		argv[n++] = mem_strdup(argv, entry->argv[i]);
	return argv;
}

/* import_environment: NAME keeps the value, NAME=value sets it. */
static char **spawn_environment(TALLOC_CTX *mem, const struct conf *conf)
{
	struct span rest = span_from(conf->v.import_environment), word;
	char **env = mem_array(mem, char *, ENVIRONMENT_MAX + 3);
	size_t n = 0;

	while (n < ENVIRONMENT_MAX && span_token(&rest, ", \t\r\n", &word)) {
		char *text = mem_span_dup(env, word);
		const char *value;

		if (span_find(word, '=') >= 0) {
			env[n++] = text;
			continue;
		}
		value = getenv(text);
		if (value != NULL)
			env[n++] = mem_printf(env, "%s=%s", text, value);
	}
	env[n++] = mem_printf(env, "MAIL_CONFIG=%s", conf->config_directory);
	env[n++] = mem_printf(env, "PATH=%s", default_path);
	return env;
}

/* The layout that conf/service.h promises; what a service prints on standard
 * output and error goes to the log file. */
static struct child_file *spawn_files(TALLOC_CTX *mem, const struct slot *slot,
				      const struct spawn_context *context,
				      int control_fd, size_t *ret_count)
{
	struct child_file *files =
		mem_array(mem, struct child_file, slot->listen_count + 5);
	const int log_fd = context->log_fd;
	size_t n = 0;

	files[n++] = (struct child_file){ log_fd, STDOUT_FILENO };
	files[n++] = (struct child_file){ log_fd, STDERR_FILENO };
	files[n++] = (struct child_file){ control_fd, SERVICE_CONTROL_FD };
	files[n++] = (struct child_file){ log_fd, SERVICE_LOG_FD };
	for (size_t i = 0; i < slot->listen_count; i++)
		files[n++] = (struct child_file){ slot->listen_fds[i],
						  SERVICE_LISTEN_FD + (int)i };
	if (slot->entry->type == SERVICE_INET && context->secret_fd >= 0)
		files[n++] = (struct child_file){
			context->secret_fd,
			SERVICE_LISTEN_FD + (int)slot->listen_count
		};
	*ret_count = n;
	return files;
}

static int process_close(struct process *process)
{
	if (process->control_fd >= 0)
		close(process->control_fd);
	return 0;
}

enum rc spawn_service(TALLOC_CTX *mem, const struct spawn_context *context,
		      struct slot *slot, const char *path, struct fault *fault)
{
	struct process *process = mem_new(mem, struct process);
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct child_spec spec = { .path = path };
	int pair[2];
	enum rc rc;

	if (socket_unix_pair(SOCK_SEQPACKET, 0, pair, fault) != RC_OK) {
		talloc_free(process);
		return fault->rc;
	}
	process->control_fd = pair[0];
	talloc_set_destructor(process, process_close);
	spec.argv = (const char *const *)spawn_arguments(tmp, slot, path);
	spec.env = (const char *const *)spawn_environment(tmp, context->conf);
	spec.files = spawn_files(tmp, slot, context, pair[1], &spec.file_count);
	rc = child_start(&spec, &process->pid, fault);
	close(pair[1]);
	if (rc != RC_OK) {
		talloc_free(process);
		return rc;
	}
	process->command = mem_strdup(process, path);
	process->slot = slot;
	process->started_ms = clock_mono_ms();
	slot->process = process;
	return RC_OK;
}
