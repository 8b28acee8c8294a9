/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "queue/intake_priv.h"

enum { CONNECT_RETRY_MS = 1000, SEND_BUFFER_BYTES = 4 * 1024 * 1024 };

void notify_init(struct notify *notify, const struct intake_config *config,
		 int root_dir)
{
	pthread_mutex_init(&notify->lock, NULL);
	notify->writer = config->writer;
	notify->directory = config->queue_directory;
	notify->socket_path = config->qmgr_socket;
	notify->root_dir = root_dir;
	notify->fd = -1;
	notify->missed = true;
}

void notify_done(struct notify *notify)
{
	if (notify->fd >= 0)
		close(notify->fd);
	pthread_mutex_destroy(&notify->lock);
}

static bool is_root_dir(const struct notify *notify, const char *path)
{
	struct stat want, have;

	return fstat(notify->root_dir, &want) == 0 && stat(path, &have) == 0 &&
	       want.st_dev == have.st_dev && want.st_ino == have.st_ino;
}

/* connect takes no directory descriptor: where is the queue from here? */
static bool socket_address(const struct notify *notify,
			   struct sockaddr_un *address)
{
	const char *prefix = notify->directory;
	int size;

	if (is_root_dir(notify, "."))
		prefix = ".";
	else if (is_root_dir(notify, "/"))
		prefix = "";
	size = snprintf(address->sun_path, sizeof(address->sun_path), "%s/%s",
			prefix, notify->socket_path);
	address->sun_family = AF_UNIX;
	return size > 0 && (size_t)size < sizeof(address->sun_path);
}

static enum rc hello_send(struct notify *notify)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct packet_out packet;

	packet_begin(&packet, tmp, WIRE_WRITER_HELLO);
	packet_put_text(&packet, notify->writer);
	return packet_send(notify->fd, &packet, NULL);
}

static void connect_again(struct notify *notify)
{
	struct sockaddr_un address = { 0 };
	uint64_t now_ms = clock_mono_ms();
	int size = SEND_BUFFER_BYTES;
	int fd;

	if (now_ms < notify->next_try_ms)
		return;
	notify->next_try_ms = now_ms + CONNECT_RETRY_MS;
	if (!socket_address(notify, &address))
		return;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		close(fd);
		return;
	}
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	notify->fd = fd;
	notify->missed = true; /* says HELLO */
}

static void line_drop(struct notify *notify)
{
	close(notify->fd);
	notify->fd = -1;
	notify->missed = true;
}

/* True: connected, and qmgr has been asked to look for what it missed. */
static bool line_is_up(struct notify *notify)
{
	enum rc rc;

	if (notify->fd < 0)
		connect_again(notify);
	if (notify->fd < 0)
		return false;
	if (!notify->missed)
		return true;
	rc = hello_send(notify);
	notify->missed = rc != RC_OK;
	if (rc != RC_OK && rc != RC_NONE)
		line_drop(notify);
	return rc == RC_OK;
}

void notify_send(struct notify *notify, struct packet_out *packet)
{
	enum rc rc;

	pthread_mutex_lock(&notify->lock);
	if (!line_is_up(notify)) {
		notify->missed = true;
	} else {
		rc = packet_send(notify->fd, packet, NULL);
		if (rc != RC_OK)
			notify->missed = true;
		if (rc != RC_OK && rc != RC_NONE) {
			line_drop(notify); /* qmgr began anew: say HELLO */
			(void)line_is_up(notify);
		}
	}
	pthread_mutex_unlock(&notify->lock);
}

bool notify_is_behind(struct notify *notify)
{
	bool behind;

	pthread_mutex_lock(&notify->lock);
	behind = notify->missed;
	pthread_mutex_unlock(&notify->lock);
	return behind;
}

void notify_miss(struct notify *notify)
{
	pthread_mutex_lock(&notify->lock);
	notify->missed = true;
	pthread_mutex_unlock(&notify->lock);
}

static bool peer_is_gone(int fd)
{
	char byte;
	ssize_t got = recv(fd, &byte, sizeof(byte), MSG_DONTWAIT);

	return got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
}

void notify_check(struct notify *notify)
{
	pthread_mutex_lock(&notify->lock);
	if (notify->fd >= 0 && peer_is_gone(notify->fd))
		line_drop(notify);
	(void)line_is_up(notify);
	pthread_mutex_unlock(&notify->lock);
}
