/* SPDX-License-Identifier: Apache-2.0 */
#include "map/map_hosts.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"

enum {
	BACK_OFF_MS = 1000,
	BACK_OFF_MAX_MS = 30 * 1000,
	IDLE_MS = 60 * 1000,
	GIVE_UP_MS = 100 * 1000,
	/* A kept connection that failed sooner was closed by the server. */
	AT_ONCE_MS = 1000,
};

/* A kept connection. */
struct idle {
	struct idle *next;
	void *connection;
	uint64_t since_ms;
};

struct host {
	const char *name;
	bool is_unix;
	struct idle *idle; /* the last one used is the first */
	int back_off_ms;   /* 0: it answers */
	uint64_t dead_until_ms;
	struct fault fault; /* why it is left alone */
};

struct map_hosts {
	struct map_hosts_options options;
	pthread_mutex_t lock; /* all below */
	struct host *list;
	size_t count;
	pid_t pid; /* whose connections are in idle */
};

static void idle_free(struct idle *idle)
{
	while (idle != NULL) {
		struct idle *next = idle->next;

		talloc_free(idle->connection);
		free(idle);
		idle = next;
	}
}

/* In a child: closing would take the parent's connections down. */
static void forget_parents(struct map_hosts *hosts)
{
	pid_t pid = getpid();

	if (pid == hosts->pid)
		return;
	for (size_t i = 0; i < hosts->count; i++)
		hosts->list[i].idle = NULL;
	hosts->pid = pid;
}

static int hosts_close(struct map_hosts *hosts)
{
	forget_parents(hosts);
	for (size_t i = 0; i < hosts->count; i++)
		idle_free(hosts->list[i].idle);
	pthread_mutex_destroy(&hosts->lock);
	return 0;
}

static int number_or(int number, int otherwise)
{
	return number > 0 ? number : otherwise;
}

struct map_hosts *map_hosts_new(TALLOC_CTX *mem,
				const struct map_hosts_options *options)
{
	struct map_hosts *hosts = mem_new(mem, struct map_hosts);
	struct map_hosts_options *o = &hosts->options;

	*o = *options;
	o->back_off_ms = number_or(o->back_off_ms, BACK_OFF_MS);
	o->back_off_max_ms = number_or(o->back_off_max_ms, BACK_OFF_MAX_MS);
	o->idle_ms = number_or(o->idle_ms, IDLE_MS);
	o->give_up_ms = number_or(o->give_up_ms, GIVE_UP_MS);
	hosts->pid = getpid();
	pthread_mutex_init(&hosts->lock, NULL);
	talloc_set_destructor(hosts, hosts_close);
	return hosts;
}

bool map_hosts_add(struct map_hosts *hosts, const char *host)
{
	if (hosts->count == MAP_HOSTS_MAX)
		return false;
	hosts->list =
		mem_resize(hosts, hosts->list, struct host, hosts->count + 1);
	hosts->list[hosts->count++] = (struct host){
		.name = mem_strdup(hosts, host),
		.is_unix = host[0] == '/' || strncmp(host, "unix:", 5) == 0,
	};
	return true;
}

size_t map_hosts_count(const struct map_hosts *hosts)
{
	return hosts->count;
}

/* One attempt to get an answer. */
struct attempt {
	struct map_hosts *hosts;
	struct host *host;
	map_hosts_ask_fn *ask;
	void *question;
	struct fault *fault;
};

/* Take what is too old off the list; the caller closes it. */
static struct idle *idle_cut_old(struct host *host, uint64_t now_ms,
				 int idle_ms)
{
	struct idle **at = &host->idle, *old;

	while (*at != NULL && now_ms < (*at)->since_ms + (uint64_t)idle_ms)
		at = &(*at)->next;
	old = *at;
	*at = NULL;
	return old;
}

/* A kept connection that is good, or NULL. */
static void *idle_take(struct map_hosts *hosts, struct host *host)
{
	for (;;) {
		struct idle *old, *idle;
		void *connection;

		pthread_mutex_lock(&hosts->lock);
		forget_parents(hosts);
		old = idle_cut_old(host, clock_mono_ms(),
				   hosts->options.idle_ms);
		idle = host->idle;
		if (idle != NULL)
			host->idle = idle->next;
		pthread_mutex_unlock(&hosts->lock);
		idle_free(old);
		if (idle == NULL)
			return NULL;
		connection = idle->connection;
		free(idle);
		if (hosts->options.kind->is_good == NULL ||
		    hosts->options.kind->is_good(connection))
			return connection;
		talloc_free(connection);
	}
}

static void idle_give(struct map_hosts *hosts, struct host *host,
		      void *connection)
{
	struct idle *idle = malloc(sizeof(*idle)), *old;

	if (idle == NULL) {
		talloc_free(connection);
		return;
	}
	*idle = (struct idle){ .connection = connection,
			       .since_ms = clock_mono_ms() };
	pthread_mutex_lock(&hosts->lock);
	forget_parents(hosts);
	idle->next = host->idle;
	host->idle = idle;
	old = idle_cut_old(host, idle->since_ms, hosts->options.idle_ms);
	pthread_mutex_unlock(&hosts->lock);
	idle_free(old);
}

static void host_answers(struct map_hosts *hosts, struct host *host)
{
	pthread_mutex_lock(&hosts->lock);
	host->back_off_ms = 0;
	host->dead_until_ms = 0;
	pthread_mutex_unlock(&hosts->lock);
}

