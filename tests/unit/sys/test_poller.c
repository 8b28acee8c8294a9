/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/poller.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "sys/timer_heap_priv.h"

static struct poller *poller_new(void)
{
	struct poller *poller;

	assert_int_equal(poller_open(NULL, &poller, NULL), RC_OK);
	return poller;
}

struct item {
	uint32_t place;
	uint64_t due_ms;
};

static void the_heap_gives_the_earliest_whatever_happens_to_it(void **state)
{
	enum { COUNT = 5000, STEPS = 40000 };
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct item *items = mem_array(tmp, struct item, COUNT);
	struct timer_heap heap;
	uint64_t last = 0;
	size_t set = 0, gone = 0;

	srandom(1);
	timer_heap_init(&heap, tmp);
	for (int i = 0; i < STEPS; i++) {
		struct item *item = &items[random() % COUNT];

		if (random() % 3 == 0) {
			set -= item->place != 0;
			timer_heap_clear(&heap, &item->place);
			assert_int_equal(item->place, 0);
			continue;
		}
		set += item->place == 0;
		item->due_ms = (uint64_t)random() % 1000;
		timer_heap_set(&heap, &item->place, item->due_ms);
	}
	assert_int_equal(heap.count, set);
	while (timer_heap_first(&heap) != NULL) {
		const struct timer_heap_node *first = timer_heap_first(&heap);
		struct item *item = HOLDER_OF(first->place, struct item, place);

		assert_true(first->due_ms >= last);
		assert_int_equal(first->due_ms, item->due_ms);
		last = first->due_ms;
		timer_heap_clear(&heap, &item->place);
		gone++;
	}
	assert_int_equal(gone, set);
}

struct ticker {
	struct poller *poller;
	struct poller_timer timer, other;
	int fired;
};

static void tick_again(void *arg)
{
	struct ticker *t = arg;

	t->fired++;
	poller_timer_clear(t->poller, &t->other);
	/* In the past: must not keep the loop from coming round. */
	poller_timer_set(t->poller, &t->timer, 1);
	if (t->fired == 3)
		poller_stop(t->poller);
}

static void never(void *arg)
{
	fail_msg("a cleared timer fired");
}

static void a_timer_may_set_itself_and_clear_others(void **state)
{
	struct ticker t = { .poller = poller_new() };

	t.timer = (struct poller_timer){ .fired = tick_again, .arg = &t };
	t.other = (struct poller_timer){ .fired = never };
	poller_timer_set(t.poller, &t.timer, 1);
	poller_timer_set(t.poller, &t.other, 2);
	assert_int_equal(poller_run(t.poller, NULL), RC_OK);
	assert_int_equal(t.fired, 3);
	assert_true(poller_timer_is_set(&t.timer));
	assert_false(poller_timer_is_set(&t.other));
	talloc_free(t.poller);
}

static void count_up(void *arg)
{
	(*(int *)arg)++;
}

static void a_timer_waits_for_its_time(void **state)
{
	struct poller *poller = poller_new();
	uint64_t begun = clock_mono_ms();
	int fired = 0;
	struct poller_timer timer = { .fired = count_up, .arg = &fired };

	poller_timer_set(poller, &timer, begun + 30);
	while (fired == 0)
		assert_int_equal(poller_run_once(poller, -1, NULL), RC_OK);
	assert_true(clock_mono_ms() >= begun + 30);
	assert_true(poller_now_ms(poller) >= begun + 30);
	talloc_free(poller);
}

struct pair {
	struct poller *poller;
	struct poller_watch *mine, *theirs;
	int ends[2][2], calls;
};

/* Both are ready in one round; the first to be called ends both. */
static void end_both(void *arg, int fd, uint32_t events)
{
	struct pair *pair = arg;

	pair->calls++;
	TALLOC_FREE(pair->mine);
	TALLOC_FREE(pair->theirs);
}

static void a_watch_that_was_ended_is_not_called_in_the_same_round(void **state)
{
	struct pair pair = { .poller = poller_new() };
	struct poller_watch **watches[2] = { &pair.mine, &pair.theirs };

	for (int i = 0; i < 2; i++) {
		assert_int_equal(
			socketpair(AF_UNIX, SOCK_STREAM, 0, pair.ends[i]), 0);
		assert_int_equal(write(pair.ends[i][1], "x", 1), 1);
		assert_int_equal(poller_watch(NULL, pair.poller,
					      pair.ends[i][0], EPOLLIN,
					      end_both, &pair, watches[i],
					      NULL),
				 RC_OK);
	}
	assert_int_equal(poller_run_once(pair.poller, 0, NULL), RC_OK);
	assert_int_equal(poller_run_once(pair.poller, 0, NULL), RC_OK);
	assert_int_equal(pair.calls, 1);
	for (int i = 0; i < 2; i++) {
		close(pair.ends[i][0]);
		close(pair.ends[i][1]);
	}
	talloc_free(pair.poller);
}

