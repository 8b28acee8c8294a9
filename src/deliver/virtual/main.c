/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtual - delivers to mailboxes that tables name.
 */
#include "deliver/agent.h"
#include "deliver/virtual/virtual.h"
#include "sys/log.h"

int main(int argc, char **argv)
{
	struct service *service = service_start(NULL, argc, argv);
	struct agent_work work = {.deliver = virtual_deliver};
	struct virtual *virtual;
	struct agent *agent;
	struct fault fault;

	if (virtual_open(service, service, &virtual, &fault) != RC_OK)
		log_fatal("%s", fault.text);
	work.arg = virtual;
	if (agent_open(service, &work, &agent, &fault) != RC_OK ||
	    service_confine(service, &fault) != RC_OK)
		log_fatal("%s", fault.text);
	return agent_run(agent);
}
