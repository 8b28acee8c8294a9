/* SPDX-License-Identifier: Apache-2.0 */
/*
 * control - the service's end of its socket to the master.
 *
 * Shape    one CONTROL_* packet of queue/wire.h each
 * Errors   a socket that cannot be read any more is ORDER_MASTER_GONE
 * Threads  one thread of the service reads it
 */
#pragma once

#include "conf/service.h"

enum control_order {
	ORDER_NONE,	   /* nothing there, or done already (a new log file) */
	ORDER_DRAIN,	   /* a successor serves: finish what is begun */
	ORDER_END,	   /* the whole system ends: be quick */
	ORDER_RELOAD,	   /* read the configuration again */
	ORDER_WAKEUP,	   /* look for work */
	ORDER_MASTER_GONE, /* end; do not watch the socket any longer */
};

/* Does not block. A new log file is taken into use here. */
enum control_order control_receive(const struct service *service);
/* Initialised: the master may pass work to it. */
void control_say_ready(const struct service *service);
