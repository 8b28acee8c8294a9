/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/packet.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "sys/socket_unix.h"

static void pair_open(int fds[2], int flags)
{
	assert_int_equal(socket_unix_pair(SOCK_SEQPACKET, flags, fds, NULL),
			 RC_OK);
}

static void pair_close(int fds[2])
{
	close(fds[0]);
	close(fds[1]);
}

static size_t files_open(void)
{
	size_t count = 0;

	for (int fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static void fields_and_a_file_arrive_as_they_were_sent(void **state)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct packet_out out;
	struct packet_in in;
	struct stat sent, got;
	int fds[2], file = open("/dev/null", O_RDONLY), fd;

	pair_open(fds, 0);
	packet_begin(&out, tmp, 0xbeef);
	packet_put_u32(&out, 0xfffffffe);
	packet_put_u64(&out, 1ULL << 63);
	packet_put_span(&out, SPAN_OF("a\0b"));
	packet_put_text(&out, "text");
	packet_put_text(&out, NULL);
	out.fd = file;
	assert_int_equal(packet_send(fds[0], &out, NULL), RC_OK);
	assert_int_equal(packet_receive(tmp, fds[1], &in, NULL), RC_OK);
	assert_int_equal(in.type, 0xbeef);
	assert_int_equal(packet_take_u32(&in), 0xfffffffe);
	assert_true(packet_take_u64(&in) == 1ULL << 63);
	assert_true(span_eq(packet_take_span(&in), SPAN_OF("a\0b")));
	assert_string_equal(packet_take_text(&in, tmp), "text");
	assert_string_equal(packet_take_text(&in, tmp), "");
	assert_false(in.bad);
	assert_int_equal(in.rest.len, 0);
	fd = packet_take_fd(&in);
	assert_int_equal(packet_take_fd(&in), -1);
	assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	fstat(file, &sent);
	fstat(fd, &got);
	assert_int_equal(sent.st_rdev, got.st_rdev);
	close(fd);
	close(file);
	pair_close(fds);
}

static void taking_past_the_end_is_marked_and_gives_nothing(void **state)
{
	static const struct {
		const char *why;
		struct span bytes; /* after the type */
	} cases[] = {
		{ "nothing", SPAN("") },
		{ "half a number", SPAN("\1\0") },
		{ "a length without its bytes", SPAN("\4\0\0\0abc") },
		{ "a length that would wrap", SPAN("\377\377\377\377abc") },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
		struct packet_in in = { .rest = cases[i].bytes, .fd = -1 };

		print_message("  %s\n", cases[i].why);
		assert_int_equal(packet_take_span(&in).len, 0);
		assert_true(in.bad);
		/* and stays so, whatever is asked next */
		assert_int_equal(packet_take_u32(&in), 0);
		assert_true(packet_take_u64(&in) == 0);
		assert_string_equal(packet_take_text(&in, tmp), "");
		assert_true(in.bad);
	}
}

static void the_largest_packet_passes_and_one_byte_more_does_not(void **state)
{
	enum { ROOM = PACKET_MAX_BYTES - 2 - 4 };
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	char *bytes = mem_array(tmp, char, ROOM + 1);
	struct packet_out out;
	struct packet_in in;
	struct fault fault;
	int fds[2];

	pair_open(fds, 0);
	packet_begin(&out, tmp, 1);
	packet_put_span(&out, (struct span){ bytes, ROOM });
	assert_int_equal(packet_send(fds[0], &out, NULL), RC_OK);
	assert_int_equal(packet_receive(tmp, fds[1], &in, NULL), RC_OK);
	assert_int_equal(packet_take_span(&in).len, ROOM);
	packet_begin(&out, tmp, 1);
	packet_put_span(&out, (struct span){ bytes, ROOM + 1 });
	assert_int_equal(packet_send(fds[0], &out, &fault), RC_PERM);
	pair_close(fds);
}

/* What a peer that does not use this code may send. */
static void raw_send(int fd, const char *bytes, size_t size, const int *files,
		     size_t count)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(16 * sizeof(int))];
	} control;
	struct iovec iov = { (void *)bytes, size };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *cmsg;

	memset(&control, 0, sizeof(control));
	if (count > 0) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(count * sizeof(int));
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(cmsg), files, count * sizeof(int));
	}
	assert_int_equal(sendmsg(fd, &msg, 0), size);
}

