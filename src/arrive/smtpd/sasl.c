/* SPDX-License-Identifier: Apache-2.0 */
#include "arrive/smtpd/sasl.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uthash.h>

#include "base/clock.h"
#include "conf/conf.h"
#include "map/match_list.h"
#include "net/endpoint.h"
#include "sys/log.h"

enum {
	CONNECT_MS = 10 * 1000,
	RETRY_MS = 1000,
	START_MS = 3000,
	NAME_MAX_BYTES = 32,
};

struct mechanism {
	char name[NAME_MAX_BYTES];
	int properties;
};

/* Kinds of mechanisms that are not wanted, and that are demanded. */
struct policy {
	int refused, demanded;
};

struct sasl {
	struct net_endpoint *endpoint;
	struct match_list *filter;
	const char *service;
	struct policy plain, tls; /* without and with TLS */

	pthread_t reader;
	bool started;
	int stop_fd;

	pthread_mutex_t lock; /* smtpd_sasl: all below, and requests */
	pthread_cond_t shaken;
	bool stop, ready; /* ready: hands were shaken */
	int fd;		  /* -1 */
	uint32_t last_id;
	struct sasl_request *requests;
	struct mechanism mechanisms[SASL_MECHANISMS_MAX];
	size_t mechanism_count;
};

struct sasl_request {
	struct sasl *sasl;
	uint32_t id;
	bool known; /* to the server, and in the hash */
	UT_hash_handle hh;
	enum sasl_state state;
	char *text, *user; /* children */
	sasl_wake_fn *wake;
	void *arg;
};

/* ---- settings ---- */

static enum rc parse_options(const char *parameter, const char *text,
			     struct policy *ret_policy, struct fault *fault)
{
	static const struct {
		const char *name;
		int refused, demanded;
	} options[] = {
		{ "noplaintext", SASL_PLAINTEXT, 0 },
		{ "noanonymous", SASL_ANONYMOUS, 0 },
		{ "nodictionary", SASL_DICTIONARY, 0 },
		{ "noactive", SASL_ACTIVE, 0 },
		{ "forward_secrecy", 0, SASL_FORWARD_SECRECY },
		{ "mutual_auth", 0, SASL_MUTUAL_AUTH },
	};
	struct span rest = span_from(text), word;

	while (span_token(&rest, ", \t\r\n", &word)) {
		size_t i = 0;

		while (i < ARRAY_LEN(options) &&
		       !span_is_nocase(word, options[i].name))
			i++;
		if (i == ARRAY_LEN(options))
			return fault_set(fault, RC_CONF, "4.3.5",
					 "parameter %s: unknown option "
					 "\"%.*s\"",
					 parameter, SPAN_FMT(word));
		ret_policy->refused |= options[i].refused;
		ret_policy->demanded |= options[i].demanded;
	}
	return RC_OK;
}

static int sasl_close(struct sasl *sasl)
{
	if (sasl->started) {
		pthread_mutex_lock(&sasl->lock);
		sasl->stop = true;
		pthread_mutex_unlock(&sasl->lock);
		eventfd_write(sasl->stop_fd, 1);
		pthread_join(sasl->reader, NULL);
	}
	if (sasl->stop_fd >= 0)
		close(sasl->stop_fd);
	pthread_mutex_destroy(&sasl->lock);
	pthread_cond_destroy(&sasl->shaken);
	return 0;
}

static struct sasl *sasl_new(TALLOC_CTX *mem)
{
	struct sasl *sasl = mem_new(mem, struct sasl);
	pthread_condattr_t attr;

	sasl->fd = sasl->stop_fd = -1;
	pthread_mutex_init(&sasl->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&sasl->shaken, &attr);
	pthread_condattr_destroy(&attr);
	talloc_set_destructor(sasl, sasl_close);
	return sasl;
}

enum rc sasl_open(TALLOC_CTX *mem, const struct conf *conf,
		  struct sasl **ret_sasl, struct fault *fault)
{
	const struct conf_values *v = &conf->v;
	SCRATCH TALLOC_CTX *tmp = talloc_new(mem);
	struct span path = span_from(v->smtpd_sasl_path);
	struct sasl *sasl;
	enum rc rc;

