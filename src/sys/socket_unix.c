/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/socket_unix.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* A sockaddr for any path. Where the path does not fit or is relative to a
 * descriptor, it goes through that of its directory, which stays open in
 * ret_dir until the address has been used (-1: none). */
static enum rc address_make(int dir_fd, const char *path,
			    struct sockaddr_un *ret_address, int *ret_dir,
			    struct fault *fault)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct span whole = span_from(path);
	ssize_t slash = span_rfind(whole, '/');
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	const char *name = path + slash + 1;
	int dir, used;

	*ret_dir = -1;
	if ((dir_fd == AT_FDCWD || path[0] == '/') &&
	    whole.len < sizeof(un.sun_path)) {
		memcpy(un.sun_path, path, whole.len);
		*ret_address = un;
		return RC_OK;
	}
	dir = openat(dir_fd,
		     slash < 0	  ? "."
		     : slash == 0 ? "/"
				  : mem_span_dup(tmp, span_take(whole,
								(size_t)slash)),
		     O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return fault_set(fault, errno == ENOENT ? RC_TEMP : RC_CONF,
				 "4.3.0", "open directory of %s: %m", path);
	used = snprintf(un.sun_path, sizeof(un.sun_path), "/proc/self/fd/%d/%s",
			dir, name);
	if (used < 0 || (size_t)used >= sizeof(un.sun_path)) {
		close(dir);
		return fault_set(fault, RC_CONF, "4.3.5",
				 "socket name too long: %s", path);
	}
	*ret_address = un;
	*ret_dir = dir;
	return RC_OK;
}

static enum rc listen_at(int fd, int dir_fd, const char *path, int type,
			 mode_t mode, struct fault *fault)
{
	struct sockaddr_un address;
	struct stat st;
	enum rc rc;
	int dir, failed;

	if (fstatat(dir_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISSOCK(st.st_mode))
		unlinkat(dir_fd, path, 0);
	rc = address_make(dir_fd, path, &address, &dir, fault);
	if (rc != RC_OK)
		return rc;
	fchmod(fd, mode); /* from the first moment */
	failed = bind(fd, (struct sockaddr *)&address, sizeof(address));
	if (dir >= 0)
		close(dir);
	if (failed)
		return fault_set(fault, RC_CONF, "4.3.5", "bind %s: %m", path);
	/* Root does this in directories of other users: no link is followed. */
	if (fchmodat(dir_fd, path, mode, AT_SYMLINK_NOFOLLOW) != 0)
		return fault_set(fault, RC_CONF, "4.3.5", "chmod %s: %m", path);
	if (type != SOCK_DGRAM && listen(fd, SOMAXCONN) != 0)
		return fault_set(fault, RC_CONF, "4.3.5", "listen %s: %m",
				 path);
	return RC_OK;
}

enum rc socket_unix_listen(int dir_fd, const char *path, int type, mode_t mode,
			   int *ret_fd, struct fault *fault)
{
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	enum rc rc;

	if (fd < 0)
		return fault_set(fault, RC_TEMP, "4.3.0", "socket: %m");
	rc = listen_at(fd, dir_fd, path, type, mode, fault);
	if (rc != RC_OK) {
		close(fd);
		return rc;
	}
	*ret_fd = fd;
	return RC_OK;
}

static enum rc connect_failed(const char *path, struct fault *fault)
{
	bool later = errno == ENOENT || errno == ECONNREFUSED ||
		     errno == EAGAIN || errno == ETIMEDOUT;

	return fault_set(fault, later ? RC_TEMP : RC_CONF, "4.3.0",
			 "connect to %s: %m", path);
}

/* Connect fd, or close it: then errno says why. */
static bool connect_or_close(int fd, const struct sockaddr_un *address)
{
	int failed, error;

	do
		failed = connect(fd, (const struct sockaddr *)address,
				 sizeof(*address));
	while (failed && errno == EINTR);
	if (!failed)
		return true;
	error = errno;
	close(fd);
	errno = error;
	return false;
}

enum rc socket_unix_connect(int dir_fd, const char *path, int type, int flags,
			    int *ret_fd, struct fault *fault)
{
	struct sockaddr_un address;
	int fd, dir;
	enum rc rc;

	rc = address_make(dir_fd, path, &address, &dir, fault);
	if (rc != RC_OK)
		return rc;
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC | flags, 0);
	if (fd < 0)
		rc = fault_set(fault, RC_TEMP, "4.3.0", "socket: %m");
	else if (!connect_or_close(fd, &address))
		rc = connect_failed(path, fault);
	if (dir >= 0)
		close(dir);
	if (rc == RC_OK)
		*ret_fd = fd;
	return rc;
}

enum rc socket_unix_connect_within(int dir_fd, const char *path, int timeout_ms,
				   int *ret_fd, struct fault *fault)
{
	const struct timeval limit = { .tv_sec = timeout_ms / 1000,
				       .tv_usec = timeout_ms % 1000 * 1000 };
	struct sockaddr_un address;
	int fd, dir;
	enum rc rc;

	rc = address_make(dir_fd, path, &address, &dir, fault);
	if (rc != RC_OK)
		return rc;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		rc = fault_set(fault, RC_TEMP, "4.3.0", "socket: %m");
	} else {
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
		if (!connect_or_close(fd, &address))
			rc = fault_set(fault, RC_TEMP, "4.4.1", "%s",
				       errno == EAGAIN ? "Connection timed out"
						       : strerror(errno));
	}
	if (dir >= 0)
		close(dir);
	if (rc == RC_OK)
		*ret_fd = fd;
	return rc;
}

enum rc socket_unix_accept(int listen_fd, int flags, int *ret_fd,
			   struct fault *fault)
{
	int fd;

	do
		fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | flags);
	while (fd < 0 && (errno == EINTR || errno == ECONNABORTED));
	if (fd < 0)
		return fault_set(fault,
				 errno == EAGAIN || errno == EWOULDBLOCK
					 ? RC_NONE
					 : RC_TEMP,
				 "4.3.0", "accept: %m");
	*ret_fd = fd;
	return RC_OK;
}

enum rc socket_unix_pair(int type, int flags, int ret_fds[2],
			 struct fault *fault)
{
	if (socketpair(AF_UNIX, type | SOCK_CLOEXEC | flags, 0, ret_fds) != 0)
		return fault_set(fault, RC_TEMP, "4.3.0", "socketpair: %m");
	return RC_OK;
}

enum rc socket_unix_peer(int fd, struct ucred *ret_peer, struct fault *fault)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
		return fault_set(fault, RC_TEMP, "4.3.0",
				 "credentials of the peer: %m");
	*ret_peer = peer;
	return RC_OK;
}