static void hostile_packets_are_refused_and_leave_nothing_open(void **state)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	char *big = mem_array(tmp, char, PACKET_MAX_BYTES + 1);
	const struct {
		const char *why, *bytes;
		size_t size, files;
	} cases[] = {
		{ "no type", "x", 1, 0 },
		{ "no type but a file", "x", 1, 1 },
		{ "two files", "\1\0ab", 4, 2 },
		{ "more files than there is room for", "\1\0ab", 4, 12 },
		{ "too large", big, PACKET_MAX_BYTES + 1, 0 },
		{ "too large, with a file", big, PACKET_MAX_BYTES + 1, 1 },
	};
	int files[16];

	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		files[i] = STDERR_FILENO;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct packet_in in;
		struct fault fault;
		size_t before;
		int fds[2];

		print_message("  %s\n", cases[i].why);
		pair_open(fds, 0);
		before = files_open();
		raw_send(fds[0], cases[i].bytes, cases[i].size, files,
			 cases[i].files);
		assert_int_equal(packet_receive(tmp, fds[1], &in, &fault),
				 RC_PERM);
		assert_int_equal(files_open(), before);
		pair_close(fds);
	}
}

static void an_empty_line_and_a_closed_one_are_kept_apart(void **state)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct packet_out out;
	struct packet_in in;
	int fds[2];

	pair_open(fds, SOCK_NONBLOCK);
	assert_int_equal(packet_receive(tmp, fds[1], &in, NULL), RC_NONE);
	packet_begin(&out, tmp, 7);
	assert_int_equal(packet_send(fds[0], &out, NULL), RC_OK);
	close(fds[0]);
	assert_int_equal(packet_receive(tmp, fds[1], &in, NULL), RC_OK);
	assert_int_equal(in.type, 7);
	assert_int_equal(packet_receive(tmp, fds[1], &in, NULL), RC_PERM);
	assert_int_equal(packet_send(fds[1], &out, NULL), RC_PERM);
	close(fds[1]);
}

static void a_full_socket_says_so_and_the_packet_can_be_sent_again(void **state)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	char *bytes = mem_array(tmp, char, 60000);
	struct packet_out out;
	struct packet_in in;
	int fds[2], sent = 0;

	pair_open(fds, SOCK_NONBLOCK);
	packet_begin(&out, tmp, 7);
	packet_put_span(&out, (struct span){ bytes, 60000 });
	while (packet_send(fds[0], &out, NULL) == RC_OK)
		sent++;
	assert_true(sent > 0 && sent < 1000);
	assert_int_equal(packet_send(fds[0], &out, NULL), RC_NONE);
	for (int i = 0; i < sent; i++)
		assert_int_equal(packet_receive(tmp, fds[1], &in, NULL), RC_OK);
	assert_int_equal(packet_send(fds[0], &out, NULL), RC_OK);
	pair_close(fds);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_and_a_file_arrive_as_they_were_sent),
		cmocka_unit_test(
			taking_past_the_end_is_marked_and_gives_nothing),
		cmocka_unit_test(
			the_largest_packet_passes_and_one_byte_more_does_not),
		cmocka_unit_test(
			hostile_packets_are_refused_and_leave_nothing_open),
		cmocka_unit_test(an_empty_line_and_a_closed_one_are_kept_apart),
		cmocka_unit_test(
			a_full_socket_says_so_and_the_packet_can_be_sent_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