	if (!span_is(span_from(v->smtpd_sasl_type), "dovecot"))
		return fault_set(fault, RC_CONF, "4.3.5",
				 "parameter smtpd_sasl_type: \"%s\" is not "
				 "supported here; use dovecot",
				 v->smtpd_sasl_type);
	sasl = sasl_new(tmp);
	sasl->service = v->smtpd_sasl_service;
	if (!span_starts(path, "inet:") && !span_starts(path, "unix:"))
		path = span_from(mem_printf(tmp, "unix:%.*s", SPAN_FMT(path)));
	rc = net_endpoint_parse(sasl, path, 0, CONNECT_MS, &sasl->endpoint,
				fault);
	if (rc != RC_OK)
		return fault_add(fault, "parameter smtpd_sasl_path");
	rc = match_list_open(sasl, conf, "smtpd_sasl_mechanism_filter",
			     v->smtpd_sasl_mechanism_filter, &sasl->filter,
			     fault);
	if (rc == RC_OK)
		rc = parse_options("smtpd_sasl_security_options",
				   v->smtpd_sasl_security_options, &sasl->plain,
				   fault);
	if (rc == RC_OK)
		rc = parse_options("smtpd_sasl_tls_security_options",
				   v->smtpd_sasl_tls_security_options,
				   &sasl->tls, fault);
	if (rc == RC_OK)
		*ret_sasl = talloc_steal(mem, sasl);
	return rc;
}

/* ---- mechanisms ---- */

static bool is_wanted(const struct sasl *sasl, bool tls,
		      const struct mechanism *mechanism)
{
	const struct policy *policy = tls ? &sasl->tls : &sasl->plain;
	struct fault fault = { 0 };

	return !(mechanism->properties & (policy->refused | SASL_PRIVATE)) &&
	       (mechanism->properties & policy->demanded) == policy->demanded &&
	       (match_list_is_empty(sasl->filter) ||
		match_list_domain(sasl->filter, span_from(mechanism->name),
				  &fault) == RC_OK);
}

void sasl_mechanisms_add(struct sasl *sasl, bool tls, struct buf *out)
{
	pthread_mutex_lock(&sasl->lock);
	for (size_t i = 0; i < sasl->mechanism_count; i++)
		if (is_wanted(sasl, tls, &sasl->mechanisms[i]))
			buf_addf(out, " %s", sasl->mechanisms[i].name);
	pthread_mutex_unlock(&sasl->lock);
}

bool sasl_mechanism_is_good(struct sasl *sasl, bool tls, struct span name)
{
	bool good = false;

	pthread_mutex_lock(&sasl->lock);
	for (size_t i = 0; !good && i < sasl->mechanism_count; i++)
		good = span_is_nocase(name, sasl->mechanisms[i].name) &&
		       is_wanted(sasl, tls, &sasl->mechanisms[i]);
	pthread_mutex_unlock(&sasl->lock);
	return good;
}

/* ---- requests, with the lock ---- */

static void request_forget(struct sasl_request *request)
{
	if (request->known)
		HASH_DEL(request->sasl->requests, request);
	request->known = false;
}

static void request_answer(struct sasl_request *request, enum sasl_state state,
			   struct span text, struct span user)
{
	talloc_free(request->text);
	request->text = mem_span_dup(request, text);
	if (user.ptr != NULL) {
		talloc_free(request->user);
		request->user = mem_span_dup(request, user);
	}
	request->state = state;
	if (state != SASL_CHALLENGE)
		request_forget(request);
	request->wake(request->arg);
}

static void fail_all(struct sasl *sasl)
{
	struct sasl_request *request, *next;

	HASH_ITER (hh, sasl->requests, request, next)
		request_answer(request, SASL_UNDECIDED,
			       SPAN_OF("Connection lost to authentication "
				       "server"),
			       (struct span){ NULL, 0 });
}

/* A line of ours is small: it goes out whole, or the connection is stuck. */
static bool say(struct sasl *sasl, struct span line)
{
	if (sasl->fd < 0 || !sasl->ready)
		return false;
	if (send(sasl->fd, line.ptr, line.len, MSG_DONTWAIT | MSG_NOSIGNAL) ==
	    (ssize_t)line.len)
		return true;
	shutdown(sasl->fd, SHUT_RDWR); /* the reader sees it */
	return false;
}

/* ---- requests ---- */

static int request_drop(struct sasl_request *request)
{
	struct sasl *sasl = request->sasl;
	char line[40];
	int len;

	pthread_mutex_lock(&sasl->lock);
	if (request->known) {
		request_forget(request);
		len = snprintf(line, sizeof(line), "CANCEL\t%u\n", request->id);
		(void)!say(sasl, (struct span){ line, (size_t)len });
	}
	pthread_mutex_unlock(&sasl->lock);
	return 0;
}

/* A line of the protocol is text without tabs and line ends. */
static bool is_clean(struct span text)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.ptr[i] <= ' ' || text.ptr[i] > '~')
			return false;
	return true;
}

static enum rc send_line(struct sasl_request *request, struct span line,
			 struct fault *fault)
{
	struct sasl *sasl = request->sasl;
	bool good;

