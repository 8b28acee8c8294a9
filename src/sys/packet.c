/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/packet.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PASSED_FILES_MAX = 8 }; /* more than one is refused, but closed */

void packet_begin(struct packet_out *out, TALLOC_CTX *mem, uint16_t type)
{
	buf_init(&out->buf, mem, PACKET_MAX_BYTES);
	out->fd = -1;
	buf_add(&out->buf, (struct span){ (const char *)&type, sizeof(type) });
}

void packet_put_u32(struct packet_out *out, uint32_t value)
{
	buf_add(&out->buf,
		(struct span){ (const char *)&value, sizeof(value) });
}

void packet_put_u64(struct packet_out *out, uint64_t value)
{
	buf_add(&out->buf,
		(struct span){ (const char *)&value, sizeof(value) });
}

void packet_put_span(struct packet_out *out, struct span span)
{
	if (span.len > PACKET_MAX_BYTES) {
		out->buf.full = true;
		return;
	}
	packet_put_u32(out, (uint32_t)span.len);
	buf_add(&out->buf, span);
}

void packet_put_text(struct packet_out *out, const char *text)
{
	packet_put_span(out, span_from(text));
}

static void message_attach(struct msghdr *msg, void *control, size_t size,
			   int fd)
{
	struct cmsghdr *cmsg;

	memset(control, 0, size);
	msg->msg_control = control;
	msg->msg_controllen = size;
	cmsg = CMSG_FIRSTHDR(msg);
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
}

enum rc packet_send(int sock, struct packet_out *out, struct fault *fault)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = { out->buf.data, out->buf.len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t sent;

	if (out->buf.full)
		return fault_set(fault, RC_PERM, "5.3.0",
				 "packet of more than %d bytes",
				 PACKET_MAX_BYTES);
	if (out->fd >= 0)
		message_attach(&msg, control.bytes, sizeof(control.bytes),
			       out->fd);
	do
		sent = sendmsg(sock, &msg, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	if (sent >= 0)
		return RC_OK;
	if (errno == EAGAIN || errno == EWOULDBLOCK)
		return fault_set(fault, RC_NONE, "4.3.0",
				 "send packet: the receiver is busy");
	if (errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN ||
	    errno == ECONNREFUSED || errno == EMSGSIZE)
		return fault_set(fault, RC_PERM, "4.3.0", "send packet: %m");
	return fault_set(fault, RC_TEMP, "4.3.0", "send packet: %m");
}

/* Keep the first file that came along, close the others. */
static int message_file(struct msghdr *msg, size_t *ret_count)
{
	int kept = -1;

	*ret_count = 0;
	for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(msg); cmsg != NULL;
	     cmsg = CMSG_NXTHDR(msg, cmsg)) {
		size_t count;

		if (cmsg->cmsg_level != SOL_SOCKET ||
		    cmsg->cmsg_type != SCM_RIGHTS)
			continue;
		count = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(fd),
			       sizeof(fd));
			if (kept < 0)
				kept = fd;
			else
				close(fd);
			(*ret_count)++;
		}
	}
	return kept;
}

static enum rc receive_failed(struct fault *fault)
{
	if (errno == EAGAIN || errno == EWOULDBLOCK)
		return fault_set(fault, RC_NONE, "4.3.0",
				 "receive packet: none yet");
	if (errno == ECONNRESET || errno == ENOTCONN)
		return fault_set(fault, RC_PERM, "4.3.0", "receive packet: %m");
	return fault_set(fault, RC_TEMP, "4.3.0", "receive packet: %m");
}

static enum rc packet_check(const struct msghdr *msg, size_t size,
			    size_t file_count, struct fault *fault)
{
	if (size == 0 && file_count == 0)
		return fault_set(fault, RC_PERM, "4.3.0",
				 "the peer closed the connection");
	if ((msg->msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 ||
	    size < sizeof(uint16_t) || file_count > 1)
		return fault_set(fault, RC_PERM, "4.3.0",
				 "malformed packet of %zu bytes, %zu files",
				 size, file_count);
	return RC_OK;
}

enum rc packet_receive(TALLOC_CTX *mem, int sock, struct packet_in *in,
		       struct fault *fault)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(PASSED_FILES_MAX * sizeof(int))];
	} control;
	/* Not zeroed, and cut to size below: most packets are small. */
	char *bytes = mem_resize(mem, NULL, char, PACKET_MAX_BYTES);
	struct iovec iov = { bytes, PACKET_MAX_BYTES };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control.bytes,
			      .msg_controllen = sizeof(control.bytes) };
	size_t file_count;
	ssize_t size;
	enum rc rc;
	int fd;

	do
		size = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	while (size < 0 && errno == EINTR);
	if (size < 0) {
		rc = receive_failed(fault);
		talloc_free(bytes);
		return rc;
	}
	fd = message_file(&msg, &file_count);
	rc = packet_check(&msg, (size_t)size, file_count, fault);
	if (rc != RC_OK) {
		if (fd >= 0)
			close(fd);
		talloc_free(bytes);
		return rc;
	}
	bytes = mem_resize(mem, bytes, char, (size_t)size);
	*in = (struct packet_in){ .bytes = bytes, .fd = fd };
	memcpy(&in->type, bytes, sizeof(in->type));
	in->rest = (struct span){ bytes + sizeof(in->type),
				  (size_t)size - sizeof(in->type) };
	return RC_OK;
}

static void take_bytes(struct packet_in *in, void *ret_value, size_t size)
{
	if (in->bad || in->rest.len < size) {
		in->bad = true;
		in->rest.len = 0;
		memset(ret_value, 0, size);
		return;
	}
	memcpy(ret_value, in->rest.ptr, size);
	in->rest = span_skip(in->rest, size);
}

uint32_t packet_take_u32(struct packet_in *in)
{
	uint32_t value;

	take_bytes(in, &value, sizeof(value));
	return value;
}

uint64_t packet_take_u64(struct packet_in *in)
{
	uint64_t value;

	take_bytes(in, &value, sizeof(value));
	return value;
}

struct span packet_take_span(struct packet_in *in)
{
	size_t len = packet_take_u32(in);
	struct span span;

	if (in->bad || len > in->rest.len) {
		in->bad = true;
		in->rest.len = 0;
		return SPAN_OF("");
	}
	span = span_take(in->rest, len);
	in->rest = span_skip(in->rest, len);
	return span;
}

char *packet_take_text(struct packet_in *in, TALLOC_CTX *mem)
{
	return mem_span_dup(mem, packet_take_span(in));
}

int packet_take_fd(struct packet_in *in)
{
	int fd = in->fd;

	in->fd = -1;
	return fd;
}
