/* SPDX-License-Identifier: Apache-2.0 */
/*
 * smtp - delivers to other hosts by SMTP; run as lmtp, by LMTP.
 */
#include "deliver/confine.h"
#include "deliver/smtp/client.h"
#include "sys/log.h"

static enum rc confine(struct service *service,
		       const struct smtp_client *client, struct fault *fault)
{
	const struct smtp_settings *s = &client->settings;
	const char *prefix = s->lmtp ? "lmtp" : "smtp";
	const struct conf *conf = service->conf;
	const char *const texts[] = {
	    s->generic_maps,
	    s->tls_policy_maps,
	    conf->config_directory,
	    conf_text(conf, mem_printf(service, "%s_tls_CApath", prefix)),
	    conf_text(conf, mem_printf(service, "%s_tls_CAfile", prefix)),
	    conf_text(conf,
		      mem_printf(service, "%s_delivery_status_filter", prefix)),
	    NULL,
	};

	return confine_reader(service, texts, fault);
}

int main(int argc, char **argv)
{
	struct service *service = service_start(NULL, argc, argv);
	const bool lmtp = strcmp(service->program, "lmtp") == 0;
	struct agent_work work = {.deliver = smtp_client_deliver,
				  .tick = smtp_client_tick};
	struct smtp_client *client;
	struct fault fault;
	int status;

	if (smtp_client_open(service, service, lmtp, &client, &fault) != RC_OK)
		log_fatal("%s", fault.text);
	work.arg = client;
	if (agent_open(service, &work, &client->agent, &fault) != RC_OK ||
	    confine(service, client, &fault) != RC_OK)
		log_fatal("%s", fault.text);
	status = agent_run(client->agent);
	smtp_cache_expire(client->cache, true);
	return status;
}
