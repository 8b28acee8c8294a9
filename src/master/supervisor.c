/* SPDX-License-Identifier: Apache-2.0 */
#include "master/supervisor.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "conf/log_setup.h"
#include "master/control.h"
#include "master/listener.h"
#include "master/slot.h"
#include "master/spawn.h"
#include "queue/wire.h"
#include "net/tls.h"
#include "sys/log.h"

enum {
	STOP_WAIT_MS = 5000,
	KILL_WAIT_MS = 2000,
	FIRST_BACKOFF_MS = 500,
	SHORT_LIFE_MS = 1000,
	POLL_MAX_MS = 60000,
};

enum stage { RUNNING, DRAINING, STOPPING, TERMINATING, KILLING, ENDED };

struct supervisor {
	struct conf *conf;
	struct master_table *table;
	struct slot *slots;
	struct process *processes; /* also those that drain */
	int log_fd;
	int secret_fd; /* memory for TLS ticket keys; -1: none */
	int signal_fd;
	enum stage stage;
	uint64_t stage_ends_ms; /* 0: no limit */
};

static void process_unlink(struct supervisor *sup, struct process *process)
{
	struct process **at = &sup->processes;

	while (*at != process)
		at = &(*at)->next;
	*at = process->next;
}

static uint64_t backoff_ms(const struct supervisor *sup, unsigned int failures)
{
	uint64_t limit =
		(uint64_t)sup->conf->v.service_throttle_time * 1000;
	uint64_t wait = FIRST_BACKOFF_MS;

	while (--failures > 0 && wait < limit)
		wait *= 2;
	return MIN_OF(wait, limit);
}

static void slot_failed(struct supervisor *sup, struct slot *slot)
{
	uint64_t wait;

	slot->failures++;
	wait = backoff_ms(sup, slot->failures);
	slot->start_at_ms = clock_mono_ms() + wait;
	if (slot->failures > 1)
		log_warning("%s: bad command startup -- throttling",
			    slot->entry->program);
}

static void slot_start(struct supervisor *sup, struct slot *slot)
{
	struct spawn_context context = { sup->conf, sup->log_fd,
					 sup->secret_fd };
	struct fault fault;
	char *path;

	if (slot_program_path(slot, sup->conf, sup->table->path, slot->entry,
			      &path, &fault) != RC_OK ||
	    spawn_service(sup, &context, slot, path, &fault) != RC_OK) {
		log_warning("%s", fault.text);
		slot_failed(sup, slot);
		return;
	}
	slot->process->next = sup->processes;
	sup->processes = slot->process;
	slot->used = true;
	if (slot->entry->wakeup_s > 0)
		slot->wakeup_at_ms = clock_mono_ms() +
				     (uint64_t)slot->entry->wakeup_s * 1000;
}

static void report_exit(const struct process *process, int status)
{
	if (WIFSIGNALED(status))
		log_warning("process %s pid %d killed by signal %d",
			    process->command, (int)process->pid,
			    WTERMSIG(status));
	else if (WEXITSTATUS(status) != 0)
		log_warning("process %s pid %d exit status %d",
			    process->command, (int)process->pid,
			    WEXITSTATUS(status));
}

static void process_ended(struct supervisor *sup, struct process *process,
			  int status)
{
	struct slot *slot = process->slot;
	bool failed = status != 0;
	bool short_life =
		clock_mono_ms() - process->started_ms < SHORT_LIFE_MS;

	if (sup->stage < STOPPING)
		report_exit(process, status);
	process_unlink(sup, process);
	if (slot != NULL) {
		slot->process = NULL;
		if (failed && (!process->ready || short_life))
			slot_failed(sup, slot);
		else
			slot->failures = 0;
	}
	talloc_free(process);
}

static void reap(struct supervisor *sup)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		struct process *process = sup->processes;

		while (process != NULL && process->pid != pid)
			process = process->next;
		if (process != NULL)
			process_ended(sup, process, status);
	}
}

static void drain_process(struct process *process, bool whole_system)
{
	control_drain(process, whole_system);
	if (process->control_fd >= 0)
		close(process->control_fd);
	process->control_fd = -1;
	if (process->slot != NULL)
		process->slot->process = NULL;
	process->slot = NULL;
}

/* Take what it says. One that a successor could do better than, because a table
 * has changed that only root may read, makes room for it. */
