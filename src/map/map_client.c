/* SPDX-License-Identifier: Apache-2.0 */
#include "map/map_client.h"

struct map_client {
	struct map_client_options options;
	struct map_hosts *hosts;
	struct net_endpoint **endpoints;
	size_t count;
};

/* A connection that is kept. */
struct link {
	const struct net_endpoint *endpoint;
	struct net_stream *stream;
};

static enum rc link_open(void *arg, const char *host, void **ret_link,
			 struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct map_client *client = arg;
	const struct map_client_options *o = &client->options;
	struct link *link = mem_new(tmp, struct link);
	size_t i = 0;
	enum rc rc;

	while (strcmp(client->endpoints[i]->text, host) != 0)
		i++;
	link->endpoint = client->endpoints[i];
	rc = net_endpoint_connect(link, link->endpoint, &link->stream, fault);
	if (rc != RC_OK)
		return rc;
	net_stream_set_timeout(link->stream, o->io_ms);
	if (o->greet != NULL)
		rc = o->greet(o->arg, link, link->endpoint, link->stream,
			      fault);
	if (rc != RC_OK) {
		fault_add(fault, "%s", host);
		return RC_TEMP;
	}
	*ret_link = talloc_steal(NULL, link);
	return RC_OK;
}

static bool link_is_good(void *arg)
{
	struct link *link = arg;

	return !net_stream_is_stale(link->stream);
}

static const struct map_hosts_kind link_kind = {
	.connect = link_open,
	.is_good = link_is_good,
};

struct map_client *map_client_new(TALLOC_CTX *mem,
				  const struct map_client_options *options)
{
	struct map_client *client = mem_new(mem, struct map_client);
	const struct map_hosts_options hosts = {
		.kind = &link_kind,
		.arg = client,
		.idle_ms = options->idle_ms,
		.back_off_ms = options->back_off_ms,
		.back_off_max_ms = options->back_off_max_ms,
		.give_up_ms = options->connect_ms + options->io_ms,
	};

	client->options = *options;
	client->hosts = map_hosts_new(client, &hosts);
	return client;
}

enum rc map_client_add(struct map_client *client, struct span text,
		       uint16_t default_port, struct fault *fault)
{
	struct net_endpoint *endpoint;
	enum rc rc = net_endpoint_parse(client, text, default_port,
					client->options.connect_ms, &endpoint,
					fault);

	if (rc != RC_OK)
		return rc;
	if (!map_hosts_add(client->hosts, endpoint->text))
		return fault_set(fault, RC_CONF, "4.3.5",
				 "more than %d servers", MAP_HOSTS_MAX);
	client->endpoints =
		mem_resize(client, client->endpoints, struct net_endpoint *,
			   client->count + 1);
	client->endpoints[client->count++] = endpoint;
	return RC_OK;
}

struct asking {
	TALLOC_CTX *mem;
	map_client_ask_fn *ask;
	void *question;
};

static enum rc link_ask(void *arg, void *connection, bool *ret_broken,
			struct fault *fault)
{
	const struct asking *asking = arg;
	struct link *link = connection;
	struct wire wire = { asking->mem, link->stream, fault, false, false };
	enum rc rc = asking->ask(asking->question, &wire);

	wire.elsewhere |= net_stream_trouble(link->stream) != NET_FINE;
	*ret_broken = wire.broken || wire.elsewhere;
	if (rc == RC_OK || rc == RC_NONE)
		return rc;
	fault_add(fault, "%s", link->endpoint->text);
	/* One answer that makes no sense does not make the server dead for
	 * all others: RC_CONF is not asked again. */
	return wire.elsewhere ? RC_TEMP : RC_CONF;
}

enum rc map_client_ask(struct map_client *client, TALLOC_CTX *mem,
		       map_client_ask_fn *ask, void *question,
		       struct fault *fault)
{
	struct asking asking = { mem, ask, question };

	enum rc rc = map_hosts_ask(client->hosts, link_ask, &asking, fault);

	if (rc == RC_OK || rc == RC_NONE)
		return rc;
	if (fault != NULL)
		fault->rc = RC_TEMP;
	return RC_TEMP;
}
