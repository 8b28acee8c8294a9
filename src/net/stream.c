/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "net/stream_priv.h"

enum {
	IN_BYTES = 8 * 1024,
	OUT_BYTES = 16 * 1024, /* one TLS record */
	PARTS_MAX = 64,
	TIMEOUT_MS = 300 * 1000,
	/* How long the kernel waits in one call. It is told once, not each
	 * time another limit applies: a longer one is several such waits. */
	TICK_MS = 10 * 1000,
};

struct net_stream {
	int fd;
	int timeout_ms;
	int socket_timeout_ms; /* what the kernel has been told */
	enum net_trouble trouble;
	bool skipping; /* the rest of a line that was too long */
	const struct net_stream_layer *layer; /* NULL: plain */
	void *layer_arg;
	char *in; /* input: in[start..end) */
	size_t in_size, start, end;
	struct buf out;
};

static int stream_close(struct net_stream *stream)
{
	close(stream->fd);
	return 0;
}

struct net_stream *net_stream_new(TALLOC_CTX *mem, int fd)
{
	struct net_stream *stream = mem_new(mem, struct net_stream);

	stream->fd = fd;
	stream->timeout_ms = TIMEOUT_MS;
	stream->in = mem_resize(stream, NULL, char, IN_BYTES);
	stream->in_size = IN_BYTES;
	buf_init(&stream->out, stream, OUT_BYTES);
	talloc_set_destructor(stream, stream_close);
	return stream;
}

int net_stream_fd(const struct net_stream *stream)
{
	return stream->fd;
}

void net_stream_set_timeout(struct net_stream *stream, int timeout_ms)
{
	stream->timeout_ms = timeout_ms;
}

enum net_trouble net_stream_trouble(const struct net_stream *stream)
{
	return stream->trouble;
}

size_t net_stream_buffered(const struct net_stream *stream)
{
	return stream->end - stream->start;
}

bool net_stream_is_stale(struct net_stream *stream)
{
	char byte;

	return stream->trouble != NET_FINE || net_stream_buffered(stream) > 0 ||
	       recv(stream->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 ||
	       (errno != EAGAIN && errno != EWOULDBLOCK);
}

void net_stream_push_layer(struct net_stream *stream,
			   const struct net_stream_layer *layer, void *arg)
{
	stream->layer = layer;
	stream->layer_arg = arg;
	stream->start = 0;
	stream->end = 0;
	stream->skipping = false;
}

void net_stream_prepare(struct net_stream *stream)
{
	int tick_ms = stream->timeout_ms > 0 && stream->timeout_ms < TICK_MS
			      ? stream->timeout_ms
			      : TICK_MS;
	const struct timeval tick = {
		.tv_sec = tick_ms / 1000,
		.tv_usec = tick_ms % 1000 * 1000,
	};

	if (stream->socket_timeout_ms == tick_ms)
		return;
	if (stream->socket_timeout_ms == 0)
		fcntl(stream->fd, F_SETFL,
		      fcntl(stream->fd, F_GETFL) & ~O_NONBLOCK);
	setsockopt(stream->fd, SOL_SOCKET, SO_RCVTIMEO, &tick, sizeof(tick));
	setsockopt(stream->fd, SOL_SOCKET, SO_SNDTIMEO, &tick, sizeof(tick));
	stream->socket_timeout_ms = tick_ms;
}

bool net_stream_may_wait(const struct net_stream *stream, uint64_t begun_ms)
{
	return stream->timeout_ms <= 0 ||
	       clock_mono_ms() < begun_ms + (uint64_t)stream->timeout_ms;
}

/* A call has failed: is it to be made once more? */
static bool is_to_repeat(const struct net_stream *stream, uint64_t begun_ms)
{
	return errno == EINTR || ((errno == EAGAIN || errno == EWOULDBLOCK) &&
				  net_stream_may_wait(stream, begun_ms));
}

static enum rc trouble_say(const struct net_stream *stream, struct fault *fault)
{
	switch (stream->trouble) {
	case NET_TIMED_OUT:
		return fault_set(fault, RC_TEMP, "4.4.2", "timed out");
	case NET_TLS_BROKEN:
		return fault_set(fault, RC_TEMP, "4.7.5", "TLS: %s",
				 stream->layer->why(stream->layer_arg));
	default:
		return fault_set(fault, RC_TEMP, "4.4.2", "lost connection");
	}
}

static enum rc trouble_from_errno(struct net_stream *stream,
				  struct fault *fault)
{
	if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ETIMEDOUT)
		stream->trouble = NET_TIMED_OUT;
	else if (errno == EPROTO && stream->layer != NULL)
		stream->trouble = NET_TLS_BROKEN;
	else
		stream->trouble = NET_LOST;
	return trouble_say(stream, fault);
}