static void host_failed(struct map_hosts *hosts, struct host *host,
			const struct fault *fault)
{
	const struct map_hosts_options *o = &hosts->options;
	uint64_t now_ms = clock_mono_ms();

	pthread_mutex_lock(&hosts->lock);
	/* Many threads that fail together are one failure. */
	if (host->back_off_ms == 0)
		host->back_off_ms = o->back_off_ms;
	else if (now_ms >= host->dead_until_ms)
		host->back_off_ms =
			MIN_OF(2 * host->back_off_ms, o->back_off_max_ms);
	host->dead_until_ms = now_ms + (uint64_t)host->back_off_ms;
	host->fault = *fault;
	pthread_mutex_unlock(&hosts->lock);
}

/* May this one be tried now? If not, say why it was left alone. */
static bool host_may_be_tried(struct map_hosts *hosts, struct host *host,
			      struct fault *fault)
{
	uint64_t now_ms = clock_mono_ms();
	bool may;

	pthread_mutex_lock(&hosts->lock);
	may = host->back_off_ms == 0 || now_ms >= host->dead_until_ms;
	if (!may)
		*fault = host->fault;
	pthread_mutex_unlock(&hosts->lock);
	return may;
}

/* After a failure one request tries it, the others go on without it until that
 * one is known. */
static void host_probe_begins(struct map_hosts *hosts, struct host *host)
{
	pthread_mutex_lock(&hosts->lock);
	if (host->back_off_ms > 0)
		host->dead_until_ms =
			clock_mono_ms() + (uint64_t)host->back_off_ms;
	pthread_mutex_unlock(&hosts->lock);
}

/* Ask in this connection. *ret_again: the answer is no answer. */
static enum rc attempt_ask(const struct attempt *a, void *connection,
			   bool *ret_again)
{
	bool broken = false;
	enum rc rc = a->ask(a->question, connection, &broken, a->fault);

	if (broken)
		talloc_free(connection);
	else
		idle_give(a->hosts, a->host, connection);
	*ret_again = broken && rc == RC_TEMP;
	return rc;
}

/* Ask one server. *ret_again: ask another. */
static enum rc host_ask(const struct attempt *a, bool *ret_again)
{
	const struct map_hosts_options *o = &a->hosts->options;
	uint64_t begun_ms = clock_mono_ms();
	void *connection = idle_take(a->hosts, a->host);
	enum rc rc;

	if (connection != NULL) {
		rc = attempt_ask(a, connection, ret_again);
		if (!*ret_again)
			return rc;
		if (clock_mono_ms() >= begun_ms + AT_ONCE_MS) {
			host_failed(a->hosts, a->host, a->fault);
			return rc;
		}
	}
	host_probe_begins(a->hosts, a->host);
	rc = o->kind->connect(o->arg, a->host->name, &connection, a->fault);
	if (rc == RC_OK)
		rc = attempt_ask(a, connection, ret_again);
	else
		*ret_again = true;
	if (*ret_again) {
		host_failed(a->hosts, a->host, a->fault);
		return RC_TEMP;
	}
	host_answers(a->hosts, a->host);
	return rc;
}

/* The order to try them in. */
static void order_make(const struct map_hosts *hosts,
		       uint8_t order[MAP_HOSTS_MAX])
{
	uint8_t dice[MAP_HOSTS_MAX] = { 0 };
	size_t n = 0;

	for (size_t i = 0; i < hosts->count; i++)
		order[i] = (uint8_t)i;
	if (!(hosts->options.flags & MAP_HOSTS_SPREAD) || hosts->count < 2)
		return;
	if (getrandom(dice, sizeof(dice), GRND_NONBLOCK) < 0)
		dice[0] = (uint8_t)clock_mono_ms();
	for (size_t i = hosts->count - 1; i > 0; i--) {
		size_t k = dice[i] % (i + 1);
		uint8_t other = order[k];

		order[k] = order[i];
		order[i] = other;
	}
	for (size_t i = 0; i < hosts->count; i++) {
		uint8_t at = order[i];

		if (!hosts->list[at].is_unix)
			continue;
		memmove(order + n + 1, order + n, i - n);
		order[n++] = at;
	}
}

enum rc map_hosts_ask(struct map_hosts *hosts, map_hosts_ask_fn *ask,
		      void *question, struct fault *fault)
{
	uint64_t until_ms =
		clock_mono_ms() + (uint64_t)hosts->options.give_up_ms;
	struct fault unused = { 0 };
	struct attempt a = { .hosts = hosts, .ask = ask, .question = question };
	uint8_t order[MAP_HOSTS_MAX];

	a.fault = fault != NULL ? fault : &unused;
	fault_set(a.fault, RC_TEMP, "4.3.0", "no server is named");
	order_make(hosts, order);
	for (size_t i = 0; i < hosts->count; i++) {
		bool again = false;
		enum rc rc;

		a.host = &hosts->list[order[i]];
		if (!host_may_be_tried(hosts, a.host, a.fault))
			continue;
		rc = host_ask(&a, &again);
		if (!again)
			return rc;
		if (clock_mono_ms() >= until_ms)
			break;
	}
	a.fault->rc = RC_TEMP;
	return RC_TEMP;
}
