/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/agent.h"

#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "queue/control.h"
#include "sys/log.h"

enum {
	CAPACITY_DEFAULT = 100,
	THREAD_STACK_BYTES = 1024 * 1024,
	IDLE_THREAD_S = 60,
	TICK_MS = 1000,
	RESULT_BYTES = 48 * 1024, /* begin another packet beyond */
	KEEP_FREE_BYTES = 4 * 1024 * 1024,
};

struct agent {
	struct service *service;
	struct conf *conf;
	struct agent_work work;
	struct maps *status_filter;
	int capacity;
	int wake_fd;
	atomic_bool ticking;
	pthread_mutex_t lock; /* links, threads */
	pthread_cond_t all_ended;
	struct agent_link *links;
	int threads;
};

/* One connection of qmgr. */
struct agent_link {
	struct agent *agent;
	struct agent_link *next;
	int fd;
	atomic_int idle, threads;
};

static bool worker_start(struct agent_link *link);

static void result_send(struct agent_link *link, struct packet_out *out,
			struct delivery *d)
{
	struct fault fault;

	if (packet_send(link->fd, out, &fault) != RC_OK)
		log_warning("%s: report to the queue manager: %s",
			    d->request->queue_id, fault.text);
}

/* Fills `out` with statuses from *at on; count is sent before them, so they
 * are counted first. */
static size_t result_count(const struct delivery *d, size_t at)
{
	size_t bytes = 0, count = 0;

	for (; at < d->request->recipient_count && bytes < RESULT_BYTES; at++) {
		const struct delivery_status *s = &d->statuses[at];

		if (d->settled[at] != DELIVERY_SETTLED)
			continue;
		bytes += 128 + strlen(s->reason) + strlen(s->diag_text);
		count++;
	}
	return count;
}

/* By way of what each recipient went, for a report to the sender. */
static void relays_send(struct agent_link *link, struct delivery *d)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(d);
	const struct delivery_request *request = d->request;
	uint32_t count = 0;
	struct packet_out out;

	for (size_t i = 0; i < request->recipient_count; i++)
		count += d->settled[i] == DELIVERY_SETTLED &&
			 d->relays[i] != NULL;
	packet_begin(&out, tmp, WIRE_RESULT_RELAY);
	packet_put_u64(&out, request->id);
	packet_put_u32(&out, count);
	for (size_t i = 0; i < request->recipient_count; i++) {
		if (d->settled[i] != DELIVERY_SETTLED || d->relays[i] == NULL)
			continue;
		packet_put_u32(&out, request->recipient_index[i]);
		packet_put_text(&out, d->relays[i]);
	}
	if (count > 0)
		result_send(link, &out, d);
}

static void link_report(void *arg, struct delivery *d, bool done)
{
	struct agent_link *link = arg;
	size_t at = 0, left = 0;

	for (size_t i = 0; i < d->request->recipient_count; i++)
		left += d->settled[i] == DELIVERY_SETTLED;
	if (left == 0 && !done)
		return;
	if (d->relays != NULL)
		relays_send(link, d);
	do {
		SCRATCH TALLOC_CTX *tmp = talloc_new(d);
		size_t count = result_count(d, at);
		struct packet_out out;

		left -= count;
		packet_begin(&out, tmp, WIRE_RESULT);
		packet_put_u64(&out, d->request->id);
		packet_put_u32(&out, done && left == 0);
		packet_put_u32(&out, (uint32_t)count);
		for (; count > 0; at++) {
			if (d->settled[at] != DELIVERY_SETTLED)
				continue;
			delivery_status_put(&out, &d->statuses[at]);
			count--;
		}
		if (done && left == 0 && d->site.rc != RC_OK) {
			packet_put_text(&out, d->site.dsn);
			packet_put_text(&out, d->site.text);
		}
		result_send(link, &out, d);
	} while (left > 0);
}

static void request_work(struct agent_link *link,
			 struct delivery_request *request)
{
	struct agent *agent = link->agent;
	struct delivery *d;
	struct fault fault;
	enum rc rc = delivery_open(agent->conf, request, &d, &fault);