	pthread_mutex_lock(&sasl->lock);
	request->state = SASL_WAITS;
	good = say(sasl, line);
	if (good && !request->known) {
		HASH_ADD(hh, sasl->requests, id, sizeof(request->id), request);
		request->known = true;
	}
	pthread_mutex_unlock(&sasl->lock);
	if (good)
		return RC_OK;
	return fault_set(fault, RC_TEMP, "4.7.0",
			 "Connection lost to authentication server");
}

enum rc sasl_request_begin(TALLOC_CTX *mem, struct sasl *sasl,
			   struct span mechanism, struct span response,
			   const struct sasl_client *client, sasl_wake_fn *wake,
			   void *arg, struct sasl_request **ret_request,
			   struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct sasl_request *request;
	struct buf line;
	enum rc rc;

	if (!is_clean(mechanism) || !is_clean(response))
		return fault_set(fault, RC_PERM, "5.7.8",
				 "Invalid base64 data in initial response");
	request = mem_new(NULL, struct sasl_request);
	request->sasl = sasl;
	request->wake = wake;
	request->arg = arg;
	pthread_mutex_lock(&sasl->lock);
	request->id = ++sasl->last_id;
	pthread_mutex_unlock(&sasl->lock);
	talloc_set_destructor(request, request_drop);
	buf_init(&line, tmp, SASL_LINE_MAX);
	buf_addf(&line,
		 "AUTH\t%u\t%.*s\tservice=%s\tnologin\tlip=%s\tlport=%s\t"
		 "rip=%s\trport=%s%s",
		 request->id, SPAN_FMT(mechanism), sasl->service,
		 client->server_address, client->server_port,
		 client->client_address, client->client_port,
		 client->tls ? "\tsecured" : "");
	if (response.ptr != NULL)
		buf_addf(&line, "\tresp=%.*s", SPAN_FMT(response));
	buf_add_char(&line, '\n');
	rc = send_line(request, buf_span(&line), fault);
	if (rc == RC_OK)
		*ret_request = talloc_steal(mem, request);
	else
		talloc_free(request);
	return rc;
}

enum rc sasl_request_go_on(struct sasl_request *request, struct span response,
			   struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct buf line;

	if (!is_clean(response))
		return fault_set(fault, RC_PERM, "5.7.8",
				 "Invalid base64 data in continued response");
	buf_init(&line, tmp, SASL_LINE_MAX);
	buf_addf(&line, "CONT\t%u\t%.*s\n", request->id, SPAN_FMT(response));
	return send_line(request, buf_span(&line), fault);
}

enum sasl_state sasl_request_state(struct sasl_request *request,
				   TALLOC_CTX *mem, char **ret_text,
				   char **ret_user)
{
	enum sasl_state state;

	pthread_mutex_lock(&request->sasl->lock);
	state = request->state;
	*ret_text = mem_strdup(mem, request->text != NULL ? request->text : "");
	*ret_user =
		request->user == NULL ? NULL : mem_strdup(mem, request->user);
	pthread_mutex_unlock(&request->sasl->lock);
	return state;
}

/* ---- the reader ---- */

static void learn_mechanism(struct sasl *sasl, const struct sasl_answer *answer)
{
	struct mechanism *mechanism;

	if (sasl->mechanism_count == SASL_MECHANISMS_MAX ||
	    answer->name.len >= NAME_MAX_BYTES || !is_clean(answer->name))
		return;
	mechanism = &sasl->mechanisms[sasl->mechanism_count++];
	snprintf(mechanism->name, sizeof(mechanism->name), "%.*s",
		 SPAN_FMT(answer->name));
	mechanism->properties = answer->properties;
}

static void answer_request(struct sasl *sasl, const struct sasl_answer *answer)
{
	struct sasl_request *request;

	HASH_FIND(hh, sasl->requests, &answer->id, sizeof(answer->id), request);
	if (request == NULL || request->state != SASL_WAITS)
		return; /* it has gone */
	if (answer->kind == SASL_CONT)
		request_answer(request, SASL_CHALLENGE, answer->data,
			       (struct span){ NULL, 0 });
	else if (answer->kind == SASL_OK && answer->user.len > 0)
		request_answer(request, SASL_GRANTED, SPAN_OF(""),
			       answer->user);
	else if (answer->kind == SASL_OK)
		request_answer(request, SASL_UNDECIDED,
			       SPAN_OF("no user name from the authentication "
				       "server"),
			       answer->user);
	else
		request_answer(request,
			       answer->temporary ? SASL_UNDECIDED : SASL_DENIED,
			       answer->reason.ptr != NULL
				       ? answer->reason
				       : SPAN_OF("(reason unavailable)"),
			       answer->user);
}