/* As many as one call to the kernel takes; RC_OK and 0 is the end. */
static enum rc bytes_in(struct net_stream *stream, void *into, size_t size,
			size_t *ret_size, struct fault *fault)
{
	uint64_t begun_ms;
	ssize_t got;

	if (net_stream_flush(stream, fault) != RC_OK)
		return RC_TEMP;
	net_stream_prepare(stream);
	begun_ms = clock_mono_ms();
	do
		got = stream->layer != NULL
			      ? stream->layer->read(stream->layer_arg, into,
						    size)
			      : read(stream->fd, into, size);
	while (got < 0 && is_to_repeat(stream, begun_ms));
	if (got < 0)
		return trouble_from_errno(stream, fault);
	if (got == 0)
		stream->trouble = NET_LOST;
	*ret_size = (size_t)got;
	return RC_OK;
}

/* More input behind what there is. RC_NONE: the end. */
static enum rc fill(struct net_stream *stream, size_t room, uint64_t *deadline,
		    struct fault *fault)
{
	size_t got;
	enum rc rc;

	if (*deadline == 0) {
		*deadline = clock_mono_ms() + (uint64_t)stream->timeout_ms;
	} else if (clock_mono_ms() >= *deadline) {
		stream->trouble = NET_TIMED_OUT;
		return trouble_say(stream, fault);
	}
	if (stream->start == stream->end)
		stream->start = stream->end = 0;
	if (stream->in_size - stream->end < room && stream->start > 0) {
		memmove(stream->in, stream->in + stream->start,
			stream->end - stream->start);
		stream->end -= stream->start;
		stream->start = 0;
	}
	if (stream->in_size - stream->end < room) {
		stream->in_size = stream->end + room;
		stream->in =
			mem_resize(stream, stream->in, char, stream->in_size);
	}
	rc = bytes_in(stream, stream->in + stream->end,
		      stream->in_size - stream->end, &got, fault);
	if (rc != RC_OK)
		return rc;
	stream->end += got;
	if (got == 0)
		return fault_set(fault, RC_NONE, "4.4.2", "lost connection");
	return RC_OK;
}

static struct span line_end_strip(struct span line)
{
	if (line.len > 0 && line.ptr[line.len - 1] == '\r')
		line.len--;
	return line;
}

enum rc net_stream_read_line(struct net_stream *stream, size_t max,
			     struct span *ret_line, struct fault *fault)
{
	size_t looked = 0;
	uint64_t deadline = 0;

	if (stream->trouble != NET_FINE && net_stream_buffered(stream) == 0)
		return trouble_say(stream, fault);
	for (;;) {
		struct span have = { stream->in + stream->start,
				     stream->end - stream->start };
		ssize_t at = span_find(span_skip(have, looked), '\n');
		size_t len = at < 0 ? have.len : looked + (size_t)at;
		bool too_long = len > max + 1;
		enum rc rc;

		if (at >= 0) {
			bool skipped = stream->skipping;

			stream->start += len + 1;
			stream->skipping = false;
			*ret_line = line_end_strip(span_take(have, len));
			if (ret_line->len <= max && !skipped)
				return RC_OK;
			return fault_set(fault, RC_PERM, "5.5.2",
					 "line of more than %zu bytes", max);
		}
		looked = have.len;
		if (too_long) {
			stream->skipping = true;
			stream->start = stream->end;
			looked = 0;
		}
		rc = fill(stream, IN_BYTES / 2, &deadline, fault);
		if (rc == RC_NONE && looked > 0)
			return trouble_say(stream, fault);
		if (rc != RC_OK)
			return rc;
	}
}

enum rc net_stream_read_some(struct net_stream *stream, void *into, size_t size,
			     size_t *ret_size, struct fault *fault)
{
	size_t have = net_stream_buffered(stream);

	if (have > 0) {
		have = MIN_OF(have, size);
		memcpy(into, stream->in + stream->start, have);
		stream->start += have;
		*ret_size = have;
		return RC_OK;
	}
	if (stream->trouble != NET_FINE)
		return trouble_say(stream, fault);
	if (bytes_in(stream, into, size, &have, fault) != RC_OK)
		return RC_TEMP;
	if (have == 0)
		return fault_set(fault, RC_NONE, "4.4.2", "lost connection");
	*ret_size = have;
	return RC_OK;
}

enum rc net_stream_read(struct net_stream *stream, void *into, size_t size,
			struct fault *fault)
{
	uint64_t deadline = clock_mono_ms() + (uint64_t)stream->timeout_ms;
	char *to = into;
	size_t done = 0;

	while (done < size) {
		size_t got;
		enum rc rc = net_stream_read_some(stream, to + done,
						  size - done, &got, fault);

		if (rc == RC_NONE && done > 0)
			return trouble_say(stream, fault);
		if (rc != RC_OK)
			return rc;
		done += got;
		if (done < size && clock_mono_ms() >= deadline) {
			stream->trouble = NET_TIMED_OUT;
			return trouble_say(stream, fault);
		}
	}
	return RC_OK;
}

