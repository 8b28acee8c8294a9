/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verify service: answers smtpd about addresses, has probes made, hears
 * from qmgr what became of them.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

#include "base/clock.h"
#include "queue/control.h"
#include "report/verify.h"
#include "report/verify_work.h"
#include "sys/log.h"
#include "sys/poller.h"
#include "sys/socket_unix.h"

enum {
	MEMORY_BUDGET_BYTES = 16 * 1024 * 1024,
	COMMIT_TIMEOUT_MS = 10000,
	TICK_MS = 1000,
	PEERS_MAX = 1000,
	PACKETS_A_TURN = 64,
};

#define LAST_CLEANUP "_LAST_CACHE_CLEANUP_COMPLETED_"

struct peer;

struct program {
	struct service *service;
	struct poller *poller;
	struct poller_watch *control;
	struct poller_timer tick;
	struct intake *intake;
	struct verify *verify;
	struct verify_work *work;
	struct peer *peers;
	uint32_t peer_count;
	uint64_t last_peer;
	int qmgr_fd; /* results come here; -1: not connected */
	struct poller_watch *qmgr_watch;
	int64_t clean_next_s;
	bool has_table;
};

/* An smtpd. */
struct peer {
	struct program *program;
	struct peer *prev, *next;
	uint64_t id;
	int fd;
	struct poller_watch *watch;
};

static int64_t now_s(void)
{
	return (int64_t)(clock_wall_us() / 1000000);
}

/* ---- results, from qmgr ---- */

static void qmgr_drop(struct program *program)
{
	TALLOC_FREE(program->qmgr_watch);
	close(program->qmgr_fd);
	program->qmgr_fd = -1;
}

static void probed_take(void *arg, struct packet_in *in)
{
	struct program *program = arg;
	static const enum verify_status statuses[] = {
		[DELIVERY_SENT] = VERIFY_OK,
		[DELIVERY_DEFERRED] = VERIFY_DEFER,
		[DELIVERY_BOUNCED] = VERIFY_BOUNCE,
	};
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	const char *address = packet_take_text(in, tmp);
	const char *original = packet_take_text(in, tmp);
	uint32_t action = packet_take_u32(in);
	const char *text = packet_take_text(in, tmp);
	int64_t when_s = now_s();

	if (in->bad || in->type != WIRE_PROBED ||
	    action >= ARRAY_LEN(statuses)) {
		log_warning("unexpected packet of the queue manager");
		return;
	}
	if (strlen(address) <= VERIFY_ADDRESS_MAX_BYTES)
		verify_result(program->verify, address, statuses[action], text,
			      when_s);
	if (original[0] != '\0' && strcmp(original, address) != 0)
		verify_result(program->verify, original, statuses[action], text,
			      when_s);
}

/* What has come, but not all that a busy peer can send. false: the peer is
 * gone. */
static bool packets_take(int fd, void (*take)(void *arg, struct packet_in *in),
			 void *arg)
{
	for (int i = 0; i < PACKETS_A_TURN; i++) {
		SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
		struct packet_in in;
		struct fault fault;
		enum rc rc = packet_receive(tmp, fd, &in, &fault);

		if (rc != RC_OK)
			return rc == RC_NONE;
		if (in.fd >= 0)
			close(packet_take_fd(&in));
		take(arg, &in);
	}
	return true;
}

static void qmgr_ready(void *arg, int fd, uint32_t events)
{
	if (!packets_take(fd, probed_take, arg))
		qmgr_drop(arg);
}

static bool qmgr_connect(struct program *program)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	const struct conf_values *v = &program->service->conf->v;
	struct packet_out out;
	struct fault fault;

	if (program->qmgr_fd >= 0)
		return true;
	if (socket_unix_connect(
		    AT_FDCWD, mem_printf(tmp, "public/%s", v->queue_service_name),
		    SOCK_SEQPACKET, SOCK_NONBLOCK, &program->qmgr_fd,
		    &fault) != RC_OK) {
		program->qmgr_fd = -1;
		return false;
	}
	packet_begin(&out, tmp, WIRE_PROBES_HELLO);
	if (packet_send(program->qmgr_fd, &out, &fault) == RC_OK &&
	    poller_watch(program->service, program->poller, program->qmgr_fd,
			 EPOLLIN, qmgr_ready, program, &program->qmgr_watch,
			 &fault) == RC_OK)
		return true;
	qmgr_drop(program);
	return false;
}

/* ---- what the state machine asks for ---- */

static void do_probe(void *arg, const char *address)
{
	struct program *program = arg;

	/* Not connected, it is tried all the same: it will be by then. */
	(void)qmgr_connect(program);
	verify_work_probe(program->work, address);
}

