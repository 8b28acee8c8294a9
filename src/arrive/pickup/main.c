/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pickup service: told by the kernel (inotify) of each file that postdrop
 * closes, by postdrop or master of a reason to look, and by its own timer to
 * try again what failed.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "arrive/pickup/pickup.h"
#include "queue/control.h"
#include "sys/log.h"
#include "sys/packet.h"
#include "sys/poller.h"
#include "sys/socket_unix.h"

enum {
	RETRY_MS = 10 * 1000,
	QMGR_CHECK_MS = 1000,
	FILES_PER_ROUND = 50,
	COMMIT_TIMEOUT_MS = 5000,
	MEMORY_BUDGET_BYTES = 16 * 1024 * 1024,
	EVENTS_BYTES = 16 * 1024,
};

struct daemon {
	struct pickup *pickup;
	struct service *service;
	struct poller *poller;
	struct intake *intake;
	int inotify_fd;
	DIR *scan; /* under way */
	bool scan_again, later;
	struct poller_timer scan_timer, retry_timer, qmgr_timer;
};

static void fatal_if(enum rc rc, const struct fault *fault)
{
	if (rc != RC_OK)
		log_fatal("%s", fault->text);
}

static void file_try(struct daemon *d, const char *name)
{
	if (pickup_file(d->pickup, name) != PICKUP_LATER)
		return;
	d->later = true;
	if (!poller_timer_is_set(&d->retry_timer))
		poller_timer_set(d->poller, &d->retry_timer,
				 poller_now_ms(d->poller) + RETRY_MS);
}

/* Look through the whole maildrop, some files a round. */
static void scan_start(struct daemon *d)
{
	if (d->scan != NULL) {
		d->scan_again = true;
		return;
	}
	poller_timer_set(d->poller, &d->scan_timer, poller_now_ms(d->poller));
}

