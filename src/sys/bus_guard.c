/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/bus_guard.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stddef.h>

static _Thread_local sigjmp_buf *way_out;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* Outside a guard it is what it was: the end. */
static void on_bus(int signal_number)
{
	if (way_out != NULL)
		siglongjmp(*way_out, 1);
	signal(signal_number, SIG_DFL);
	raise(signal_number);
}

static void handler_set(void)
{
	/* Not blocked meanwhile, so that a guard saves no mask. */
	struct sigaction action = { .sa_handler = on_bus,
				    .sa_flags = SA_NODEFER };

	sigemptyset(&action.sa_mask);
	sigaction(SIGBUS, &action, NULL);
}

bool bus_guard_run(void (*fn)(void *arg), void *arg)
{
	sigjmp_buf here;

	pthread_once(&once, handler_set);
	if (sigsetjmp(here, 0) != 0) {
		way_out = NULL;
		return false;
	}
	way_out = &here;
	fn(arg);
	way_out = NULL;
	return true;
}
