/* SPDX-License-Identifier: Apache-2.0 */
/*
 * packet - one typed message on a SOCK_SEQPACKET Unix socket, with at most one
 * open file beside it.
 *
 * Shape    u16 type, then fields in the order both sides agreed on: u32 and
 *          u64 in host order, spans as u32 length and bytes
 * Limits   PACKET_MAX_BYTES a packet; the receiver checks every length
 * Errors   RC_NONE would block (non-blocking socket), RC_PERM the peer has
 *          closed, RC_TEMP anything else
 * Threads  sends of different threads on one socket do not mix: a packet is
 *          atomic
 */
#pragma once

#include "base/buf.h"
#include "base/fault.h"

enum { PACKET_MAX_BYTES = 128 * 1024 };

struct packet_out {
	struct buf buf;
	int fd; /* -1 or a file to pass along; stays the caller's */
};

struct packet_in {
	uint16_t type;
	struct span rest; /* fields not taken yet; points into `bytes` */
	int fd;		  /* -1 or a file that came along, the receiver's */
	bool bad;	  /* a take ran past the end */
	char *bytes;
};

void packet_begin(struct packet_out *out, TALLOC_CTX *mem, uint16_t type);
void packet_put_u32(struct packet_out *out, uint32_t value);
void packet_put_u64(struct packet_out *out, uint64_t value);
void packet_put_span(struct packet_out *out, struct span span);
void packet_put_text(struct packet_out *out, const char *text); /* NULL is "" */
/* RC_PERM also when the packet was too large to build. */
MUST_CHECK enum rc packet_send(int sock, struct packet_out *out,
			       struct fault *fault);

/* Receive one; the bytes are a child of mem. in->fd is close-on-exec. */
MUST_CHECK enum rc packet_receive(TALLOC_CTX *mem, int sock,
				  struct packet_in *in, struct fault *fault);
/* Taking past the end gives 0 or an empty span and sets in->bad; check once. */
uint32_t packet_take_u32(struct packet_in *in);
uint64_t packet_take_u64(struct packet_in *in);
struct span packet_take_span(struct packet_in *in);
/* A NUL-terminated copy. */
char *packet_take_text(struct packet_in *in, TALLOC_CTX *mem);
/* Take the file out of the packet (or -1). */
int packet_take_fd(struct packet_in *in);
