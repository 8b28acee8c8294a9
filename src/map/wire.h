/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wire - questions to table servers and their answers as bytes.
 *
 * Shape    tcp        get a%20key\n            200 the%20value\n
 *          socketmap  8:name key,              8:OK value,
 *          memcache   get key\r\n              VALUE key 0
 * 5\r\nvalue\r\nEND\r\n redis      *2\r\n$3\r\nGET\r\n...   $5\r\nvalue\r\n See
 * tcp_table(5), socketmap_table(5); the text protocol of memcached; RESP2 of
 * Redis. Errors   RC_NONE there is no such key; RC_TEMP the server says so, or
 * what it says makes no sense or is too long: then `broken`, because nobody
 *          knows where the next answer begins
 * Owner    a value is a child of mem
 * Threads  one at a time for each stream
 */
#pragma once

#include "base/buf.h"
#include "net/stream.h"

/* One question and its answer. */
struct wire {
	TALLOC_CTX *mem;
	struct net_stream *stream;
	struct fault *fault;
	bool broken;	/* nothing more can be asked here */
	bool elsewhere; /* another server may be able to answer */
};

enum { TCP_REPLY_MAX_BYTES = 4095 /* without the line end */ };

MUST_CHECK enum rc tcp_request_write(struct wire *wire, struct span key);
MUST_CHECK enum rc tcp_reply_read(struct wire *wire, struct span *ret_value);

MUST_CHECK enum rc socketmap_request_write(struct wire *wire, const char *name,
					   struct span key);
MUST_CHECK enum rc socketmap_reply_read(struct wire *wire, size_t max,
					struct span *ret_value);

struct memcache_limits {
	size_t line_bytes, data_bytes;
};

/* Can it be a key? At most 250 bytes, no blanks and control characters. */
MUST_CHECK bool memcache_key_is_possible(struct span key);
MUST_CHECK enum rc memcache_value_read(struct wire *wire, struct span key,
				       const struct memcache_limits *limits,
				       struct span *ret_value);
/* The answer to a change is `done` ("STORED"), or RC_NONE when it is `not_done`
 * ("NOT_STORED"). */
MUST_CHECK enum rc memcache_status_read(struct wire *wire,
					const struct memcache_limits *limits,
					const char *done, const char *not_done);

MUST_CHECK enum rc redis_command_write(struct wire *wire,
				       const struct span *words, size_t count);
enum redis_type { REDIS_STATUS, REDIS_NUMBER, REDIS_TEXT, REDIS_NIL };
struct redis_reply {
	enum redis_type type;
	struct span text; /* of a status or text, a child of mem */
	long long number;
};
/* max: the longest text. An error of the server is RC_TEMP; one that another
 * server may not have (LOADING, READONLY...) is `elsewhere` too. */
MUST_CHECK enum rc redis_reply_read(struct wire *wire, size_t max,
				    struct redis_reply *ret_reply);