static void do_find(void *arg, const char *address)
{
	struct program *program = arg;

	verify_work_find(program->work, address);
}

static void do_save(void *arg, const char *address, const char *text)
{
	struct program *program = arg;

	verify_work_save(program->work, address, text);
}

static void do_answer(void *arg, struct verify_waiter waiter,
		      enum verify_status status, const char *text)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct program *program = arg;
	struct packet_out out;
	struct fault fault;
	struct peer *peer;

	DL_SEARCH_SCALAR(program->peers, peer, id, waiter.peer);
	if (peer == NULL)
		return;
	packet_begin(&out, tmp, WIRE_VERIFIED);
	packet_put_u64(&out, waiter.number);
	packet_put_u32(&out, status);
	packet_put_text(&out, text);
	/* One that does not read is answered no more; it gives up by itself. */
	if (packet_send(peer->fd, &out, &fault) == RC_TEMP)
		log_warning("answer: %s", fault.text);
}

/* ---- questions, from smtpd ---- */

static void peer_close(struct peer *peer)
{
	struct program *program = peer->program;

	verify_peer_gone(program->verify, peer->id);
	TALLOC_FREE(peer->watch);
	close(peer->fd);
	DL_DELETE(program->peers, peer);
	program->peer_count--;
	talloc_free(peer);
}

static void question_take(void *arg, struct packet_in *in)
{
	struct peer *peer = arg;
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct verify_waiter waiter = { .peer = peer->id };
	const char *address;

	waiter.number = packet_take_u64(in);
	address = packet_take_text(in, tmp);
	if (in->bad || in->type != WIRE_VERIFY) {
		log_warning("malformed request of type %d", in->type);
		return;
	}
	if (strlen(address) > VERIFY_ADDRESS_MAX_BYTES)
		do_answer(peer->program, waiter, VERIFY_BOUNCE,
			  "address is too long");
	else
		verify_ask(peer->program->verify, address, waiter, now_s());
}

static void peer_ready(void *arg, int fd, uint32_t events)
{
	if (!packets_take(fd, question_take, arg))
		peer_close(arg);
}

static void listen_ready(void *arg, int listen_fd, uint32_t events)
{
	struct program *program = arg;
	struct peer *peer;
	struct ucred cred;
	struct fault fault;
	int fd;

	if (socket_unix_accept(listen_fd, SOCK_NONBLOCK, &fd, &fault) != RC_OK)
		return;
	if (program->peer_count >= PEERS_MAX ||
	    socket_unix_peer(fd, &cred, &fault) != RC_OK ||
	    (cred.uid != 0 && cred.uid != geteuid())) {
		close(fd);
		return;
	}
	peer = mem_new(program->service, struct peer);
	peer->program = program;
	peer->fd = fd;
	peer->id = ++program->last_peer;
	program->peer_count++;
	DL_APPEND(program->peers, peer);
	if (poller_watch(peer, program->poller, fd, EPOLLIN, peer_ready, peer,
			 &peer->watch, &fault) != RC_OK) {
		log_warning("%s", fault.text);
		peer_close(peer);
	}
}

/* ---- time ---- */

static void clean(struct program *program)
{
	const struct conf_values *v = &program->service->conf->v;
	uint32_t retained, dropped;
	char text[32];

	if (v->address_verify_cache_cleanup_interval <= 0 ||
	    now_s() < program->clean_next_s)
		return;
	program->clean_next_s =
		now_s() + v->address_verify_cache_cleanup_interval;
	verify_clean(program->verify, now_s(), &retained, &dropped);
	if (!program->has_table)
		return;
	snprintf(text, sizeof(text), "%lld", (long long)now_s());
	verify_work_save(program->work, LAST_CLEANUP, text);
	log_info("cache %s full cleanup: retained=%u dropped=%u entries",
		 v->address_verify_map, retained, dropped);
}

static void tick(void *arg)
{
	struct program *program = arg;

	intake_qmgr_check(program->intake);
	(void)qmgr_connect(program);
	clean(program);
	verify_work_flush(program->work);
	poller_timer_set(program->poller, &program->tick,
			 clock_mono_ms() + TICK_MS);
}

/* What threads have done. */
static void round_end(void *arg)
{
	struct program *program = arg;
	struct verify_done done;

	while (verify_work_done(program->work, &done)) {
		if (done.what == VERIFY_DONE_FIND)
			verify_found(program->verify, done.address, done.text,
				     now_s());
		else if (done.failed)
			verify_probe_failed(program->verify, done.address);
	}
}

static void wake(void *arg)
{
	struct program *program = arg;

	poller_wake(program->poller);
}

