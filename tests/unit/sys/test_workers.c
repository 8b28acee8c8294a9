/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/workers.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"

enum { WAIT_MS = 20 * 1000, CLIENTS = 50, ROUNDS = 40 };

/* An echo session that keeps a check on the promises of the engine. */
struct echo {
	struct workers_session session;
	atomic_int running; /* never more than one */
	int plain;	    /* written without a lock: TSan watches */
};

struct world {
	atomic_int ended, deadlines, calls, drains, begun, done, refused;
	struct workers *workers;
};

static enum workers_next echo_end(struct echo *echo, struct world *world)
{
	close(echo->session.fd);
	talloc_free(echo);
	atomic_fetch_add(&world->ended, 1);
	return WORKERS_END;
}

static struct world *world_now;

static enum workers_next echo_run(struct workers_session *session,
				  struct worker *me, unsigned woke)
{
	struct echo *echo = HOLDER_OF(session, struct echo, session);
	char bytes[256];
	ssize_t got;

	assert_int_equal(atomic_fetch_add(&echo->running, 1), 0);
	echo->plain++;
	if (woke & WORKERS_DEADLINE)
		atomic_fetch_add(&world_now->deadlines, 1);
	if (woke & WORKERS_DRAIN)
		atomic_fetch_add(&world_now->drains, 1);
	if (woke & (WORKERS_DEADLINE | WORKERS_DRAIN))
		return echo_end(echo, world_now);
	while ((got = read(session->fd, bytes, sizeof(bytes))) > 0)
		assert_int_equal(write(session->fd, bytes, (size_t)got), got);
	if (got == 0 || errno != EAGAIN)
		return echo_end(echo, world_now);
	session->want = EPOLLIN;
	assert_int_equal(atomic_fetch_sub(&echo->running, 1), 1);
	return WORKERS_PARK;
}

static struct workers_session *echo_accepted(void *arg, struct worker *me,
					     int fd, int listener,
					     const struct sockaddr *peer,
					     socklen_t peer_size)
{
	struct echo *echo = mem_new(NULL, struct echo);

	assert_int_equal(peer->sa_family, AF_INET);
	assert_non_null(me->local);
	echo->session.run = echo_run;
	echo->session.fd = fd;
	return &echo->session;
}

static void refuse(void *arg, int fd, int listener)
{
	struct world *world = arg;

	assert_int_equal(send(fd, "421\n", 4, MSG_NOSIGNAL), 4);
	atomic_fetch_add(&world->refused, 1);
}

static void *thread_begin(void *arg, TALLOC_CTX *mem)
{
	struct world *world = arg;

	atomic_fetch_add(&world->begun, 1);
	return mem_strdup(mem, "local");
}

static void thread_end(void *arg, void *local)
{
	struct world *world = arg;

	assert_string_equal(local, "local");
	atomic_fetch_add(&world->done, 1);
}

static struct workers *engine(struct world *world, int threads, size_t sessions,
			      int idle_ms)
{
	struct workers_config config = { .max_threads = threads,
					 .max_sessions = sessions,
					 .idle_ms = idle_ms,
					 .arg = world,
					 .accepted = echo_accepted,
					 .refuse = refuse,
					 .thread_begin = thread_begin,
					 .thread_end = thread_end };
	struct fault fault;

	world_now = world;
	assert_int_equal(workers_open(NULL, &config, &world->workers, &fault),
			 RC_OK);
	return world->workers;
}

static int listen_any(struct sockaddr_in *ret_address)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(listen(fd, 1000), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &size), 0);
	*ret_address = in;
	return fd;
}

static int dial(const struct sockaddr_in *address)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(
		connect(fd, (const struct sockaddr *)address, sizeof(*address)),
		0);
	return fd;
}

static void expect_bytes(int fd, const char *want, size_t size)
{
	char got[64];
	size_t have = 0;

	while (have < size) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		ssize_t n;

		assert_true(poll(&p, 1, WAIT_MS) > 0);
		n = read(fd, got + have, sizeof(got) - have);
		assert_true(n > 0);
		have += (size_t)n;
	}
	assert_memory_equal(got, want, size);
}

