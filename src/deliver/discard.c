/* SPDX-License-Identifier: Apache-2.0 */
/*
 * discard - drops mail on purpose; the next hop is what the log gives as the
 * reason.
 */
#include "deliver/agent.h"
#include "deliver/confine.h"
#include "deliver/nexthop_text.h"
#include "sys/log.h"

static void discard_deliver(void *arg, struct delivery *d)
{
	nexthop_text_settle(d, DELIVERY_SENT, "2.0.0");
}

int main(int argc, char **argv)
{
	struct service *service = service_start(NULL, argc, argv);
	const struct agent_work work = {.deliver = discard_deliver};
	struct agent *agent;
	struct fault fault;

	if (agent_open(service, &work, &agent, &fault) != RC_OK ||
	    confine_reader(service, NULL, &fault) != RC_OK)
		log_fatal("%s", fault.text);
	return agent_run(agent);
}
