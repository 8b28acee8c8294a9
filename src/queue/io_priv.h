/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io_priv - the calls by which the queue reaches stable storage, so that tests
 * can make them fail.
 */
#pragma once

#include <sys/uio.h>

#include "base/compiler.h"

struct queue_io {
	ssize_t (*pwritev)(int fd, const struct iovec *iov, int count,
			   off_t offset);
	int (*fdatasync)(int fd);
	int (*fsync)(int fd);
};

extern const struct queue_io queue_io_system;
