/* SPDX-License-Identifier: Apache-2.0 */
/*
 * error - bounces every recipient with the text of the next hop; as the service
 * "retry" it defers them.
 */
#include "deliver/agent.h"
#include "deliver/confine.h"
#include "deliver/nexthop_text.h"
#include "sys/log.h"

static void error_deliver(void *arg, struct delivery *d)
{
	const struct service *service = arg;

	if (span_is(span_from(service->name), "retry"))
		nexthop_text_settle(d, DELIVERY_DEFERRED, "4.0.0");
	else
		nexthop_text_settle(d, DELIVERY_BOUNCED, "5.0.0");
}

int main(int argc, char **argv)
{
	struct service *service = service_start(NULL, argc, argv);
	const struct agent_work work = {.deliver = error_deliver,
					.arg = service};
	struct agent *agent;
	struct fault fault;

	if (agent_open(service, &work, &agent, &fault) != RC_OK ||
	    confine_reader(service, NULL, &fault) != RC_OK)
		log_fatal("%s", fault.text);
	return agent_run(agent);
}