static void wait_until(atomic_int *counter, int value)
{
	uint64_t end = clock_mono_ms() + WAIT_MS;

	while (atomic_load(counter) < value && clock_mono_ms() < end)
		usleep(1000);
	assert_true(atomic_load(counter) >= value);
}

static void every_client_gets_its_own_bytes_back(void **state)
{
	struct world world = { 0 };
	struct workers *workers = engine(&world, 8, 1000, 0);
	struct sockaddr_in address;
	int fds[CLIENTS];

	assert_int_equal(workers_listen(workers, listen_any(&address), 3, NULL),
			 RC_OK);
	for (int i = 0; i < CLIENTS; i++)
		fds[i] = dial(&address);
	for (int round = 0; round < ROUNDS; round++) {
		char text[32];

		for (int i = 0; i < CLIENTS; i++) {
			int n = snprintf(text, sizeof(text), "%d:%d\n", i,
					 round);

			assert_int_equal(write(fds[i], text, (size_t)n), n);
		}
		for (int i = 0; i < CLIENTS; i++) {
			int n = snprintf(text, sizeof(text), "%d:%d\n", i,
					 round);

			expect_bytes(fds[i], text, (size_t)n);
		}
	}
	assert_int_equal(workers_session_count(workers), CLIENTS);
	for (int i = 0; i < CLIENTS; i++)
		close(fds[i]);
	workers_drain(workers, false);
	assert_true(workers_wait_drained(workers, WAIT_MS));
	assert_int_equal(atomic_load(&world.ended), CLIENTS);
	talloc_free(workers);
	assert_int_equal(atomic_load(&world.begun), atomic_load(&world.done));
}

struct job {
	struct workers_session session;
	struct world *world;
	int step;
	uint64_t begun_ms;
};

static enum workers_next sleeper_run(struct workers_session *session,
				     struct worker *me, unsigned woke)
{
	struct job *job = HOLDER_OF(session, struct job, session);

	if (job->step++ == 0) {
		assert_int_equal(woke, WORKERS_NEW);
		job->begun_ms = clock_mono_ms();
		session->deadline_ms = job->begun_ms + 50;
		return WORKERS_SLEEP;
	}
	assert_int_equal(woke, WORKERS_DEADLINE);
	assert_true(clock_mono_ms() >= job->begun_ms + 50);
	atomic_fetch_add(&job->world->ended, 1);
	talloc_free(job);
	return WORKERS_END;
}

static void a_sleeping_session_holds_no_thread(void **state)
{
	struct world world = { 0 };
	struct workers *workers = engine(&world, 1, 2000, 0);
	uint64_t begun = clock_mono_ms();

	for (int i = 0; i < 1000; i++) {
		struct job *job = mem_new(NULL, struct job);

		job->session.run = sleeper_run;
		job->session.fd = -1;
		job->world = &world;
		assert_int_equal(workers_add(workers, &job->session, NULL),
				 RC_OK);
	}
	wait_until(&world.ended, 1000);
	/* One after the other they would have taken 50 s. */
	assert_true(clock_mono_ms() - begun < 40 * 1000);
	assert_int_equal(workers_thread_count(workers), 1);
	talloc_free(workers);
}

/* Parks with a pair of deadlines: the later first, then an earlier one. */
static enum workers_next deadline_run(struct workers_session *session,
				      struct worker *me, unsigned woke)
{
	struct job *job = HOLDER_OF(session, struct job, session);

	switch (job->step++) {
	case 0:
		session->deadline_ms = clock_mono_ms() + 3600 * 1000;
		return WORKERS_AGAIN;
	case 1: /* an earlier one replaces it */
		session->deadline_ms = clock_mono_ms() + 20;
		return WORKERS_PARK;
	case 2: /* a later one than the timer was set for */
		assert_int_equal(woke, WORKERS_DEADLINE);
		assert_int_equal(session->deadline_ms, 0);
		session->deadline_ms = clock_mono_ms() + 10;
		return WORKERS_PARK;
	default:
		assert_int_equal(woke, WORKERS_DEADLINE);
		close(session->fd);
		atomic_fetch_add(&job->world->deadlines, 1);
		talloc_free(job);
		return WORKERS_END;
	}
}