	d->report = link_report;
	d->report_arg = link;
	if (rc == RC_OK) {
		d->status_filter = agent->status_filter;
		agent->work.deliver(agent->work.arg, d);
	} else {
		/* Damaged or gone: the operator must look, nothing bounces. */
		const struct outcome out = {.action = DELIVERY_DEFERRED,
					    .dsn = "4.3.0",
					    .text = fault.text};

		log_error("%s", fault.text);
		delivery_settle_open(d, &out);
	}
	if (d->open_count > 0) {
		const struct outcome out = {
		    .action = DELIVERY_DEFERRED,
		    .dsn = "4.3.0",
		    .text = "delivery was not completed",
		};

		delivery_settle_open(d, &out);
	}
	delivery_report(d, true);
	talloc_free(d);
}

static enum rc request_receive(struct agent_link *link)
{
	TALLOC_CTX *mem = talloc_new(NULL);
	struct delivery_request *request = NULL;
	struct packet_in in;
	struct fault fault;
	enum rc rc = packet_receive(mem, link->fd, &in, &fault);

	if (atomic_fetch_sub(&link->idle, 1) == 1 && rc == RC_OK &&
	    atomic_load(&link->threads) < link->agent->capacity)
		worker_start(link);
	if (rc == RC_OK && in.type == WIRE_DELIVER &&
	    delivery_request_take(NULL, &in, &request, &fault) != RC_OK)
		request = NULL;
	if (rc == RC_OK && request == NULL) {
		log_warning("request of the queue manager: not understood");
		shutdown(link->fd, SHUT_RDWR);
	} else if (rc == RC_TEMP) {
		log_warning("request of the queue manager: %s", fault.text);
	}
	talloc_free(mem);
	if (request != NULL)
		request_work(link, request);
	return rc;
}

static void link_forget(struct agent_link *link)
{
	struct agent *agent = link->agent;
	struct agent_link **at = &agent->links;

	while (*at != link)
		at = &(*at)->next;
	*at = link->next;
	close(link->fd);
	talloc_free(link);
}

static void worker_end(struct agent_link *link)
{
	struct agent *agent = link->agent;

	pthread_mutex_lock(&agent->lock);
	agent->threads--;
	if (atomic_fetch_sub(&link->threads, 1) == 1)
		link_forget(link);
	if (agent->threads == 0)
		pthread_cond_signal(&agent->all_ended);
	pthread_mutex_unlock(&agent->lock);
}

static void *worker_run(void *arg)
{
	struct agent_link *link = arg;
	enum rc rc;

	do {
		rc = request_receive(link);
		/* A minute without work: one thread stays. */
		if (rc == RC_NONE && atomic_load(&link->idle) > 0)
			break;
		if (rc != RC_PERM)
			atomic_fetch_add(&link->idle, 1);
	} while (rc != RC_PERM);
	worker_end(link);
	return NULL;
}

static bool worker_start(struct agent_link *link)
{
	struct agent *agent = link->agent;
	pthread_attr_t attr;
	pthread_t thread;
	int error;

	pthread_mutex_lock(&agent->lock);
	agent->threads++;
	pthread_mutex_unlock(&agent->lock);
	atomic_fetch_add(&link->threads, 1);
	atomic_fetch_add(&link->idle, 1);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, THREAD_STACK_BYTES);
	error = pthread_create(&thread, &attr, worker_run, link);
	pthread_attr_destroy(&attr);
	if (error == 0)
		return true;
	errno = error;
	log_warning("start a delivery thread: %m");
	atomic_fetch_sub(&link->idle, 1);
	worker_end(link);
	return false;
}

static bool hello_send(struct agent *agent, int fd)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct packet_out out;
	struct fault fault;

	packet_begin(&out, tmp, WIRE_AGENT_HELLO);
	packet_put_u32(&out, (uint32_t)agent->capacity);
	return packet_send(fd, &out, &fault) == RC_OK;
}

static void link_accept(struct agent *agent, int listen_fd)
{
	const struct timeval idle = {.tv_sec = IDLE_THREAD_S};
	struct agent_link *link;
	int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &idle, sizeof(idle));
	if (!hello_send(agent, fd)) {
		close(fd);
		return;
	}
	link = mem_new(NULL, struct agent_link);
	link->agent = agent;
	link->fd = fd;
	pthread_mutex_lock(&agent->lock);
	link->next = agent->links;
	agent->links = link;
	pthread_mutex_unlock(&agent->lock);
	worker_start(link);
}