/* With the lock. False: this is no server for us. */
static bool take_line(struct sasl *sasl, struct span line)
{
	struct sasl_answer answer;

	if (!sasl_answer_parse(line, &answer))
		return false;
	switch (answer.kind) {
	case SASL_VERSION:
		return answer.id == 1;
	case SASL_MECHANISM:
		if (!sasl->ready)
			learn_mechanism(sasl, &answer);
		return true;
	case SASL_DONE:
		sasl->ready = true;
		pthread_cond_broadcast(&sasl->shaken);
		return true;
	case SASL_OK:
	case SASL_FAIL:
	case SASL_CONT:
		answer_request(sasl, &answer);
		return true;
	default:
		return true;
	}
}

static bool take_lines(struct sasl *sasl, struct buf *input)
{
	struct span line;
	bool good = true;
	ssize_t lf;

	pthread_mutex_lock(&sasl->lock);
	while (good && (lf = span_find(buf_span(input), '\n')) >= 0) {
		line = span_take(buf_span(input), (size_t)lf);
		good = take_line(sasl, line);
		if (!good)
			log_warning("SASL: unexpected line from the "
				    "authentication server: %.*s",
				    SPAN_FMT(span_take(line, 100)));
		buf_consume(input, (size_t)lf + 1);
	}
	pthread_mutex_unlock(&sasl->lock);
	return good;
}

/* Until the connection is lost, or it is time to stop. */
static void read_answers(struct sasl *sasl, TALLOC_CTX *mem, int fd)
{
	struct pollfd fds[2] = {
		{ .fd = fd, .events = POLLIN },
		{ .fd = sasl->stop_fd, .events = POLLIN },
	};
	struct buf input;

	buf_init(&input, mem, SASL_LINE_MAX);
	while (fds[1].revents == 0) {
		ssize_t n;

		if (poll(fds, 2, -1) < 0 || fds[0].revents == 0)
			continue;
		if (!buf_reserve(&input, 1024))
			return; /* a line without an end */
		n = recv(fd, input.data + input.len, 1024, MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			return;
		input.len += (size_t)MAX_OF(n, (ssize_t)0);
		if (!take_lines(sasl, &input))
			return;
	}
}

static bool greet(struct sasl *sasl, TALLOC_CTX *mem, int *ret_fd,
		  struct fault *fault)
{
	struct net_stream *stream;

	if (net_endpoint_connect(mem, sasl->endpoint, &stream, fault) != RC_OK)
		return false;
	if (net_stream_writef(stream, fault, "VERSION\t1\t1\nCPID\t%d\n",
			      (int)getpid()) != RC_OK ||
	    net_stream_flush(stream, fault) != RC_OK)
		return false;
	*ret_fd = net_stream_fd(stream);
	return true;
}

static void *reader_main(void *arg)
{
	struct sasl *sasl = arg;
	bool complained = false;

	pthread_setname_np(pthread_self(), "sasl");
	for (;;) {
		SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
		struct pollfd stop = { .fd = sasl->stop_fd, .events = POLLIN };
		struct fault fault = { 0 };
		int fd = -1;

		if (greet(sasl, tmp, &fd, &fault)) {
			pthread_mutex_lock(&sasl->lock);
			sasl->fd = fd;
			sasl->mechanism_count = 0;
			pthread_mutex_unlock(&sasl->lock);
			complained = false;
			read_answers(sasl, tmp, fd);
			pthread_mutex_lock(&sasl->lock);
			sasl->fd = -1;
			sasl->ready = false;
			fail_all(sasl);
			pthread_mutex_unlock(&sasl->lock);
		} else if (!complained) {
			log_warning("SASL: Connect to Dovecot auth socket "
				    "'%s' failed: %s",
				    sasl->endpoint->text, fault.text);
			complained = true;
		}
		if (poll(&stop, 1, RETRY_MS) > 0)
			return NULL;
	}
}

enum rc sasl_start(struct sasl *sasl, struct fault *fault)
{
	uint64_t until_ms = clock_mono_ms() + START_MS;
	const struct timespec until = {
		.tv_sec = (time_t)(until_ms / 1000),
		.tv_nsec = (long)(until_ms % 1000) * 1000000,
	};
	sigset_t all, old;
	int error;

	sasl->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (sasl->stop_fd < 0)
		return fault_set(fault, RC_TEMP, "4.3.0", "eventfd: %m");
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	error = pthread_create(&sasl->reader, NULL, reader_main, sasl);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (error != 0) {
		errno = error;
		return fault_set(fault, RC_TEMP, "4.3.0", "start a thread: %m");
	}
	sasl->started = true;
	pthread_mutex_lock(&sasl->lock);
	for (error = 0; !sasl->ready && error == 0;)
		error = pthread_cond_timedwait(&sasl->shaken, &sasl->lock,
					       &until);
	pthread_mutex_unlock(&sasl->lock);
	return RC_OK;
}
