/* SPDX-License-Identifier: Apache-2.0 */
/* What is read as an address or a network is written as text that reads as the
 * same again. */
#include "net/address.h"
#include "net/dns.h"
#include "net/listen.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void address_again(struct span text)
{
	char written[NET_ADDRESS_TEXT_MAX], reverse[NET_REVERSE_TEXT_MAX];
	struct net_address address, again;

	if (!net_address_parse_literal(text, &address))
		return;
	net_address_text(&address, written);
	net_address_reverse(&address, reverse);
	assert(net_address_parse(span_from(written), &again));
	assert(net_address_eq(&address, &again));
}

static void network_again(struct span text)
{
	char written[NET_NETWORK_TEXT_MAX];
	struct net_network network, again;
	struct fault fault;

	if (net_network_parse(text, &network, &fault) != RC_OK)
		return;
	net_network_text(&network, written);
	assert(net_network_parse(span_from(written), &again, &fault) == RC_OK);
	assert(memcmp(&network, &again, sizeof(network)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span text = { (const char *)data, size }, host, port;

	address_again(text);
	network_again(text);
	if (net_host_port_split(text, &host, &port))
		assert(host.len + port.len <= text.len);
	dns_name_is_valid(text);
	return 0;
}
