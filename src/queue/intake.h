/* SPDX-License-Identifier: Apache-2.0 */
/*
 * intake - how a message gets into the queue: built in memory or, when it is
 * large, in a file, and committed to stable storage.
 *
 * Order    intake_begin, intake_header..., intake_body..., intake_commit.
 *          A message that is freed before commit leaves nothing behind.
 * Holds    RC_OK of intake_commit: the image is on stable storage (group
 *          commit: one fdatasync for all who wrote before it began) and qmgr
 *          has been told, or will be, or will find it by itself.
 * Limits   memory for one message 256 KB, for all of the process
 *          memory_budget_bytes; beyond either, the message streams to a file.
 *          One commit waits at most commit_timeout_ms, then fails (RC_TEMP).
 * Errors   RC_TEMP 4.3.0 or 4.3.1 ("insufficient system storage"); after one
 *          the message is dead and must be freed. ENOSPC, EIO, EMFILE heal by
 *          themselves: the next message tries anew.
 * Threads  an intake is shared by all threads of its process; a message belongs
 *          to one thread at a time
 * See      docs/queue-states.md
 */
#pragma once

#include "queue/envelope.h"
#include "queue/place.h"

struct intake;

struct intake_config {
	const char *queue_directory;
	const char *writer;	 /* unique on this machine; names the segments */
	const char *qmgr_socket; /* relative to queue_directory: "public/qmgr" */
	size_t memory_budget_bytes;
	uint64_t min_free_bytes; /* queue_minfree; 0: 1.5 x message_size_limit */
	bool long_queue_ids;	 /* enable_long_queue_ids */
	int commit_timeout_ms;
	/* Open files by descriptors so that it works after a chroot to
	 * queue_directory: opened once, in intake_open. */
};

/* Takes the writer's lock (RC_TEMP: another process has it), replays nothing:
 * what an earlier writer left is qmgr's to find. */
MUST_CHECK enum rc intake_open(TALLOC_CTX *mem,
			       const struct intake_config *config,
			       struct intake **ret_intake,
			       struct fault *fault);
/* The socket to qmgr, for the poller of the owner; -1 when not connected. Call
 * intake_qmgr_check when it is readable, or now and then: it notices that qmgr
 * went away before there is something to say. The intake reconnects by itself
 * when it has something to say; then the descriptor changes. */
int intake_qmgr_fd(const struct intake *intake);
void intake_qmgr_check(struct intake *intake);

struct intake_message {
	const char *queue_id;	/* known from the beginning */
	uint64_t content_bytes; /* header + body so far */
	struct intake_priv *priv;
};

MUST_CHECK enum rc intake_begin(TALLOC_CTX *mem, struct intake *intake,
				struct intake_message **ret_message,
				struct fault *fault);
/* The final header block, CRLF line ends, without the empty line. May be called
 * again with more of it before the first body byte. */
MUST_CHECK enum rc intake_header(struct intake_message *message,
				 struct span lines, struct fault *fault);
/* The rest: the empty line and the body, CRLF line ends, not dot-stuffed. */
MUST_CHECK enum rc intake_body(struct intake_message *message,
			       struct span bytes, struct fault *fault);
/* Put other text in place of the header block, after all of the body. */
MUST_CHECK enum rc intake_replace_header(struct intake_message *message,
					 struct span lines,
					 struct fault *fault);
/* env->queue_id, size_bytes, longest_line and the flags seen in the content
 * (8BIT, DOT_LINE, BARE_EOL) are filled in by this call. */
MUST_CHECK enum rc intake_commit(struct intake_message *message,
				 struct envelope *env, struct fault *fault);
