/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unbound.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/dns_priv.h"

struct dns_asker {
	const char *const *servers;
	size_t server_count;
	const char *const *anchors; /* NULL: nothing is validated */

	pthread_mutex_t context_lock; /* dns_context: all in this group */
	struct ub_ctx *context;	      /* NULL before the first question */
	pthread_t pump;
	int stop_fd;

	pthread_mutex_t ready_lock; /* dns_ready: held while one is announced */
	pthread_mutex_t wait_lock;  /* dns_wait: the members of questions */
	pthread_cond_t answered;
};

/* Shared by the thread that asks and the pump; who is last frees it. */
struct asked {
	struct dns_asker *asker;
	bool done, dropped;
	bool announced; /* by a call that may not be over yet */
	int error;
	struct ub_result *result;
	dns_ready_fn *ready; /* NULL: nobody wants to hear */
	void *ready_arg;
};

struct dns_question {
	struct asked *asked;
	int id;
};

static void *pump_main(void *arg)
{
	struct dns_asker *asker = arg;
	struct pollfd fds[2] = {
		{ .fd = ub_fd(asker->context), .events = POLLIN },
		{ .fd = asker->stop_fd, .events = POLLIN },
	};

	pthread_setname_np(pthread_self(), "dns");
	while (fds[1].revents == 0) {
		if (poll(fds, ARRAY_LEN(fds), -1) < 0)
			continue;
		if (fds[0].revents != 0)
			ub_process(asker->context);
	}
	return NULL;
}

/* The library keeps zones that are empty by definition on the Internet and in
 * use behind a forwarder of one's own. */
static void zones_unblock(struct ub_ctx *context)
{
	static const char *const zones[] = {
		"test.",
		"invalid.",
		"onion.",
		"localhost.",
		"127.in-addr.arpa.",
		"home.arpa.",
		("1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0."
		 "0.0.ip6.arpa."),
	};

	for (size_t i = 0; i < ARRAY_LEN(zones); i++)
		ub_ctx_zone_remove(context, zones[i]);
}

static int options_set(struct ub_ctx *context, bool dnssec)
{
	const struct {
		const char *name, *value;
	} options[] = {
		{ "module-config:",
		  dnssec ? "validator iterator" : "iterator" },
		{ "unblock-lan-zones:", "yes" },
		{ "insecure-lan-zones:", "yes" },
		{ "do-not-query-localhost:", "no" },
		/* A server that comes back is noticed soon. */
		{ "infra-host-ttl:", "30" },
		{ "infra-keep-probing:", "yes" },
		/* One server answers for all names, some of which take long:
		 * that others were quick must not end the wait for those. */
		{ "infra-cache-min-rtt:", "3000" },
		{ "cache-max-negative-ttl:", "60" },
		{ "outgoing-range:", "512" },
		{ "num-queries-per-thread:", "512" },
		{ "msg-cache-size:", "2m" },
		{ "rrset-cache-size:", "4m" },
	};
	int error = 0;

	for (size_t i = 0; i < ARRAY_LEN(options) && error == 0; i++)
		error = ub_ctx_set_option(context, options[i].name,
					  options[i].value);
	return error;
}

static int context_setup(const struct dns_asker *asker, struct ub_ctx *context)
{
	int error = options_set(context, asker->anchors != NULL);

	for (size_t i = 0; i < asker->server_count && error == 0; i++)
		error = ub_ctx_set_fwd(context, asker->servers[i]);
	for (size_t i = 0;
	     asker->anchors != NULL && asker->anchors[i] != NULL && error == 0;
	     i++)
		error = ub_ctx_add_ta(context, asker->anchors[i]);
	if (error == 0)
		error = ub_ctx_async(context, 1);
	if (error == 0)
		zones_unblock(context);
	return error;
}

/* With the context lock. */
static enum rc pump_start(struct dns_asker *asker, struct fault *fault)
{
	sigset_t all, old;
	int error;

	asker->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (asker->stop_fd < 0)
		return fault_set(fault, RC_TEMP, "4.3.0", "eventfd: %m");
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	error = pthread_create(&asker->pump, NULL, pump_main, asker);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (error == 0)
		return RC_OK;
	close(asker->stop_fd);
	errno = error;
	return fault_set(fault, RC_TEMP, "4.3.0", "start a thread: %m");
}

/* With the context lock. */
static enum rc context_open(struct dns_asker *asker, struct fault *fault)
{
	sigset_t all, old;
	enum rc rc = RC_OK;
	int error;

	if (asker->context != NULL)
		return RC_OK;
	asker->context = ub_ctx_create();
	if (asker->context == NULL)
		return fault_set(fault, RC_TEMP, "4.3.0",
				 "start the resolver: %m");
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	error = context_setup(asker, asker->context);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (error != 0)
		rc = fault_set(fault, RC_TEMP, "4.3.0",
			       "start the resolver: %s", ub_strerror(error));
	else
		rc = pump_start(asker, fault);
	if (rc != RC_OK) {
		ub_ctx_delete(asker->context);
		asker->context = NULL;
	}
	return rc;
}

