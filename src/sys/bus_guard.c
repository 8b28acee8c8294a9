/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/bus_guard.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stddef.h>

static _Thread_local sigjmp_buf *way_out;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* Who had the signals before, and has them outside a guard. */
static struct sigaction before_bus, before_segv;

static void on_signal(int number)
{
	if (way_out != NULL)
		siglongjmp(*way_out, 1);
	/* The same read is made again, and fails again. */
	sigaction(number, number == SIGBUS ? &before_bus : &before_segv, NULL);
}

static void take(int number, struct sigaction *ret_before)
{
	/* Not blocked meanwhile, so that a guard saves no mask. */
	struct sigaction action = { .sa_handler = on_signal,
				    .sa_flags = SA_NODEFER };
	struct sigaction old;

	sigemptyset(&action.sa_mask);
	if (sigaction(number, &action, &old) == 0 &&
	    old.sa_handler != on_signal)
		*ret_before = old;
}

void bus_guard_install(void)
{
	take(SIGBUS, &before_bus);
	take(SIGSEGV, &before_segv);
}

bool bus_guard_run(void (*fn)(void *arg), void *arg)
{
	sigjmp_buf here;

	pthread_once(&once, bus_guard_install);
	if (sigsetjmp(here, 0) != 0) {
		way_out = NULL;
		return false;
	}
	way_out = &here;
	fn(arg);
	way_out = NULL;
	return true;
}