static void process_hear(const struct supervisor *sup, struct process *process)
{
	struct slot *slot = process->slot;

	control_receive(process);
	if (!process->wants_renewal || slot == NULL || sup->stage != RUNNING)
		return;
	log_info("service %s: a table has changed that a new process must "
		 "read; the old one finishes what it has begun",
		 slot->entry->name);
	drain_process(process, false);
}

static void drain_all(struct supervisor *sup)
{
	for (struct process *p = sup->processes; p != NULL; p = p->next)
		if (p->slot != NULL)
			drain_process(p, true);
	for (struct slot *slot = sup->slots; slot != NULL; slot = slot->next) {
		for (size_t i = 0; i < slot->listen_count; i++)
			close(slot->listen_fds[i]);
		slot->listen_count = 0;
	}
}

static void signal_all(const struct supervisor *sup, int number)
{
	for (struct process *p = sup->processes; p != NULL; p = p->next)
		kill(p->pid, number);
}

static void stage_enter(struct supervisor *sup, enum stage stage,
			uint64_t limit_ms)
{
	if (stage <= sup->stage)
		return;
	if (sup->stage == RUNNING)
		drain_all(sup);
	if (stage == TERMINATING)
		signal_all(sup, SIGTERM);
	if (stage == KILLING)
		signal_all(sup, SIGKILL);
	sup->stage = stage;
	sup->stage_ends_ms = limit_ms == 0 ? 0 : clock_mono_ms() + limit_ms;
}

static void stage_advance(struct supervisor *sup)
{
	if (sup->stage != RUNNING && sup->processes == NULL)
		sup->stage = ENDED;
	if (sup->stage_ends_ms == 0 || clock_mono_ms() < sup->stage_ends_ms)
		return;
	if (sup->stage == STOPPING)
		stage_enter(sup, TERMINATING, KILL_WAIT_MS);
	else if (sup->stage == TERMINATING)
		stage_enter(sup, KILLING, 0);
}

/* Slots of a table; lines whose work is done elsewhere get none. The sockets of
 * a line that was there before are taken over. */
static enum rc slots_open(struct supervisor *sup, TALLOC_CTX *mem,
			  const struct conf *conf,
			  const struct master_table *table,
			  struct slot **ret_slots, struct fault *fault)
{
	struct slot *slots = NULL;

	for (size_t i = 0; i < table->count; i++) {
		const struct master_entry *entry = &table->entries[i];
		struct slot *slot, *old = sup->slots;

		if (slot_entry_is_idle(entry))
			continue;
		slot = slot_new(mem, entry);
		slot->listen_text = listener_text(slot, conf, entry);
		while (old != NULL &&
		       !span_is(span_from(old->key), slot->key))
			old = old->next;
		if (old != NULL &&
		    span_is(span_from(old->listen_text), slot->listen_text)) {
			if (listener_share(slot, old, fault) != RC_OK)
				return fault->rc;
		} else if (listener_open(conf, table->path, slot, fault) !=
			   RC_OK) {
			return fault->rc;
		}
		slot->next = slots;
		slots = slot;
	}
	*ret_slots = slots;
	return RC_OK;
}

/* Without its program an inet line would answer nobody: refuse. A transport
 * that nobody may ever use only gets a line in the log. */
static enum rc programs_check(const struct conf *conf,
			      const struct master_table *table,
			      struct slot *slots, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	char *path;

	for (struct slot *slot = slots; slot != NULL; slot = slot->next) {
		if (slot_program_path(tmp, conf, table->path, slot->entry,
				      &path, fault) == RC_OK)
			continue;
		if (slot->eager)
			return fault->rc;
		log_warning("%s; mail for this transport will wait",
			    fault->text);
	}
	return RC_OK;
}

static enum rc table_open(struct supervisor *sup, struct conf *conf,
			  struct master_table **ret_table,
			  struct slot **ret_slots, struct fault *fault)
{
	struct master_table *table;
	struct slot *slots = NULL;

	if (master_cf_load(sup, conf, &table, fault) != RC_OK)
		return fault->rc;
	if (slots_open(sup, table, conf, table, &slots, fault) != RC_OK ||
	    programs_check(conf, table, slots, fault) != RC_OK) {
		talloc_free(table);
		return fault->rc;
	}
	*ret_table = table;
	*ret_slots = slots;
	return RC_OK;
}