static void the_deadline_of_the_moment_counts(void **state)
{
	struct world world = { 0 };
	struct workers *workers = engine(&world, 4, 100, 0);
	int ends[20][2];

	for (int i = 0; i < 20; i++) {
		struct job *job = mem_new(NULL, struct job);

		assert_int_equal(socketpair(AF_UNIX,
					    SOCK_STREAM | SOCK_NONBLOCK, 0,
					    ends[i]),
				 0);
		job->session.run = deadline_run;
		job->session.fd = ends[i][0];
		job->session.want = EPOLLIN;
		job->world = &world;
		assert_int_equal(workers_add(workers, &job->session, NULL),
				 RC_OK);
	}
	wait_until(&world.deadlines, 20);
	talloc_free(workers);
	for (int i = 0; i < 20; i++)
		close(ends[i][1]);
}

static enum workers_next called_run(struct workers_session *session,
				    struct worker *me, unsigned woke)
{
	struct job *job = HOLDER_OF(session, struct job, session);

	if (woke & WORKERS_CALLED)
		job->step++;
	if (job->step == 0 || !(woke & WORKERS_DRAIN)) {
		atomic_store(&job->world->calls, job->step);
		return WORKERS_PARK;
	}
	atomic_fetch_add(&job->world->ended, 1);
	talloc_free(job);
	return WORKERS_END;
}

static void no_wake_up_is_lost_and_none_reaches_the_dead(void **state)
{
	struct world world = { 0 };
	struct workers *workers = engine(&world, 4, 100, 0);
	struct job *job = mem_new(NULL, struct job);
	struct workers_handle handle;

	job->session.run = called_run;
	job->session.fd = -1;
	job->world = &world;
	assert_int_equal(workers_add(workers, &job->session, NULL), RC_OK);
	handle = job->session.handle;
	for (int i = 1; i <= 500; i++) {
		workers_wake(workers, handle);
		wait_until(&world.calls, i);
	}
	workers_drain(workers, true);
	assert_true(workers_wait_drained(workers, WAIT_MS));
	assert_int_equal(atomic_load(&world.ended), 1);
	workers_wake(workers, handle); /* the slot is free: nothing happens */
	talloc_free(workers);
}

static void drain_tells_parked_sessions_and_refuses_new_ones(void **state)
{
	struct world world = { 0 };
	struct workers *workers = engine(&world, 4, 100, 0);
	struct sockaddr_in address;
	int fds[10], fd;

	assert_int_equal(workers_listen(workers, listen_any(&address), 0, NULL),
			 RC_OK);
	for (int i = 0; i < 10; i++) {
		fds[i] = dial(&address);
		assert_int_equal(write(fds[i], "x", 1), 1);
		expect_bytes(fds[i], "x", 1);
	}
	assert_false(workers_is_draining(workers));
	workers_drain(workers, true);
	assert_true(workers_wait_drained(workers, WAIT_MS));
	assert_int_equal(atomic_load(&world.drains), 10);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(
		connect(fd, (struct sockaddr *)&address, sizeof(address)), -1);
	close(fd);
	for (int i = 0; i < 10; i++)
		close(fds[i]);
	talloc_free(workers);
}

static void at_the_maximum_clients_wait_until_one_leaves(void **state)
{
	struct world world = { 0 };
	struct workers *workers = engine(&world, 4, 2, 0);
	struct sockaddr_in address;
	struct pollfd p = { .events = POLLIN };
	int a, b, c;

	assert_int_equal(workers_listen(workers, listen_any(&address), 0, NULL),
			 RC_OK);
	a = dial(&address);
	b = dial(&address);
	assert_int_equal(write(a, "a", 1) + write(b, "b", 1), 2);
	expect_bytes(a, "a", 1);
	expect_bytes(b, "b", 1);
	c = dial(&address);
	assert_int_equal(write(c, "c", 1), 1);
	p.fd = c;
	assert_int_equal(poll(&p, 1, 50), 0);
	close(a);
	expect_bytes(c, "c", 1);
	close(b);
	close(c);
	workers_drain(workers, false);
	assert_true(workers_wait_drained(workers, WAIT_MS));
	talloc_free(workers);
}