static void seen(void *arg, int fd, uint32_t events)
{
	*(uint32_t *)arg = events;
}

static void only_what_is_wanted_is_reported(void **state)
{
	struct poller *poller = poller_new();
	struct poller_watch *watch;
	uint32_t events = 0;
	int ends[2], file;
	char path[] = "/tmp/postern-test-poller-XXXXXX";
	struct fault fault;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	assert_int_equal(write(ends[1], "x", 1), 1);
	assert_int_equal(poller_watch(NULL, poller, ends[0], 0, seen, &events,
				      &watch, NULL),
			 RC_OK);
	assert_int_equal(poller_run_once(poller, 0, NULL), RC_OK);
	assert_int_equal(events, 0);
	poller_watch_want(watch, EPOLLIN | EPOLLOUT);
	assert_int_equal(poller_run_once(poller, 0, NULL), RC_OK);
	assert_int_equal(events, EPOLLIN | EPOLLOUT);
	talloc_free(watch);
	close(ends[0]);
	close(ends[1]);
	file = mkstemp(path);
	unlink(path);
	assert_int_equal(poller_watch(NULL, poller, file, EPOLLIN, seen, NULL,
				      &watch, &fault),
			 RC_PERM);
	close(file);
	talloc_free(poller);
}

static void signal_seen(void *arg, int signal)
{
	*(int *)arg = signal;
}

static void signals_come_through_the_loop(void **state)
{
	struct poller *poller = poller_new();
	int got = 0, other = 0;

	assert_int_equal(
		poller_signal(poller, SIGUSR1, signal_seen, &got, NULL), RC_OK);
	assert_int_equal(
		poller_signal(poller, SIGHUP, signal_seen, &other, NULL),
		RC_OK);
	raise(SIGUSR1);
	assert_int_equal(got, 0);
	assert_int_equal(poller_run_once(poller, 1000, NULL), RC_OK);
	assert_int_equal(got, SIGUSR1);
	assert_int_equal(other, 0);
	talloc_free(poller);
}

static void *waker_main(void *arg)
{
	poller_wake(arg);
	return NULL;
}

static void another_thread_can_begin_a_round(void **state)
{
	struct poller *poller = poller_new();
	pthread_t thread;
	int rounds = 0;

	poller_round_hook(poller, count_up, &rounds);
	assert_int_equal(pthread_create(&thread, NULL, waker_main, poller), 0);
	assert_int_equal(poller_run_once(poller, -1, NULL), RC_OK);
	assert_int_equal(rounds, 1);
	pthread_join(thread, NULL);
	talloc_free(poller);
}

static void very_many_timers_are_no_burden(void **state)
{
	enum { COUNT = 200 * 1000 };
	struct poller *poller = poller_new();
	struct poller_timer *timers =
		mem_array(poller, struct poller_timer, COUNT);
	uint64_t begun = clock_mono_ms();
	int fired = 0;

	for (int i = 0; i < COUNT; i++) {
		timers[i].fired = count_up;
		timers[i].arg = &fired;
		poller_timer_set(poller, &timers[i],
				 1 + (uint64_t)(i * 7919L % COUNT));
	}
	while (fired < COUNT)
		assert_int_equal(poller_run_once(poller, -1, NULL), RC_OK);
	print_message("  set and fired in %llu ms\n",
		      (unsigned long long)(clock_mono_ms() - begun));
	talloc_free(poller);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			the_heap_gives_the_earliest_whatever_happens_to_it),
		cmocka_unit_test(a_timer_may_set_itself_and_clear_others),
		cmocka_unit_test(a_timer_waits_for_its_time),
		cmocka_unit_test(
			a_watch_that_was_ended_is_not_called_in_the_same_round),
		cmocka_unit_test(only_what_is_wanted_is_reported),
		cmocka_unit_test(signals_come_through_the_loop),
		cmocka_unit_test(another_thread_can_begin_a_round),
		cmocka_unit_test(very_many_timers_are_no_burden),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
