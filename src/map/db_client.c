/* SPDX-License-Identifier: Apache-2.0 */
#include "map/db_client.h"

#include <errno.h>
#include <poll.h>

#include "base/clock.h"

enum { ALONE_RETRY_MS = 5000 };

enum rc db_hosts_open(struct map *map, const struct db_hosts_settings *settings,
		      struct map_hosts **ret_hosts, struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(map);
	struct map_hosts_options options = {
		.kind = settings->kind,
		.arg = settings->arg,
		.flags = settings->flags,
		.back_off_max_ms = MIN_OF(settings->retry_s, 86400) * 1000,
		.idle_ms = MIN_OF(settings->idle_s, 86400) * 1000,
		.give_up_ms = DB_GIVE_UP_MS,
	};
	struct span rest = span_from(settings->hosts), host;
	size_t count = 0;

	for (struct span all = rest; span_token(&all, ", \t\r\n", &host);)
		count++;
	if (count < 2)
		options.back_off_max_ms =
			MIN_OF(options.back_off_max_ms, ALONE_RETRY_MS);
	*ret_hosts = map_hosts_new(map, &options);
	while (span_token(&rest, ", \t\r\n", &host))
		if (!map_hosts_add(*ret_hosts, mem_span_dup(tmp, host)))
			return fault_set(fault, RC_CONF, "4.3.5",
					 "%s: more than %d servers", map->name,
					 MAP_HOSTS_MAX);
	if (count == 0 && !map_hosts_add(*ret_hosts, "localhost"))
		return RC_CONF;
	return RC_OK;
}

void db_address_parse(TALLOC_CTX *mem, const char *text,
		      struct db_address *ret_address)
{
	struct span host = span_from(text), port = SPAN_OF("");
	ssize_t colon;

	*ret_address = (struct db_address){ NULL, "", "" };
	if (span_starts(host, "unix:"))
		host = span_skip(host, 5);
	else if (span_starts(host, "inet:"))
		host = span_skip(host, 5);
	if (span_starts(host, "/")) {
		ret_address->path = mem_span_dup(mem, host);
		return;
	}
	colon = span_rfind(host, ':');
	if (colon >= 0 &&
	    (span_find(host, ':') == colon || host.ptr[colon - 1] == ']')) {
		port = span_skip(host, (size_t)colon + 1);
		host = span_take(host, (size_t)colon);
	}
	if (span_starts(host, "[") && span_ends(host, "]"))
		host = (struct span){ host.ptr + 1, host.len - 2 };
	ret_address->host = mem_span_dup(mem, host);
	ret_address->port = mem_span_dup(mem, port);
}

char *db_message(TALLOC_CTX *mem, const char *message)
{
	struct span rest = span_trim(span_from(message)), word;
	struct buf out;

	buf_init(&out, mem, FAULT_TEXT_MAX_BYTES);
	while (span_token(&rest, " \t\r\n", &word)) {
		if (out.len > 0)
			buf_add_char(&out, ' ');
		buf_add(&out, word);
	}
	return mem_strdup(mem, out.len > 0 ? out.data : "no reason given");
}

bool db_wait(int fd, short events, uint64_t deadline_ms)
{
	struct pollfd poller = { .fd = fd, .events = events };

	for (;;) {
		uint64_t now_ms = clock_mono_ms();
		int ready;

		if (now_ms >= deadline_ms || fd < 0)
			return false;
		ready = poll(&poller, 1, (int)(deadline_ms - now_ms));
		if (ready > 0)
			return true;
		if (ready < 0 && errno != EINTR)
			return false;
	}
}

bool db_is_quiet(int fd)
{
	struct pollfd poller = { .fd = fd, .events = POLLIN };

	return fd >= 0 && poll(&poller, 1, 0) == 0;
}
