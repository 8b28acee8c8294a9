/* SPDX-License-Identifier: Apache-2.0 */
/* files and socket_unix: what has a path. */
#include "sys/files.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "sys/socket_unix.h"

static char dir[64];
static int dir_fd;

static int setup(void **state)
{
	snprintf(dir, sizeof(dir), "/tmp/postern-test-files-XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir_fd >= 0 ? 0 : -1;
}

static int teardown(void **state)
{
	close(dir_fd);
	return rmdir(dir);
}

static void what_was_replaced_is_read_back(void **state)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct span got;
	struct stat st;
	struct fault fault;

	assert_int_equal(file_read(tmp, dir_fd, "x", 10, &got, &fault),
			 RC_NONE);
	assert_string_equal(fault.text, "open x: No such file or directory");
	assert_int_equal(file_replace(dir_fd, "x", SPAN_OF("a\0b"), 0640, NULL),
			 RC_OK);
	assert_int_equal(fstatat(dir_fd, "x", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(file_read(tmp, dir_fd, "x", 3, &got, NULL), RC_OK);
	assert_true(span_eq(got, SPAN_OF("a\0b")));
	assert_int_equal(got.ptr[3], '\0');
	assert_int_equal(file_read(tmp, dir_fd, "x", 2, &got, NULL), RC_PERM);
	/* The rights of the old one stay. */
	assert_int_equal(fchmodat(dir_fd, "x", 0604, 0), 0);
	assert_int_equal(file_replace(dir_fd, "x", SPAN_OF(""), 0640, NULL),
			 RC_OK);
	assert_int_equal(fstatat(dir_fd, "x", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0604);
	assert_int_equal(file_read(tmp, dir_fd, "x", 3, &got, NULL), RC_OK);
	assert_int_equal(got.len, 0);
	assert_int_equal(unlinkat(dir_fd, "x", 0), 0);
	assert_int_equal(file_replace(dir_fd, "no/x", SPAN_OF(""), 0640, NULL),
			 RC_NONE);
	/* A file that says it is empty, as those of /proc do. */
	assert_int_equal(file_read(tmp, AT_FDCWD, "/proc/self/status", 65536,
				   &got, NULL),
			 RC_OK);
	assert_true(got.len > 100);
}

static void a_lock_keeps_others_out_until_it_is_closed(void **state)
{
	static const enum file_lock_style styles[] = { FILE_LOCK_FLOCK,
						       FILE_LOCK_FCNTL };

	for (size_t i = 0; i < ARRAY_LEN(styles); i++) {
		int a = openat(dir_fd, "lock", O_RDWR | O_CREAT, 0600);
		int b = openat(dir_fd, "lock", O_RDWR);
		uint64_t begun;

		assert_int_equal(
			file_lock(a, styles[i], FILE_LOCK_SHARED, 0, NULL),
			RC_OK);
		assert_int_equal(
			file_lock(b, styles[i], FILE_LOCK_SHARED, 0, NULL),
			RC_OK);
		assert_int_equal(
			file_lock(b, styles[i], FILE_LOCK_EXCLUSIVE, 0, NULL),
			RC_NONE);
		begun = clock_mono_ms();
		assert_int_equal(
			file_lock(b, styles[i], FILE_LOCK_EXCLUSIVE, 30, NULL),
			RC_NONE);
		assert_true(clock_mono_ms() - begun >= 30);
		close(a);
		assert_int_equal(
			file_lock(b, styles[i], FILE_LOCK_EXCLUSIVE, 0, NULL),
			RC_OK);
		close(b);
	}
	assert_int_equal(unlinkat(dir_fd, "lock", 0), 0);
}

static void a_socket_is_found_by_any_path(void **state)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	char *deep = mem_printf(tmp, "%s/%0*d", dir, 120, 7);
	const struct {
		const char *why;
		int at;
		const char *path;
	} cases[] = {
		{ "absolute", AT_FDCWD, mem_printf(tmp, "%s/s", dir) },
		{ "relative to a directory", dir_fd, "s" },
		{ "below one", dir_fd, mem_printf(tmp, "../%s/s", dir + 5) },
		{ "longer than an address holds", AT_FDCWD,
		  mem_printf(tmp, "%s/s", deep) },
	};

	assert_int_equal(mkdir(deep, 0700), 0);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int listener, client, server;
		struct ucred peer;
		struct stat st;

		print_message("  %s\n", cases[i].why);
		for (int again = 0; again < 2; again++) { /* replaces itself */
			assert_int_equal(
				socket_unix_listen(cases[i].at, cases[i].path,
						   SOCK_SEQPACKET, 0622,
						   &listener, NULL),
				RC_OK);
			if (again == 0)
				close(listener);
		}
		assert_int_equal(fstatat(cases[i].at, cases[i].path, &st, 0),
				 0);
		assert_int_equal(st.st_mode & 07777, 0622);
		assert_int_equal(socket_unix_accept(listener, 0, &server, NULL),
				 RC_NONE);
		assert_int_equal(socket_unix_connect(cases[i].at, cases[i].path,
						     SOCK_SEQPACKET, 0, &client,
						     NULL),
				 RC_OK);
		assert_int_equal(socket_unix_accept(listener, 0, &server, NULL),
				 RC_OK);
		assert_int_equal(socket_unix_peer(server, &peer, NULL), RC_OK);
		assert_int_equal(peer.pid, getpid());
		assert_int_equal(peer.uid, geteuid());
		close(listener);
		assert_int_equal(socket_unix_connect(cases[i].at, cases[i].path,
						     SOCK_SEQPACKET, 0, &client,
						     NULL),
				 RC_TEMP);
		close(client);
		close(server);
		assert_int_equal(unlinkat(cases[i].at, cases[i].path, 0), 0);
	}
	assert_int_equal(rmdir(deep), 0);
}

static void what_is_no_socket_is_not_replaced(void **state)
{
	int fd = openat(dir_fd, "file", O_RDWR | O_CREAT, 0600);
	struct fault fault;

	close(fd);
	assert_int_equal(socket_unix_listen(dir_fd, "file", SOCK_STREAM, 0600,
					    &fd, &fault),
			 RC_CONF);
	assert_string_equal(fault.text, "bind file: Address already in use");
	assert_int_equal(socket_unix_connect(dir_fd, "none", SOCK_STREAM, 0,
					     &fd, &fault),
			 RC_TEMP);
	assert_string_equal(fault.text,
			    "connect to none: No such file or directory");
	assert_int_equal(unlinkat(dir_fd, "file", 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_replaced_is_read_back),
		cmocka_unit_test(a_lock_keeps_others_out_until_it_is_closed),
		cmocka_unit_test(a_socket_is_found_by_any_path),
		cmocka_unit_test(what_is_no_socket_is_not_replaced),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