/* qmgr takes a new configuration in place, for its memory of the queue is worth
 * keeping; every other service drains, and its successor reads it. */
static void slot_hand_over(struct slot *slots, struct process *process)
{
	struct slot *old = process->slot, *slot = slots;

	while (slot != NULL && !span_is(span_from(slot->key), old->key))
		slot = slot->next;
	if (slot == NULL ||
	    !span_is(span_from(slot->entry->program), "qmgr")) {
		drain_process(process, false);
		return;
	}
	slot->process = process;
	slot->wakeup_at_ms = old->wakeup_at_ms;
	process->slot = slot;
	control_send(process, CONTROL_RELOAD, -1);
}

static void log_reopen(struct supervisor *sup, const struct conf *conf)
{
	struct fault fault;
	int fd = -1;

	if (log_file_open(conf, &fd, &fault) == RC_CONF) {
		log_warning("%s; the log stays as it is", fault.text);
		return;
	}
	if (sup->log_fd >= 0)
		close(sup->log_fd);
	sup->log_fd = fd;
	log_setup(conf, "master", fd);
	for (struct process *p = sup->processes; p != NULL; p = p->next)
		if (fd >= 0)
			control_send(p, CONTROL_LOG, fd);
}

static void settings_warn(const struct conf *conf,
			  const struct master_table *table)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	const char *const *list;
	size_t count;

	conf_warnings(tmp, conf, table, &list, &count);
	for (size_t i = 0; i < count; i++)
		log_warning("%s", list[i]);
}

static void reload(struct supervisor *sup)
{
	struct conf_source source = { .process_name = "master",
				      .service_name = "master",
				      .config_directory =
					      sup->conf->config_directory };
	struct master_table *table;
	struct slot *slots = NULL;
	struct fault fault;
	struct conf *conf;

	if (conf_load(&source, &conf, &fault) != RC_OK) {
		log_error("reload refused, the old configuration goes on: %s",
			  fault.text);
		return;
	}
	if (table_open(sup, conf, &table, &slots, &fault) != RC_OK) {
		log_error("reload refused, the old configuration goes on: %s",
			  fault.text);
		conf_unref(conf);
		return;
	}
	log_reopen(sup, conf);
	log_info("reload -- version %s, configuration %s", POSTERN_VERSION,
		 conf->config_directory);
	settings_warn(conf, table);
	for (struct process *p = sup->processes; p != NULL; p = p->next)
		if (p->slot != NULL)
			slot_hand_over(slots, p);
	talloc_free(sup->table);
	conf_unref(sup->conf);
	sup->table = table;
	sup->slots = slots;
	sup->conf = conf;
}

