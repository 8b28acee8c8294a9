/* SPDX-License-Identifier: Apache-2.0 */
#include "net/connect.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <unistd.h>

static enum rc connect_failed(struct fault *fault)
{
	/* What a blocking connect says when SO_SNDTIMEO is over. */
	if (errno == EINPROGRESS || errno == EAGAIN || errno == EALREADY)
		errno = ETIMEDOUT;
	return fault_set(fault, RC_TEMP, "4.4.1", "%m");
}

/* A signal came; the connection is being made nevertheless. */
static bool connect_go_on(int fd, int timeout_ms)
{
	struct pollfd writable = { .fd = fd, .events = POLLOUT };
	socklen_t size = sizeof(errno);
	int ready, error = 0;

	do
		ready = poll(&writable, 1, timeout_ms);
	while (ready < 0 && errno == EINTR);
	if (ready == 0)
		error = ETIMEDOUT;
	else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
		error = errno;
	errno = error;
	return error == 0;
}

static enum rc connect_on(int fd, const struct net_address *to,
			  const struct net_address *bind_to, int timeout_ms,
			  struct fault *fault)
{
	const struct timeval limit = { .tv_sec = timeout_ms / 1000,
				       .tv_usec = timeout_ms % 1000 * 1000 };
	const int on = 1;

	if (bind_to != NULL) {
		struct net_address from = *bind_to;

		net_address_set_port(&from, 0);
		setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on,
			   sizeof(on));
		if (bind(fd, &from.sa, net_address_size(&from)) != 0)
			return fault_set(fault, RC_TEMP, "4.4.1", "bind: %m");
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (connect(fd, &to->sa, net_address_size(to)) == 0)
		return RC_OK;
	if (errno == EINTR &&
	    connect_go_on(fd, timeout_ms > 0 ? timeout_ms : -1))
		return RC_OK;
	return connect_failed(fault);
}

enum rc net_connect(const struct net_address *to,
		    const struct net_address *bind_to, int timeout_ms,
		    int *ret_fd, struct fault *fault)
{
	int fd = socket(to->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	enum rc rc;

	if (fd < 0)
		return fault_set(fault, RC_TEMP, "4.3.0", "%m");
	rc = connect_on(fd, to, bind_to, timeout_ms, fault);
	if (rc != RC_OK) {
		close(fd);
		return rc;
	}
	*ret_fd = fd;
	return RC_OK;
}