static void without_descriptors_the_client_is_told(void **state)
{
	struct world world = { 0 };
	struct workers *workers = engine(&world, 2, 100, 0);
	struct rlimit before, low;
	struct sockaddr_in address;
	int client;

	assert_int_equal(workers_listen(workers, listen_any(&address), 0, NULL),
			 RC_OK);
	client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	low = before;
	low.rlim_cur = (rlim_t)client + 1;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	assert_int_equal(
		connect(client, (struct sockaddr *)&address, sizeof(address)),
		0);
	expect_bytes(client, "421\n", 4);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	close(client);
	client = dial(&address); /* and it heals */
	assert_int_equal(write(client, "x", 1), 1);
	expect_bytes(client, "x", 1);
	close(client);
	workers_drain(workers, false);
	assert_true(workers_wait_drained(workers, WAIT_MS));
	talloc_free(workers);
}

static enum workers_next blocking_run(struct workers_session *session,
				      struct worker *me, unsigned woke)
{
	struct job *job = HOLDER_OF(session, struct job, session);
	struct world *world = job->world;

	/* All of them at once, or none gets past here. */
	atomic_fetch_add(&world->calls, 1);
	wait_until(&world->calls, 8);
	talloc_free(job);
	atomic_fetch_add(&world->ended, 1);
	return WORKERS_END;
}

static void threads_come_on_demand_and_leave_when_idle(void **state)
{
	struct world world = { 0 };
	struct workers *workers = engine(&world, 8, 100, 50);
	uint64_t end = clock_mono_ms() + WAIT_MS;

	for (int i = 0; i < 8; i++) {
		struct job *job = mem_new(NULL, struct job);

		job->session.run = blocking_run;
		job->session.fd = -1;
		job->world = &world;
		assert_int_equal(workers_add(workers, &job->session, NULL),
				 RC_OK);
	}
	wait_until(&world.ended, 8);
	assert_int_equal(atomic_load(&world.begun), 8);
	while (workers_thread_count(workers) > 1 && clock_mono_ms() < end)
		usleep(1000);
	assert_int_equal(workers_thread_count(workers), 1);
	talloc_free(workers);
}

/* Everything at once: each session echoes bytes, and at random sleeps, goes to
 * the end of the queue, has a short deadline, or ends to be begun anew. */
enum { STRESS_SESSIONS = 60, STRESS_BYTES = 300 };

struct stress_slot {
	_Atomic uint64_t handle; /* of whoever has this place now, or did */
	int ends[2];
};

struct stress {
	struct workers_session session;
	struct stress_slot *slot;
	struct world *world;
	atomic_int running;
	uint32_t random;
	int plain, got;
};

static uint32_t random_next(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 16;
}

static void handle_keep(struct stress *stress)
{
	struct workers_handle h = stress->session.handle;

	atomic_store(&stress->slot->handle,
		     (uint64_t)h.generation << 32 | h.slot);
}

static enum workers_next stress_run(struct workers_session *session,
				    struct worker *me, unsigned woke);

static struct stress *stress_new(struct stress_slot *slot, struct world *world,
				 uint32_t random, int got)
{
	struct stress *stress = mem_new(NULL, struct stress);

	stress->session.run = stress_run;
	stress->session.fd = slot->ends[0];
	stress->session.want = EPOLLIN;
	stress->slot = slot;
	stress->world = world;
	stress->random = random;
	stress->got = got;
	return stress;
}

/* It ends, and another takes over the same socket. */
static enum workers_next stress_replace(struct stress *old, struct worker *me)
{
	struct stress *fresh = stress_new(old->slot, old->world, old->random,
					  old->got);
	struct world *world = old->world;

	/* Closing the socket is what tells epoll that the old one is gone. */
	fresh->session.fd = dup(old->session.fd);
	fresh->slot->ends[0] = fresh->session.fd;
	close(old->session.fd);
	talloc_free(old);
	assert_int_equal(workers_add(world->workers, &fresh->session, NULL),
			 RC_OK);
	return WORKERS_END;
}

static enum workers_next stress_run(struct workers_session *session,
				    struct worker *me, unsigned woke)
{
	struct stress *stress = HOLDER_OF(session, struct stress, session);
	char byte;