static bool scan_open(struct daemon *d)
{
	int fd = openat(d->pickup->maildrop_fd, ".",
			O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	d->scan = fd < 0 ? NULL : fdopendir(fd);
	if (d->scan != NULL)
		return true;
	log_warning("open directory maildrop: %m");
	if (fd >= 0)
		close(fd);
	return false;
}

static void scan_continue(void *arg)
{
	struct daemon *d = arg;

	if (d->scan == NULL && !scan_open(d))
		return;
	for (int i = 0; i < FILES_PER_ROUND; i++) {
		const struct dirent *entry = readdir(d->scan);

		if (entry == NULL) {
			closedir(d->scan);
			d->scan = NULL;
			if (d->scan_again)
				scan_start(d);
			d->scan_again = false;
			return;
		}
		if (entry->d_name[0] != '.')
			file_try(d, entry->d_name);
	}
	poller_timer_set(d->poller, &d->scan_timer, poller_now_ms(d->poller));
}

static void retry_due(void *arg)
{
	struct daemon *d = arg;

	d->later = false;
	scan_start(d);
}

static void event_take(struct daemon *d, const struct inotify_event *event)
{
	if (event->mask & IN_Q_OVERFLOW)
		scan_start(d);
	else if (event->len > 0 && event->name[0] != '.')
		file_try(d, event->name);
}

static void events_ready(void *arg, int fd, uint32_t events)
{
	struct daemon *d = arg;
	_Alignas(struct inotify_event) char bytes[EVENTS_BYTES];
	ssize_t len = read(fd, bytes, sizeof(bytes));

	for (ssize_t at = 0; at < len;) {
		struct inotify_event event;

		memcpy(&event, bytes + at, sizeof(event));
		event_take(d, (const struct inotify_event *)(bytes + at));
		at += (ssize_t)(sizeof(event) + event.len);
	}
}

static void trigger_ready(void *arg, int fd, uint32_t events)
{
	struct daemon *d = arg;
	struct fault fault;
	int peer;

	while (socket_unix_accept(fd, 0, &peer, &fault) == RC_OK)
		close(peer);
	if (d->inotify_fd < 0)
		scan_start(d);
}

static void control_ready(void *arg, int fd, uint32_t events)
{
	struct daemon *d = arg;

	switch (control_receive(d->service)) {
	case ORDER_DRAIN:
	case ORDER_END:
	case ORDER_RELOAD: /* a new configuration is a new process */
	case ORDER_MASTER_GONE:
		poller_stop(d->poller);
		break;
	case ORDER_WAKEUP:
		scan_start(d);
		break;
	case ORDER_NONE:
		break;
	}
}

static void qmgr_check(void *arg)
{
	struct daemon *d = arg;

	intake_qmgr_check(d->intake);
	poller_timer_set(d->poller, &d->qmgr_timer,
			 poller_now_ms(d->poller) + QMGR_CHECK_MS);
}

static void watch(struct daemon *d, int fd, poller_ready_fn *ready)
{
	struct poller_watch *unused;
	struct fault fault;

	fatal_if(poller_watch(d->poller, d->poller, fd, EPOLLIN, ready, d,
			      &unused, &fault),
		 &fault);
}

static void maildrop_watch(struct daemon *d)
{
	d->inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (d->inotify_fd >= 0 &&
	    inotify_add_watch(d->inotify_fd, "maildrop",
			      IN_CLOSE_WRITE | IN_MOVED_TO) < 0) {
		close(d->inotify_fd);
		d->inotify_fd = -1;
	}
	if (d->inotify_fd < 0)
		log_warning("watch maildrop: %m; looking when told to");
	else
		watch(d, d->inotify_fd, events_ready);
}

static void loop_open(struct daemon *d)
{
	struct fault fault;

	fatal_if(poller_open(d, &d->poller, &fault), &fault);
	d->scan_timer = (struct poller_timer){ scan_continue, d, 0, 0 };
	d->retry_timer = (struct poller_timer){ retry_due, d, 0, 0 };
	d->qmgr_timer = (struct poller_timer){ qmgr_check, d, 0, 0 };
	watch(d, d->service->control_fd, control_ready);
	for (int i = 0; i < d->service->listen_count; i++)
		watch(d, SERVICE_LISTEN_FD + i, trigger_ready);
	maildrop_watch(d);
	qmgr_check(d);
	scan_start(d);
}

static int directory_open(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		log_fatal("open directory %s: %m; `postern check` makes it",
			  path);
	return fd;
}

static void queue_open(struct daemon *d)
{
	const struct conf_values *v = &d->service->conf->v;
	const struct intake_config config = {
		.queue_directory = ".",
		.writer = "pickup",
		.qmgr_socket = "public/qmgr",
		.memory_budget_bytes = MEMORY_BUDGET_BYTES,
		.min_free_bytes = (uint64_t)v->queue_minfree,
		.long_queue_ids = v->enable_long_queue_ids,
		.commit_timeout_ms = COMMIT_TIMEOUT_MS,
	};
	struct pickup *p = mem_new(d, struct pickup);
	struct fault fault;

	p->conf = d->service->conf;
	p->maildrop_fd = directory_open("maildrop");
	p->corrupt_fd = directory_open("corrupt");
	fatal_if(intake_open(d, &config, &d->intake, &fault), &fault);
	fatal_if(cleanup_service_open(p, p->conf, d->intake, &p->cleanup,
				      &fault),
		 &fault);
	d->pickup = p;
}

int main(int argc, char **argv)
{
	TALLOC_CTX *mem = talloc_new(NULL);
	struct daemon *d = mem_new(mem, struct daemon);
	struct fault fault;

	d->service = service_start(d, argc, argv);
	fatal_if(service_confine(d->service, &fault), &fault);
	queue_open(d);
	loop_open(d);
	control_say_ready(d->service);
	fatal_if(poller_run(d->poller, &fault), &fault);
	if (d->scan != NULL)
		closedir(d->scan);
	conf_unref(d->service->conf);
	talloc_free(mem);
	return 0;
}
