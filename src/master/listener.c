/* SPDX-License-Identifier: Apache-2.0 */
#include "master/listener.h"

#include <fcntl.h>
#include <unistd.h>

#include "net/listen.h"
#include "sys/socket_unix.h"

/* Byte-stream services; every other program here speaks packets. */
static int unix_socket_type(const struct master_entry *entry)
{
	if (entry->type == SERVICE_UNIX_DGRAM)
		return SOCK_DGRAM;
	return span_is(span_from(entry->program), "spawn") ? SOCK_STREAM :
							     SOCK_SEQPACKET;
}

static enum rc listener_open_unix(struct slot *slot, struct fault *fault)
{
	const struct master_entry *entry = slot->entry;
	char *path = mem_printf(slot, "%s/%s",
				entry->is_private ? "private" : "public",
				entry->name);
	int fd;

	if (socket_unix_listen(AT_FDCWD, path, unix_socket_type(entry), 0666,
			       &fd, fault) != RC_OK)
		return fault->rc;
	slot->listen_fds = mem_array(slot, int, 1);
	slot->listen_fds[slot->listen_count++] = fd;
	return RC_OK;
}

static enum rc listener_open_inet(const struct conf *conf, struct slot *slot,
				  struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct net_protocols protocols;
	struct net_address *list;
	size_t count;

	if (net_protocols_parse(conf->v.inet_protocols, &protocols, fault) !=
		    RC_OK ||
	    net_listen_resolve(tmp, slot->entry->name, conf->v.inet_interfaces,
			       protocols, &list, &count, fault) != RC_OK)
		return fault->rc;
	if (count > SERVICE_LISTEN_MAX)
		return fault_set(fault, RC_CONF, "4.3.5",
				 "%zu addresses, the most for one service is %d",
				 count, SERVICE_LISTEN_MAX);
	slot->listen_fds = mem_array(slot, int, count + 1);
	for (size_t i = 0; i < count; i++) {
		enum rc rc = net_listen_open(&list[i], SOMAXCONN,
					     &slot->listen_fds[slot->listen_count],
					     fault);

		if (rc == RC_OK)
			slot->listen_count++;
		else if (rc != RC_NONE)
			return rc;
	}
	if (slot->listen_count == 0)
		return fault_set(fault, RC_CONF, "4.3.5",
				 "no address to listen on: inet_interfaces = %s, "
				 "inet_protocols = %s",
				 conf->v.inet_interfaces,
				 conf->v.inet_protocols);
	return RC_OK;
}

enum rc listener_open(const struct conf *conf, const char *master_cf,
		      struct slot *slot, struct fault *fault)
{
	enum rc rc = slot->entry->type == SERVICE_INET ?
			     listener_open_inet(conf, slot, fault) :
			     listener_open_unix(slot, fault);

	if (rc != RC_OK)
		return fault_add(fault, "%s, line %d: service %s", master_cf,
				 slot->entry->line, slot->entry->name);
	return RC_OK;
}

enum rc listener_share(struct slot *slot, const struct slot *old,
		       struct fault *fault)
{
	slot->listen_fds = mem_array(slot, int, old->listen_count + 1);
	for (size_t i = 0; i < old->listen_count; i++) {
		int fd = fcntl(old->listen_fds[i], F_DUPFD_CLOEXEC, 0);

		if (fd < 0)
			return fault_set(fault, RC_TEMP, "4.3.0",
					 "listening socket of %s: %m",
					 slot->key);
		slot->listen_fds[slot->listen_count++] = fd;
	}
	return RC_OK;
}

char *listener_text(TALLOC_CTX *mem, const struct conf *conf,
		    const struct master_entry *entry)
{
	if (entry->type == SERVICE_INET)
		return mem_printf(mem, "%s %s %s", entry->name,
				  conf->v.inet_interfaces,
				  conf->v.inet_protocols);
	return mem_printf(mem, "%s %d %d", entry->name, entry->is_private,
			  unix_socket_type(entry));
}