/* ---- begin and end ---- */

static void control_ready(void *arg, int fd, uint32_t events)
{
	struct program *program = arg;

	switch (control_receive(program->service)) {
	case ORDER_MASTER_GONE:
		TALLOC_FREE(program->control);
		poller_stop(program->poller);
		break;
	case ORDER_DRAIN:
	case ORDER_END:
	case ORDER_RELOAD: /* a new configuration is a new process */
		poller_stop(program->poller);
		break;
	case ORDER_WAKEUP:
	case ORDER_NONE:
		break;
	}
}

static void terminated(void *arg, int signal)
{
	poller_stop(((struct program *)arg)->poller);
}

static void load_one(void *arg, struct span key, struct span value)
{
	struct program *program = arg;

	verify_load(program->verify, key, value, now_s());
}

static void state_open(struct program *program, TALLOC_CTX *mem)
{
	const struct conf_values *v = &program->service->conf->v;
	const struct verify_settings settings = {
		.positive_expire_s = v->address_verify_positive_expire_time,
		.positive_refresh_s = v->address_verify_positive_refresh_time,
		.negative_expire_s = v->address_verify_negative_expire_time,
		.negative_refresh_s = v->address_verify_negative_refresh_time,
		.negative_cache = v->address_verify_negative_cache,
		.pending_max =
			(uint32_t)v->address_verify_pending_request_limit,
	};
	static const struct verify_ops ops = {
		.probe = do_probe,
		.find = do_find,
		.save = do_save,
		.answer = do_answer,
	};
	struct fault fault = { 0 };
	enum rc rc;

	program->verify = verify_new(mem, &settings, &ops, program);
	rc = verify_work_load(program->work, load_one, program,
			      &program->has_table, &fault);
	if (rc != RC_OK && rc != RC_NONE)
		log_fatal("address_verify_map: %s", fault.text);
	if (rc == RC_OK || !program->has_table)
		verify_all_loaded(program->verify);
}

static enum rc queue_open(struct program *program, TALLOC_CTX *mem,
			  struct fault *fault)
{
	struct conf *conf = program->service->conf;
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	const struct intake_config config = {
		.queue_directory = ".",
		.writer = program->service->name,
		.qmgr_socket = mem_printf(tmp, "public/%s",
					  conf->v.queue_service_name),
		.memory_budget_bytes = MEMORY_BUDGET_BYTES,
		.min_free_bytes = (uint64_t)conf->v.queue_minfree,
		.long_queue_ids = conf->v.enable_long_queue_ids,
		.commit_timeout_ms = COMMIT_TIMEOUT_MS,
	};
	struct verify_work_setup setup = {
		.conf = conf,
		.wake = wake,
		.arg = program,
	};

	if (intake_open(mem, &config, &program->intake, fault) != RC_OK)
		return fault->rc;
	setup.intake = program->intake;
	return verify_work_open(mem, &setup, &program->work, fault);
}

static void program_open(struct program *program, TALLOC_CTX *mem)
{
	struct fault fault;

	program->qmgr_fd = -1;
	/* Its table is not in the queue directory, and is opened again and
	 * again. */
	program->service->chroot = false;
	if (poller_open(mem, &program->poller, &fault) != RC_OK ||
	    poller_signal(program->poller, SIGTERM, terminated, program,
			  &fault) != RC_OK ||
	    service_confine(program->service, &fault) != RC_OK ||
	    queue_open(program, mem, &fault) != RC_OK ||
	    poller_watch(mem, program->poller, program->service->control_fd,
			 EPOLLIN, control_ready, program, &program->control,
			 &fault) != RC_OK)
		log_fatal("%s", fault.text);
	state_open(program, mem);
	for (int i = 0; i < program->service->listen_count; i++) {
		struct poller_watch *watch;

		if (poller_watch(mem, program->poller, SERVICE_LISTEN_FD + i,
				 EPOLLIN, listen_ready, program, &watch,
				 &fault) != RC_OK)
			log_fatal("%s", fault.text);
	}
	poller_round_hook(program->poller, round_end, program);
	program->tick.fired = tick;
	program->tick.arg = program;
	tick(program);
}

int main(int argc, char **argv)
{
	TALLOC_CTX *mem = talloc_new(NULL);
	struct program program = { 0 };
	struct fault fault;

	program.service = service_start(mem, argc, argv);
	program_open(&program, mem);
	control_say_ready(program.service);
	if (poller_run(program.poller, &fault) != RC_OK)
		log_fatal("%s", fault.text);
	verify_work_end(program.work);
	talloc_free(program.service); /* watches that use the poller too */
	talloc_free(mem);
	return 0;
}