static bool agent_goes_on(struct agent *agent)
{
	const enum control_order order = control_receive(agent->service);

	return order == ORDER_NONE || order == ORDER_WAKEUP;
}

static void agent_loop(struct agent *agent)
{
	const int count = agent->service->listen_count;
	struct pollfd fds[2 + SERVICE_LISTEN_MAX] = {
	    {.fd = agent->service->control_fd, .events = POLLIN},
	    {.fd = agent->wake_fd, .events = POLLIN},
	};

	for (int i = 0; i < count; i++)
		fds[2 + i] = (struct pollfd){.fd = SERVICE_LISTEN_FD + i,
					     .events = POLLIN};
	for (;;) {
		const bool ticking = atomic_load(&agent->ticking);
		eventfd_t ignored;
		int ready =
		    poll(fds, (nfds_t)(2 + count), ticking ? TICK_MS : -1);

		if (ready < 0)
			continue;
		if (fds[0].revents != 0 && !agent_goes_on(agent))
			return;
		if (fds[1].revents != 0)
			eventfd_read(agent->wake_fd, &ignored);
		for (int i = 0; i < count; i++)
			if (fds[2 + i].revents != 0)
				link_accept(agent, fds[2 + i].fd);
		if (!ticking || ready > 0)
			continue;
		atomic_store(&agent->ticking, false);
		if (agent->work.tick(agent->work.arg))
			atomic_store(&agent->ticking, true);
	}
}

void agent_wake(struct agent *agent)
{
	if (agent->work.tick != NULL && !atomic_load(&agent->ticking) &&
	    !atomic_exchange(&agent->ticking, true))
		eventfd_write(agent->wake_fd, 1);
}

static void agent_drain(struct agent *agent)
{
	for (int i = 0; i < agent->service->listen_count; i++)
		close(SERVICE_LISTEN_FD + i);
	pthread_mutex_lock(&agent->lock);
	for (struct agent_link *l = agent->links; l != NULL; l = l->next)
		shutdown(l->fd, SHUT_RD);
	while (agent->threads > 0)
		pthread_cond_wait(&agent->all_ended, &agent->lock);
	pthread_mutex_unlock(&agent->lock);
	if (agent->work.tick != NULL)
		agent->work.tick(agent->work.arg);
}

/* The parameter of this program, if it has one. */
static const char *filter_name(const char *program)
{
	static const char *const names[] = {
	    "smtp_delivery_status_filter",  "lmtp_delivery_status_filter",
	    "local_delivery_status_filter", "virtual_delivery_status_filter",
	    "pipe_delivery_status_filter",
	};
	const size_t len = strlen(program);

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strncmp(names[i], program, len) == 0 &&
		    names[i][len] == '_')
			return names[i];
	return NULL;
}

enum rc agent_open(struct service *service, const struct agent_work *work,
		   struct agent **ret_agent, struct fault *fault)
{
	struct agent *agent = mem_new(NULL, struct agent);
	const char *name = filter_name(service->program);
	const char *tables =
	    name == NULL ? NULL : conf_text(service->conf, name);

	agent->service = service;
	agent->conf = service->conf;
	agent->work = *work;
	agent->capacity = service->max_processes > 0 ? service->max_processes
						     : CAPACITY_DEFAULT;
	pthread_mutex_init(&agent->lock, NULL);
	pthread_cond_init(&agent->all_ended, NULL);
	agent->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (agent->wake_fd < 0)
		return fault_set(fault, RC_TEMP, "4.3.0", "eventfd: %m");
	if (tables != NULL && *tables != '\0' &&
	    maps_open(agent, agent->conf, name, tables, 0,
		      &agent->status_filter, fault) == RC_CONF)
		return RC_CONF;
	/* Buffers of requests and messages come from the heap and stay there.
	 */
	mallopt(M_MMAP_THRESHOLD, KEEP_FREE_BYTES);
	mallopt(M_TRIM_THRESHOLD, KEEP_FREE_BYTES);
	*ret_agent = agent;
	return RC_OK;
}

int agent_run(struct agent *agent)
{
	control_say_ready(agent->service);
	agent_loop(agent);
	agent_drain(agent);
	return 0;
}
