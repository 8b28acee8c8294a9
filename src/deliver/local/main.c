/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local - delivers to the users of this machine.
 */
#include "deliver/agent.h"
#include "deliver/local/local.h"
#include "sys/log.h"

int main(int argc, char **argv)
{
	struct service *service = service_start(NULL, argc, argv);
	struct agent_work work = {.deliver = local_deliver};
	struct local *local;
	struct agent *agent;
	struct fault fault;

	if (local_open(service, service, &local, &fault) != RC_OK)
		log_fatal("%s", fault.text);
	work.arg = local;
	if (agent_open(service, &work, &agent, &fault) != RC_OK ||
	    service_confine(service, &fault) != RC_OK)
		log_fatal("%s", fault.text);
	return agent_run(agent);
}