static enum rc bytes_out(struct net_stream *stream, struct span bytes,
			 struct fault *fault)
{
	uint64_t begun_ms = clock_mono_ms();

	net_stream_prepare(stream);
	while (bytes.len > 0) {
		ssize_t put =
			stream->layer != NULL
				? stream->layer->write(stream->layer_arg,
						       bytes.ptr, bytes.len)
				: send(stream->fd, bytes.ptr, bytes.len,
				       MSG_NOSIGNAL);

		if (put < 0 && is_to_repeat(stream, begun_ms))
			continue;
		if (put < 0)
			return trouble_from_errno(stream, fault);
		bytes = span_skip(bytes, (size_t)put);
		begun_ms = clock_mono_ms(); /* the peer takes some of it */
	}
	return RC_OK;
}

enum rc net_stream_flush(struct net_stream *stream, struct fault *fault)
{
	enum rc rc;

	if (stream->trouble != NET_FINE)
		return trouble_say(stream, fault);
	if (stream->out.len == 0)
		return RC_OK;
	rc = bytes_out(stream, buf_span(&stream->out), fault);
	buf_clear(&stream->out);
	return rc;
}

void net_stream_discard_output(struct net_stream *stream)
{
	buf_clear(&stream->out);
}

enum rc net_stream_write(struct net_stream *stream, struct span bytes,
			 struct fault *fault)
{
	if (stream->trouble != NET_FINE)
		return trouble_say(stream, fault);
	if (bytes.len > OUT_BYTES - stream->out.len) {
		enum rc rc = net_stream_flush(stream, fault);

		if (rc != RC_OK)
			return rc;
	}
	if (bytes.len >= OUT_BYTES)
		return bytes_out(stream, bytes, fault);
	buf_add(&stream->out, bytes);
	return RC_OK;
}

enum rc net_stream_writef(struct net_stream *stream, struct fault *fault,
			  const char *format, ...)
{
	SCRATCH TALLOC_CTX *tmp = NULL;
	size_t before = stream->out.len;
	va_list args;
	bool added;
	char *text;

	if (stream->trouble != NET_FINE)
		return trouble_say(stream, fault);
	va_start(args, format);
	added = buf_vaddf(&stream->out, format, args);
	va_end(args);
	if (added)
		return RC_OK;
	stream->out.len = before;
	stream->out.full = false;
	tmp = talloc_new(NULL);
	va_start(args, format);
	text = talloc_vasprintf(tmp, format, args);
	va_end(args);
	if (text == NULL)
		return fault_set(fault, RC_TEMP, "4.3.0", "out of memory");
	return net_stream_write(stream, span_from(text), fault);
}

/* Drop what was sent off the front of the parts. */
static void parts_consume(struct msghdr *msg, size_t sent)
{
	while (msg->msg_iovlen > 0 && sent >= msg->msg_iov->iov_len) {
		sent -= msg->msg_iov->iov_len;
		msg->msg_iov++;
		msg->msg_iovlen--;
	}
	if (msg->msg_iovlen > 0) {
		msg->msg_iov->iov_base = (char *)msg->msg_iov->iov_base + sent;
		msg->msg_iov->iov_len -= sent;
	}
}

static enum rc parts_out(struct net_stream *stream, struct iovec *parts,
			 size_t count, struct fault *fault)
{
	struct msghdr msg = { .msg_iov = parts, .msg_iovlen = count };
	uint64_t begun_ms = clock_mono_ms();

	net_stream_prepare(stream);
	parts_consume(&msg, 0);
	while (msg.msg_iovlen > 0) {
		ssize_t put = sendmsg(stream->fd, &msg, MSG_NOSIGNAL);

		if (put < 0 && is_to_repeat(stream, begun_ms))
			continue;
		if (put < 0)
			return trouble_from_errno(stream, fault);
		parts_consume(&msg, (size_t)put);
		begun_ms = clock_mono_ms();
	}
	return RC_OK;
}

enum rc net_stream_writev(struct net_stream *stream, const struct iovec *parts,
			  int count, struct fault *fault)
{
	struct iovec all[PARTS_MAX];
	size_t used = 0;
	enum rc rc = RC_OK;

	if (stream->trouble != NET_FINE)
		return trouble_say(stream, fault);
	if (stream->layer != NULL || count >= PARTS_MAX) {
		for (int i = 0; rc == RC_OK && i < count; i++)
			rc = net_stream_write(stream,
					      (struct span){ parts[i].iov_base,
							     parts[i].iov_len },
					      fault);
		return rc == RC_OK ? net_stream_flush(stream, fault) : rc;
	}
	if (stream->out.len > 0)
		all[used++] =
			(struct iovec){ stream->out.data, stream->out.len };
	for (int i = 0; i < count; i++)
		all[used++] = parts[i];
	rc = parts_out(stream, all, used, fault);
	buf_clear(&stream->out);
	return rc;
}
