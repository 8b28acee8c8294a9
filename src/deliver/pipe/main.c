/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pipe - delivers to a command of master.cf.
 */
#include "deliver/agent.h"
#include "deliver/pipe/pipe.h"
#include "sys/log.h"

int main(int argc, char **argv)
{
	struct service *service = service_start(NULL, argc, argv);
	struct agent_work work = {.deliver = pipe_deliver};
	struct pipe *pipe;
	struct agent *agent;
	struct fault fault;

	if (pipe_open(service, service, &pipe, &fault) != RC_OK)
		log_fatal("%s", fault.text);
	work.arg = pipe;
	if (agent_open(service, &work, &agent, &fault) != RC_OK ||
	    service_confine(service, &fault) != RC_OK)
		log_fatal("%s", fault.text);
	return agent_run(agent);
}
