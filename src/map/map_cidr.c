/* SPDX-License-Identifier: Apache-2.0 */
#include "map/net_pattern.h"
#include "map/rule_table.h"

static const char *cidr_read(TALLOC_CTX *mem, const struct map *map,
			     struct span *rest, struct rule *rule)
{
	struct net_pattern *net = mem_new(mem, struct net_pattern);
	char problem[NET_PATTERN_PROBLEM_MAX];
	struct span word;

	if (!span_token(rest, " \t\r\n", &word))
		return "no address pattern";
	if (net_pattern_parse_or_say(word, net, problem) != NULL)
		return mem_strdup(mem, problem);
	rule->pattern = net;
	return NULL;
}

static bool cidr_begin(struct rule_key *key)
{
	return net_pattern_address_parse(key->text, &key->address);
}

static void cidr_end(struct rule_key *key)
{
}

static enum rc cidr_match(const struct rule *rule, struct rule_key *key,
			  struct rule_captures *ret_captures,
			  struct fault *fault)
{
	const struct net_pattern *net = rule->pattern;

	/* The other kind of address neither matches nor fails to. */
	if (key->address.size != net->address.size)
		return RC_PERM;
	return net_pattern_match(net, &key->address) ? RC_OK : RC_NONE;
}

static const struct rule_kind cidr_kind = {
	.name = "cidr",
	.read = cidr_read,
	.begin = cidr_begin,
	.end = cidr_end,
	.match = cidr_match,
};

static enum rc cidr_open(struct map *map, struct fault *fault)
{
	return rule_map_open(map, &cidr_kind, fault);
}

const struct map_driver map_driver_cidr = {
	.type = "cidr",
	.can = MAP_SHARED_BY_THREADS | MAP_PATTERN | MAP_NEEDS_NAME,
	.open = cidr_open,
	.lookup = rule_map_lookup,
	.needs_restart = rule_map_needs_restart,
};
