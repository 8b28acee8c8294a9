/* SPDX-License-Identifier: Apache-2.0 */
/*
 * smtp - delivers to other hosts by SMTP; run as lmtp, by LMTP.
 */
#include "deliver/smtp/client.h"
#include "sys/log.h"

int main(int argc, char **argv)
{
	struct service *service = service_start(NULL, argc, argv);
	const bool lmtp = strcmp(service->program, "lmtp") == 0;
	struct agent_work work = { .deliver = smtp_client_deliver,
				   .tick = smtp_client_tick };
	struct smtp_client *client;
	struct fault fault;
	int status;

	if (smtp_client_open(service, service, lmtp, &client, &fault) != RC_OK)
		log_fatal("%s", fault.text);
	work.arg = client;
	if (agent_open(service, &work, &client->agent, &fault) != RC_OK ||
	    service_confine(service, &fault) != RC_OK)
		log_fatal("%s", fault.text);
	status = agent_run(client->agent);
	smtp_cache_expire(client->cache, true);
	return status;
}