	assert_int_equal(atomic_fetch_add(&stress->running, 1), 0);
	stress->plain++;
	if (woke & WORKERS_NEW)
		handle_keep(stress);
	while (read(session->fd, &byte, 1) == 1) {
		assert_int_equal(write(session->fd, &byte, 1), 1);
		stress->got++;
	}
	if (stress->got == STRESS_BYTES) {
		atomic_fetch_add(&stress->world->ended, 1);
		close(session->fd);
		talloc_free(stress);
		return WORKERS_END;
	}
	session->deadline_ms = 0;
	assert_int_equal(atomic_fetch_sub(&stress->running, 1), 1);
	switch (random_next(&stress->random) % 8) {
	case 0:
		return WORKERS_AGAIN;
	case 1:
		session->deadline_ms = clock_mono_ms() + 2;
		return WORKERS_SLEEP;
	case 2:
		return stress_replace(stress, me);
	case 3:
		session->deadline_ms =
			clock_mono_ms() + random_next(&stress->random) % 4;
		return WORKERS_PARK;
	default:
		return WORKERS_PARK;
	}
}

struct waker {
	struct world *world;
	struct stress_slot *slots;
	atomic_bool stop;
};

static void *waker_main(void *arg)
{
	struct waker *waker = arg;
	uint32_t seed = 7;

	while (!atomic_load(&waker->stop)) {
		uint64_t h = atomic_load(
			&waker->slots[random_next(&seed) % STRESS_SESSIONS]
				 .handle);

		workers_wake(waker->world->workers,
			     (struct workers_handle){ (uint32_t)h,
						      (uint32_t)(h >> 32) });
		if (seed % 16 == 0)
			sched_yield();
	}
	return NULL;
}

static void whatever_happens_at_once_no_byte_is_lost(void **state)
{
	struct world world = { 0 };
	struct workers *workers = engine(&world, 8, 1000, 20);
	struct stress_slot slots[STRESS_SESSIONS];
	struct waker waker = { .world = &world, .slots = slots };
	pthread_t thread;

	for (int i = 0; i < STRESS_SESSIONS; i++) {
		struct stress *stress;

		atomic_init(&slots[i].handle, 0);
		assert_int_equal(socketpair(AF_UNIX,
					    SOCK_STREAM | SOCK_NONBLOCK |
						    SOCK_CLOEXEC,
					    0, slots[i].ends),
				 0);
		stress = stress_new(&slots[i], &world, (uint32_t)i, 0);
		assert_int_equal(workers_add(workers, &stress->session, NULL),
				 RC_OK);
	}
	assert_int_equal(pthread_create(&thread, NULL, waker_main, &waker), 0);
	for (int n = 0; n < STRESS_BYTES; n++) {
		for (int i = 0; i < STRESS_SESSIONS; i++)
			assert_int_equal(write(slots[i].ends[1], "x", 1), 1);
		for (int i = 0; i < STRESS_SESSIONS; i++)
			expect_bytes(slots[i].ends[1], "x", 1);
	}
	wait_until(&world.ended, STRESS_SESSIONS);
	atomic_store(&waker.stop, true);
	pthread_join(thread, NULL);
	workers_drain(workers, false);
	assert_true(workers_wait_drained(workers, WAIT_MS));
	talloc_free(workers);
	for (int i = 0; i < STRESS_SESSIONS; i++)
		close(slots[i].ends[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_client_gets_its_own_bytes_back),
		cmocka_unit_test(a_sleeping_session_holds_no_thread),
		cmocka_unit_test(the_deadline_of_the_moment_counts),
		cmocka_unit_test(no_wake_up_is_lost_and_none_reaches_the_dead),
		cmocka_unit_test(
			drain_tells_parked_sessions_and_refuses_new_ones),
		cmocka_unit_test(at_the_maximum_clients_wait_until_one_leaves),
		cmocka_unit_test(without_descriptors_the_client_is_told),
		cmocka_unit_test(threads_come_on_demand_and_leave_when_idle),
		cmocka_unit_test(whatever_happens_at_once_no_byte_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