static void take_signals(struct supervisor *sup)
{
	struct signalfd_siginfo info;

	while (read(sup->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		switch (info.ssi_signo) {
		case SIGTERM:
		case SIGINT:
			log_info("terminating on signal %u", info.ssi_signo);
			stage_enter(sup, STOPPING, STOP_WAIT_MS);
			break;
		case SIGUSR1:
			log_info("draining: services finish what they began");
			stage_enter(sup, DRAINING, 0);
			break;
		case SIGQUIT:
			log_info("terminating on signal %u", info.ssi_signo);
			stage_enter(sup, TERMINATING, KILL_WAIT_MS / 4);
			break;
		case SIGHUP:
			if (sup->stage == RUNNING)
				reload(sup);
			break;
		case SIGUSR2:
			log_reopen(sup, sup->conf);
			break;
		default:
			break;
		}
	}
}

static void slot_tick(struct supervisor *sup, struct slot *slot, uint64_t now)
{
	if (slot->process == NULL && slot->eager && now >= slot->start_at_ms)
		slot_start(sup, slot);
	if (slot->wakeup_at_ms == 0 || now < slot->wakeup_at_ms)
		return;
	slot->wakeup_at_ms = now + (uint64_t)slot->entry->wakeup_s * 1000;
	if (slot->process != NULL)
		control_send(slot->process, CONTROL_WAKEUP, -1);
}

static int slot_wait_ms(const struct slot *slot, uint64_t now, int wait)
{
	if (slot->process == NULL && slot->start_at_ms > now)
		wait = (int)MIN_OF((uint64_t)wait, slot->start_at_ms - now);
	if (slot->wakeup_at_ms > now)
		wait = (int)MIN_OF((uint64_t)wait, slot->wakeup_at_ms - now);
	return wait;
}

/* What one turn of the loop waits for. */
struct watch {
	struct pollfd *fds;
	struct slot **slots; /* beside fds: whose listening socket, or NULL */
	struct process **processes;
	size_t count;
};

static void watch_add(struct watch *watch, int fd, struct slot *slot,
		      struct process *process)
{
	watch->fds = mem_resize(watch->slots, watch->fds, struct pollfd,
				watch->count + 1);
	watch->slots[watch->count] = slot;
	watch->processes[watch->count] = process;
	watch->fds[watch->count++] = (struct pollfd){ fd, POLLIN, 0 };
}

static int watch_fill(struct supervisor *sup, struct watch *watch)
{
	uint64_t now = clock_mono_ms();
	int wait = POLL_MAX_MS;

	watch_add(watch, sup->signal_fd, NULL, NULL);
	for (struct process *p = sup->processes; p != NULL; p = p->next)
		if (p->control_fd >= 0)
			watch_add(watch, p->control_fd, NULL, p);
	if (sup->stage_ends_ms > now)
		wait = (int)(sup->stage_ends_ms - now);
	if (sup->stage != RUNNING)
		return wait;
	for (struct slot *slot = sup->slots; slot != NULL; slot = slot->next) {
		wait = slot_wait_ms(slot, now, wait);
		if (slot->process != NULL || slot->start_at_ms > now)
			continue;
		for (size_t i = 0; i < slot->listen_count; i++)
			watch_add(watch, slot->listen_fds[i], slot, NULL);
	}
	return wait;
}

static size_t watch_size(const struct supervisor *sup)
{
	size_t size = 1;

	for (struct process *p = sup->processes; p != NULL; p = p->next)
		size++;
	for (struct slot *slot = sup->slots; slot != NULL; slot = slot->next)
		size += slot->listen_count;
	return size;
}

static void turn(struct supervisor *sup)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	size_t size = watch_size(sup);
	struct watch watch = {
		.slots = mem_array(tmp, struct slot *, size),
		.processes = mem_array(tmp, struct process *, size),
	};
	int wait = watch_fill(sup, &watch);
	int ready = poll(watch.fds, watch.count, wait);

	if (ready < 0 && errno != EINTR)
		log_fatal("poll: %m");
	for (size_t i = 0; ready > 0 && i < watch.count; i++) {
		if (watch.fds[i].revents == 0)
			continue;
		if (watch.processes[i] != NULL)
			process_hear(sup, watch.processes[i]);
		else if (watch.slots[i] != NULL &&
			 watch.slots[i]->process == NULL &&
			 sup->stage == RUNNING)
			slot_start(sup, watch.slots[i]);
	}
}

static int signals_open(void)
{
	static const int numbers[] = { SIGTERM, SIGINT,	 SIGQUIT, SIGHUP,
				       SIGUSR1, SIGUSR2, SIGCHLD };
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		sigaddset(&set, numbers[i]);
	sigprocmask(SIG_SETMASK, &set, NULL);
	return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

enum rc supervisor_open(TALLOC_CTX *mem, struct conf *conf, int log_fd,
			struct supervisor **ret_supervisor,
			struct fault *fault)
{
	struct supervisor *sup = mem_new(mem, struct supervisor);

	sup->conf = conf_ref(conf);
	sup->log_fd = log_fd;
	/* Without it each server has keys of its own. */
	if (tls_tickets_create(&sup->secret_fd, fault) != RC_OK) {
		log_warning("%s", fault->text);
		sup->secret_fd = -1;
	}
	if (table_open(sup, conf, &sup->table, &sup->slots, fault) != RC_OK) {
		conf_unref(conf);
		talloc_free(sup);
		return fault->rc;
	}
	sup->signal_fd = signals_open();
	if (sup->signal_fd < 0)
		log_fatal("signalfd: %m");
	*ret_supervisor = sup;
	return RC_OK;
}

void supervisor_run(struct supervisor *sup)
{
	while (sup->stage != ENDED) {
		uint64_t now = clock_mono_ms();

		if (sup->stage == RUNNING)
			for (struct slot *s = sup->slots; s != NULL;
			     s = s->next)
				slot_tick(sup, s, now);
		turn(sup);
		take_signals(sup);
		reap(sup);
		stage_advance(sup);
	}
}
