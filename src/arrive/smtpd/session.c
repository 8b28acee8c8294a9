/* SPDX-License-Identifier: Apache-2.0 */
#include "arrive/smtpd/session.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/clock.h"
#include "sys/log.h"

/* How long a thread stays with a session whose client is about to send more:
 * one recv then stands for a round trip through epoll. */
enum { LINGER_MS = 40, READS_PER_RUN = 64 };

enum io { IO_DONE, IO_AGAIN, IO_WANT_WRITE, IO_GONE };

static int session_close(struct smtpd_session *s)
{
	session_limits_leave(s);
	/* nobody wakes us any more */
	talloc_free(s->waiter.memo);
	talloc_free(s->naming);
	session_login_forget(s);
	talloc_free(s->tls);
	if (s->ws.fd >= 0)
		close(s->ws.fd);
	return 0;
}

/* The socket blocks, for a short while only; where that is not wanted the call
 * says so. */
static void prepare_socket(int fd)
{
	struct timeval linger = { 0, LINGER_MS * 1000 };
	int on = 1;

	/* Without these it is slower, not wrong; a socket pair has no TCP. */
	(void)!fcntl(fd, F_SETFL, O_RDWR);
	(void)!setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &linger, sizeof(linger));
	(void)!setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &linger, sizeof(linger));
	(void)!setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

struct smtpd_session *smtpd_session_new(struct smtpd_server *server, int fd,
					const struct net_address *peer)
{
	struct smtpd_session *s = mem_new(NULL, struct smtpd_session);
	char text[NET_ADDRESS_TEXT_MAX];

	s->server = server;
	s->ws = (struct workers_session){ .run = smtpd_session_run,
					  .fd = fd,
					  .want = EPOLLIN };
	s->client_address = mem_strdup(s, net_address_text(peer, text));
	s->client_port = mem_printf(s, "%u", net_address_port(peer));
	s->where = "CONNECT";
	s->verb = -1;
	s->accepted_ms = clock_mono_ms();
	talloc_set_destructor(s, session_close);
	prepare_socket(fd);
	return s;
}

/* ---- bytes out ---- */

static enum io write_some(struct smtpd_session *s, struct span *bytes)
{
	struct fault fault = { 0 };
	size_t done = 0;
	ssize_t n;

	if (s->tls != NULL && s->phase != PHASE_HANDSHAKE) {
		switch (tls_write(s->tls, *bytes, &done, &fault)) {
		case TLS_DONE:
			*bytes = span_skip(*bytes, done);
			return IO_DONE;
		case TLS_WANT_READ:
			return IO_AGAIN;
		case TLS_WANT_WRITE:
			return IO_WANT_WRITE;
		default:
			return IO_GONE;
		}
	}
	n = send(s->ws.fd, bytes->ptr, bytes->len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n >= 0) {
		*bytes = span_skip(*bytes, (size_t)n);
		return IO_DONE;
	}
	if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
		return IO_WANT_WRITE;
	return IO_GONE;
}

static enum io write_all(struct smtpd_session *s, struct span *bytes)
{
	enum io io = IO_DONE;

	while (bytes->len > 0 && io == IO_DONE)
		io = write_some(s, bytes);
	return io;
}

static void keep(struct smtpd_session *s, struct span *place, struct span bytes)
{
	const char *old = place->ptr;

	*place = bytes.len == 0 ? (struct span){ NULL, 0 } :
				  mem_span_copy(s, bytes);
	talloc_free((void *)(uintptr_t)old);
}

/* Replies of before, then those of now. */
static enum io flush(struct smtpd_session *s)
{
	struct buf *output = &s->thread->output;
	struct span rest = s->unsent;
	enum io io = write_all(s, &rest);

	if (s->unsent.len > 0 && rest.len != s->unsent.len)
		keep(s, &s->unsent, rest);
	if (io == IO_DONE) {
		rest = buf_span(output);
		io = write_all(s, &rest);
		buf_consume(output, output->len - rest.len);
	}
	return io;
}

/* Replies that are not to go, or cannot go, out now. */
static void keep_output(struct smtpd_session *s)
{
	struct buf *output = &s->thread->output;

	if (output->len == 0)
		return;
	if (s->unsent.len == 0) {
		keep(s, &s->unsent, buf_span(output));
	} else {
		struct buf both;

		buf_init(&both, s, (size_t)4 * SMTPD_OUTPUT_BYTES);
		buf_add(&both, s->unsent);
		buf_add(&both, buf_span(output));
		keep(s, &s->unsent, buf_span(&both));
		buf_done(&both);
	}
	buf_clear(output);
}

/* ---- bytes in ---- */