static int asker_close(struct dns_asker *asker)
{
	if (asker->context != NULL) {
		eventfd_write(asker->stop_fd, 1);
		pthread_join(asker->pump, NULL);
		ub_ctx_delete(asker->context);
		close(asker->stop_fd);
	}
	pthread_mutex_destroy(&asker->context_lock);
	pthread_mutex_destroy(&asker->ready_lock);
	pthread_mutex_destroy(&asker->wait_lock);
	pthread_cond_destroy(&asker->answered);
	return 0;
}

struct dns_asker *dns_asker_new(TALLOC_CTX *mem, const char *const *servers,
				size_t count, const char *const *anchors)
{
	struct dns_asker *asker = mem_new(mem, struct dns_asker);
	pthread_condattr_t attr;

	asker->servers = servers;
	asker->server_count = count;
	asker->anchors = anchors;
	pthread_mutex_init(&asker->context_lock, NULL);
	pthread_mutex_init(&asker->ready_lock, NULL);
	pthread_mutex_init(&asker->wait_lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&asker->answered, &attr);
	pthread_condattr_destroy(&attr);
	talloc_set_destructor(asker, asker_close);
	return asker;
}

static void asked_free(struct asked *asked)
{
	if (asked->result != NULL)
		ub_resolve_free(asked->result);
	talloc_free(asked);
}

/* In the pump. */
static void answer_take(void *arg, int error, struct ub_result *result)
{
	struct asked *asked = arg;
	struct dns_asker *asker = asked->asker;
	dns_ready_fn *ready;
	void *ready_arg;

	/* until it is told, the question cannot go away */
	pthread_mutex_lock(&asker->ready_lock);
	pthread_mutex_lock(&asker->wait_lock);
	asked->done = true;
	asked->error = error;
	asked->result = result;
	ready = asked->dropped ? NULL : asked->ready;
	ready_arg = asked->ready_arg;
	asked->announced = ready != NULL;
	if (asked->dropped)
		asked_free(asked);
	else
		pthread_cond_broadcast(&asker->answered);
	pthread_mutex_unlock(&asker->wait_lock);
	if (ready != NULL)
		ready(ready_arg);
	pthread_mutex_unlock(&asker->ready_lock);
}

static int question_drop(struct dns_question *question)
{
	struct asked *asked = question->asked;
	struct dns_asker *asker = asked->asker;
	bool done, announced;

	pthread_mutex_lock(&asker->wait_lock);
	done = asked->done;
	announced = asked->announced;
	asked->dropped = true;
	pthread_mutex_unlock(&asker->wait_lock);
	if (done && announced) {
		pthread_mutex_lock(&asker->ready_lock);
		pthread_mutex_unlock(&asker->ready_lock);
	}
	/* Cancelled in time: the callback never comes. Otherwise it frees. */
	if (done || ub_cancel(asker->context, question->id) == 0)
		asked_free(asked);
	return 0;
}

bool dns_question_done(struct dns_question *question, dns_ready_fn *ready,
		       void *arg)
{
	struct asked *asked = question->asked;
	bool done;

	pthread_mutex_lock(&asked->asker->wait_lock);
	done = asked->done;
	asked->ready = ready;
	asked->ready_arg = arg;
	pthread_mutex_unlock(&asked->asker->wait_lock);
	return done;
}

enum rc dns_question_new(TALLOC_CTX *mem, struct dns_asker *asker,
			 const char *name, enum dns_type type,
			 struct dns_question **ret_question,
			 struct fault *fault)
{
	struct dns_question *question;
	struct asked *asked;
	int error, id;
	enum rc rc;

	pthread_mutex_lock(&asker->context_lock);
	rc = context_open(asker, fault);
	pthread_mutex_unlock(&asker->context_lock);
	if (rc != RC_OK)
		return rc;
	asked = mem_new(NULL, struct asked);
	asked->asker = asker;
	error = ub_resolve_async(asker->context, name, (int)type, 1, asked,
				 answer_take, &id);
	if (error != 0) {
		talloc_free(asked);
		return fault_set(fault, RC_TEMP, "4.4.3", "resolver: %s",
				 ub_strerror(error));
	}
	question = mem_new(mem, struct dns_question);
	question->asked = asked;
	question->id = id;
	talloc_set_destructor(question, question_drop);
	*ret_question = question;
	return RC_OK;
}

enum rc dns_question_wait(struct dns_question *question, uint64_t deadline_ms,
			  struct ub_result **ret_result, struct fault *fault)
{
	const struct timespec deadline = {
		.tv_sec = (time_t)(deadline_ms / 1000),
		.tv_nsec = (long)(deadline_ms % 1000) * 1000000,
	};
	struct asked *asked = question->asked;
	struct dns_asker *asker = asked->asker;
	int error = 0;
	bool done;

	pthread_mutex_lock(&asker->wait_lock);
	while (!asked->done && error == 0)
		error = pthread_cond_timedwait(&asker->answered,
					       &asker->wait_lock, &deadline);
	done = asked->done;
	pthread_mutex_unlock(&asker->wait_lock);
	if (!done)
		return fault_set(fault, RC_TEMP, "4.4.3", "timed out");
	if (asked->error != 0)
		return fault_set(fault, RC_TEMP, "4.4.3", "%s",
				 ub_strerror(asked->error));
	*ret_result = asked->result;
	return RC_OK;
}