static bool may_linger(struct smtpd_session *s)
{
	struct smtpd_server *server = s->server;

	return server->workers != NULL &&
	       atomic_load_explicit(&server->lingering, memory_order_relaxed) <
		       server->max_threads / 2;
}

/* More input behind what is left; at least one line fits. */
static enum io read_more(struct smtpd_session *s, bool linger)
{
	struct smtpd_thread *thread = s->thread;
	struct fault fault = { 0 };
	size_t have = s->input.len, got = 0;
	ssize_t n;

	if (have > 0 && s->input.ptr != thread->input)
		memmove(thread->input, s->input.ptr, have);
	s->input = (struct span){ thread->input, have };
	if (s->tls != NULL) {
		switch (tls_read(s->tls, thread->input + have,
				 sizeof(thread->input) - have, &got, &fault)) {
		case TLS_DONE:
			s->input.len += got;
			return got > 0 ? IO_DONE : IO_AGAIN;
		case TLS_WANT_READ:
			return IO_AGAIN;
		case TLS_WANT_WRITE:
			return IO_WANT_WRITE;
		default:
			return IO_GONE;
		}
	}
	n = recv(s->ws.fd, thread->input + have, sizeof(thread->input) - have,
		 linger ? 0 : MSG_DONTWAIT);
	if (n > 0) {
		s->input.len += (size_t)n;
		return IO_DONE;
	}
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		return IO_AGAIN;
	return IO_GONE;
}

static enum io read_lingering(struct smtpd_session *s)
{
	_Atomic int *lingering = &s->server->lingering;
	enum io io;

	atomic_fetch_add_explicit(lingering, 1, memory_order_relaxed);
	io = read_more(s, true);
	atomic_fetch_sub_explicit(lingering, 1, memory_order_relaxed);
	return io;
}

/* ---- the run ---- */

static enum workers_next finish(struct smtpd_session *s)
{
	session_reset(s);
	if (s->tls != NULL && s->phase != PHASE_HANDSHAKE)
		tls_close(s->tls);
	session_log_disconnect(s);
	talloc_free(s);
	return WORKERS_END;
}

/* Between two messages, with nothing half read. */
static bool is_idle(const struct smtpd_session *s)
{
	return s->phase == PHASE_COMMAND && s->transaction == NULL &&
	       s->input.len == 0;
}

/* The end of the request that the client is in the middle of: it does not move
 * with every byte, only when a new request begins. */
static uint64_t request_end(struct smtpd_session *s, uint64_t latest_ms)
{
	if (s->request_ends_ms == 0 ||
	    (s->phase == PHASE_COMMAND && s->input.len == 0))
		s->request_ends_ms = latest_ms;
	return MIN_OF(s->request_ends_ms, latest_ms);
}

/* Bytes of content give a little more time, up to the whole of it. */
static void request_extend(struct smtpd_session *s, size_t bytes)
{
	const struct conf_values *v = &s->server->conf->v;

	if (v->smtpd_per_request_deadline && s->request_ends_ms != 0 &&
	    (s->phase == PHASE_DATA || s->phase == PHASE_BDAT))
		s->request_ends_ms += (uint64_t)bytes * 1000 /
				      (uint64_t)v->smtpd_min_data_rate;
}

static enum workers_next park(struct smtpd_session *s, uint32_t want)
{
	const struct conf_values *v = &s->server->conf->v;
	int timeout_s = s->phase == PHASE_HANDSHAKE ? v->smtpd_starttls_timeout :
						      v->smtpd_timeout;

	keep_output(s);
	if (s->input.ptr != s->unread.ptr || s->input.len == 0)
		keep(s, &s->unread, s->input);
	s->ws.want = want;
	s->ws.deadline_ms = clock_mono_ms() + (uint64_t)timeout_s * 1000;
	if (s->phase == PHASE_PROXY)
		s->ws.deadline_ms =
			s->accepted_ms +
			(uint64_t)v->smtpd_upstream_proxy_timeout * 1000;
	else if (v->smtpd_per_request_deadline &&
		 s->phase != PHASE_HANDSHAKE)
		s->ws.deadline_ms = request_end(s, s->ws.deadline_ms);
	return WORKERS_PARK;
}

static enum workers_next nap(struct smtpd_session *s)
{
	park(s, EPOLLIN);
	s->ws.deadline_ms = s->sleep_until_ms;
	return WORKERS_SLEEP;
}

static enum workers_next lost(struct smtpd_session *s)
{
	if (s->phase != PHASE_END)
		session_log_abort(s, "lost connection");
	return finish(s);
}

/* Until the answer is there; replies of before do not wait for it. */
static enum workers_next wait_for_answer(struct smtpd_session *s)
{
	if (flush(s) == IO_GONE)
		return lost(s);
	park(s, EPOLLIN);
	s->ws.deadline_ms = s->waits_until_ms;
	return WORKERS_SLEEP;
}

static void say_closing(struct smtpd_session *s)
{
	session_reply(s, "421 4.3.2 %s Error: server is shutting down",
		      s->server->conf->v.myhostname);
	session_end(s);
}

static enum workers_next work(struct smtpd_session *s, bool bytes_wait)
{
	bool linger = !bytes_wait, full;
	size_t before;
	enum io io;

	for (int reads = 0;;) {
		if (s->phase == PHASE_PROXY) {
			session_start_go_on(s);
			if (s->phase == PHASE_PROXY)
				return park(s, EPOLLIN);
		}
		if (s->phase == PHASE_HANDSHAKE) {
			enum tls_io tls = session_tls_go_on(s);

			if (tls == TLS_WANT_READ || tls == TLS_WANT_WRITE)
				return park(s, tls == TLS_WANT_READ ? EPOLLIN :
								      EPOLLOUT);
		}
		full = session_consume(s);
		if (s->waits_until_ms != 0)
			return wait_for_answer(s);
		if (s->sleep_until_ms != 0)
			return nap(s);
		io = flush(s);
		if (io == IO_GONE)
			return lost(s);
		if (io != IO_DONE)
			return park(s, io == IO_AGAIN ? EPOLLIN : EPOLLOUT);
		if (s->phase == PHASE_END)
			return finish(s);
		if (full || s->phase == PHASE_HANDSHAKE)
			continue; /* the replies are out: go on */
		if (is_idle(s) && atomic_load(&s->server->leaving)) {
			say_closing(s);
			continue;
		}
		if (linger && !(s->tls != NULL && tls_has_input(s->tls)) &&
		    (reads >= READS_PER_RUN || !may_linger(s)))
			return park(s, EPOLLIN);
		before = s->input.len;
		io = linger ? read_lingering(s) : read_more(s, false);
		if (io == IO_GONE)
			return lost(s);
		if (io != IO_DONE)
			return park(s, io == IO_AGAIN ? EPOLLIN : EPOLLOUT);
		reads++;
		linger = true;
		request_extend(s, s->input.len - before);
	}
}

static void timed_out(struct smtpd_session *s)
{
	if (s->phase == PHASE_PROXY) {
		session_proxy_failed(s, "timeout error");
		return;
	}
	session_log_abort(s, "timeout");
	if (s->phase != PHASE_HANDSHAKE && s->unsent.len == 0)
		session_reply(s, "421 4.4.2 %s Error: timeout exceeded",
			      s->server->conf->v.myhostname);
	s->phase = s->phase == PHASE_HANDSHAKE ? PHASE_HANDSHAKE : PHASE_END;
}

static enum workers_next sleep_on(struct smtpd_session *s, uint64_t until_ms)
{
	s->ws.deadline_ms = until_ms;
	return WORKERS_SLEEP;
}

static enum workers_next go(struct smtpd_session *s, unsigned woke)
{
	s->input = s->unread;
	if (s->sleep_until_ms != 0) {
		if (!(woke & WORKERS_DEADLINE))
			return sleep_on(s, s->sleep_until_ms);
		s->sleep_until_ms = 0;
	} else if (s->phase == PHASE_START && (woke & WORKERS_DRAIN)) {
		s->waits_until_ms = 0; /* not greeted yet: nothing is lost */
		say_closing(s);
	} else if (s->waits_until_ms != 0) {
		if (!(woke & (WORKERS_CALLED | WORKERS_DEADLINE)))
			return sleep_on(s, s->waits_until_ms);
		s->waits_until_ms = 0;
		if (s->phase == PHASE_START)
			session_start_go_on(s);
	} else if (woke & WORKERS_READY) {
		;
	} else if (woke & WORKERS_DEADLINE) {
		timed_out(s);
		if (s->phase == PHASE_HANDSHAKE || flush(s) != IO_DONE)
			return finish(s);
	} else if ((woke & WORKERS_DRAIN) && is_idle(s)) {
		say_closing(s);
	} else if (!(woke & WORKERS_NEW)) {
		return park(s, s->ws.want);
	}
	if (woke & WORKERS_NEW)
		session_start_go_on(s);
	return work(s, woke & WORKERS_READY);
}

enum workers_next smtpd_session_run(struct workers_session *ws,
				    struct worker *me, unsigned woke)
{
	struct smtpd_session *s = HOLDER_OF(ws, struct smtpd_session, ws);
	enum workers_next next;

	s->thread = me->local;
	buf_clear(&s->thread->output);
	next = go(s, woke);
	if (next != WORKERS_END)
		s->thread = NULL;
	return next;
}
