/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arrive/pickup/pickup.h"
#include "base/clock.h"
#include "mail/received.h"
#include "queue/crc32c.h"
#include "rule/maildrop.h"
#include "sys/log.h"

enum {
	CHUNK_BYTES = 64 * 1024,
	STALE_S = 24 * 3600, /* nobody is writing any more */
	TEXT_MAX_BYTES = 4096,
};

struct file {
	struct pickup *pickup;
	TALLOC_CTX *mem;
	const char *name;
	int fd;
	struct stat st;
	uint64_t arrival_us;
	struct maildrop_head *head;
	uint64_t left; /* content bytes not read yet */
	uint32_t crc;
	struct span first; /* content that was read with the head */
};

static int file_close(struct file *f)
{
	if (f->fd >= 0)
		close(f->fd);
	return 0;
}

static void stuck_note(struct pickup *pickup, const char *name)
{
	pickup->stuck = mem_resize(pickup, pickup->stuck, const char *,
				   pickup->stuck_count + 1);
	pickup->stuck[pickup->stuck_count++] = mem_strdup(pickup, name);
}

static enum pickup_outcome put_away(struct file *f, const char *why)
{
	log_warning("maildrop/%s: %s; moved to corrupt/%s", f->name, why,
		    f->name);
	if (renameat(f->pickup->maildrop_fd, f->name, f->pickup->corrupt_fd,
		     f->name) != 0) {
		log_warning("rename maildrop/%s to corrupt/%s: %m", f->name,
			    f->name);
		stuck_note(f->pickup, f->name);
	}
	return PICKUP_SKIPPED;
}

static void incomplete(struct file *f)
{
	time_t now = (time_t)(clock_wall_us() / 1000000);

	if (f->st.st_mtime > now - STALE_S)
		return;
	log_warning("maildrop/%s: never completed; removed", f->name);
	unlinkat(f->pickup->maildrop_fd, f->name, 0);
}

/* false: the file is not to be taken (now), *ret_outcome says why. */
static bool file_open(struct file *f, enum pickup_outcome *ret_outcome)
{
	uint64_t now = clock_wall_us();

	*ret_outcome = PICKUP_SKIPPED;
	f->fd = openat(f->pickup->maildrop_fd, f->name,
		       O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (f->fd < 0 && errno == ENOENT)
		return false;
	/* Nobody else may read a file that is still being written. */
	if (f->fd < 0 && errno == EACCES &&
	    fstatat(f->pickup->maildrop_fd, f->name, &f->st,
		    AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISREG(f->st.st_mode) && !(f->st.st_mode & S_IXUSR)) {
		incomplete(f);
		return false;
	}
	if (f->fd < 0 && (errno == ELOOP || errno == ENXIO)) {
		put_away(f, "not a regular file");
		return false;
	}
	if (f->fd < 0 || fstat(f->fd, &f->st) != 0) {
		log_warning("open maildrop/%s: %m", f->name);
		*ret_outcome = PICKUP_LATER;
		return false;
	}
	if (!S_ISREG(f->st.st_mode)) {
		put_away(f, "not a regular file");
		return false;
	}
	if (!(f->st.st_mode & S_IXUSR)) {
		incomplete(f);
		return false;
	}
	f->arrival_us = (uint64_t)f->st.st_mtim.tv_sec * 1000000 +
			(uint64_t)f->st.st_mtim.tv_nsec / 1000;
	if (f->st.st_mtim.tv_sec < 0 || f->arrival_us > now)
		f->arrival_us = now;
	return true;
}

static enum rc bytes_read(struct file *f, char *into, size_t size, size_t *got,
			  struct fault *fault)
{
	ssize_t len;

	do
		len = read(f->fd, into, size);
	while (len < 0 && errno == EINTR);
	if (len < 0)
		return fault_set(fault, RC_TEMP, "4.3.0",
				 "read maildrop/%s: %m", f->name);
	if (len == 0)
		return fault_set(fault, RC_PERM, "5.5.2", "ends early");
	*got = (size_t)len;
	return RC_OK;
}

/* The head, however long it is; what was read beyond it is f->first. */
static enum rc head_read(struct file *f, struct fault *fault)
{
	uint64_t size = (uint64_t)f->st.st_size;
	uint64_t want = size - MAILDROP_TAIL_BYTES, have = 0;
	struct buf bytes;

	if (size <= MAILDROP_TAIL_BYTES)
		return fault_set(fault, RC_PERM, "5.5.2", "too short");
	buf_init(&bytes, f->mem, MAILDROP_HEAD_MAX_BYTES + CHUNK_BYTES);
	for (;;) {
		struct span rest = buf_span(&bytes);
		enum rc rc = maildrop_head_parse(f, &rest, &f->head, fault);
		size_t got;

		if (rc == RC_OK) {
			f->first = rest;
			f->left = want - have;
			f->crc = crc32c(0, buf_span(&bytes));
			return RC_OK;
		}
		if (rc != RC_NONE)
			return rc;
		if (have == want || !buf_reserve(&bytes, CHUNK_BYTES))
			return fault_set(fault, RC_PERM, "5.5.2",
					 "head without end");
		rc = bytes_read(f, bytes.data + bytes.len,
				(size_t)MIN_OF((uint64_t)CHUNK_BYTES,
					       want - have),
				&got, fault);
		if (rc != RC_OK)
			return rc;
		bytes.len += got;
		have += got;
	}
}

/* Whole lines go on; returns how much was used. The last line, or one longer
 * than the buffer, goes on as a part. */
static size_t lines_feed(struct cleanup *cleanup, struct span bytes, bool full)
{
	size_t used = 0;

	while (used < bytes.len) {
		struct span rest = span_skip(bytes, used);
		ssize_t end = span_find(rest, '\n');

		if (end < 0)
			break;
		cleanup_line(cleanup, span_take(rest, (size_t)end), false);
		used += (size_t)end + 1;
	}
	if (used == 0 && full) {
		cleanup_line(cleanup, bytes, true);
		used = bytes.len;
	}
	return used;
}

static enum rc tail_check(struct file *f, struct fault *fault)
{
	char tail[MAILDROP_TAIL_BYTES];

	if (pread(f->fd, tail, sizeof(tail),
		  f->st.st_size - MAILDROP_TAIL_BYTES) !=
	    (ssize_t)sizeof(tail))
		return fault_set(fault, RC_TEMP, "4.3.0",
				 "read maildrop/%s: %m", f->name);
	if (!maildrop_tail_fits(tail, f->crc,
				(uint64_t)f->st.st_size - MAILDROP_TAIL_BYTES))
		return fault_set(fault, RC_PERM, "5.5.2", "damaged or cut off");
	return RC_OK;
}

/* RC_PERM: the file is damaged. What cleanup thinks of the content it keeps for
 * cleanup_finish. */
static enum rc content_feed(struct file *f, struct cleanup *cleanup,
			    struct fault *fault)
{
	char *chunk = talloc_array(f->mem, char, CHUNK_BYTES);
	uint32_t crc = f->crc;
	uint64_t left = f->left;
	size_t held = 0, used = lines_feed(cleanup, f->first, false);
	struct span carry = span_skip(f->first, used);

	while (carry.len >= CHUNK_BYTES) { /* a very long first line */
		cleanup_line(cleanup, span_take(carry, CHUNK_BYTES), true);
		carry = span_skip(carry, CHUNK_BYTES);
	}
	memcpy(chunk, carry.ptr, carry.len);
	held = carry.len;
	while (left > 0) {
		size_t got;
		enum rc rc = bytes_read(f, chunk + held,
					(size_t)MIN_OF(left,
						       CHUNK_BYTES - held),
					&got, fault);

		if (rc != RC_OK)
			return rc;
		crc = crc32c(crc, (struct span){ chunk + held, got });
		left -= got;
		held += got;
		used = lines_feed(cleanup, (struct span){ chunk, held },
				  held == CHUNK_BYTES);
		held -= used;
		memmove(chunk, chunk + used, held);
	}
	if (held > 0)
		cleanup_line(cleanup, (struct span){ chunk, held }, false);
	f->crc = crc;
	return tail_check(f, fault);
}

static bool detects_smtputf8(const struct conf *conf)
{
	struct span rest = span_from(conf->v.smtputf8_autodetect_classes), word;

	while (conf->v.smtputf8_enable && span_token(&rest, ", \t\r\n", &word))
		if (span_is_nocase(word, "sendmail") ||
		    span_is_nocase(word, "all"))
			return true;
	return false;
}

static const char *received_make(struct file *f)
{
	const struct received received = {
		.from = RECEIVED_LOCAL,
		.hostname = f->pickup->conf->v.myhostname,
		.mail_name = f->pickup->conf->v.mail_name,
		.queue_id = "%QID%",
		.when = (time_t)(f->arrival_us / 1000000),
		.uid = f->st.st_uid,
	};
	struct buf out;

	buf_init(&out, f->mem, TEXT_MAX_BYTES);
	if (!received_format(&received, &out))
		return NULL;
	return buf_text(&out);
}

static const char *verp_delimiters(const struct file *f)
{
	if (f->head->verp == NULL || f->head->verp[0] != '\0')
		return f->head->verp;
	return f->pickup->conf->v.default_verp_delimiters;
}

static enum rc envelope_feed(struct file *f, struct cleanup *cleanup,
			     struct fault *fault)
{
	const struct maildrop_head *head = f->head;
	enum rc rc = cleanup_sender(cleanup, span_from(head->sender), fault);

	for (size_t i = 0; rc == RC_OK && i < head->recipient_count; i++) {
		struct span address = span_from(head->recipients[i]);

		rc = cleanup_recipient(cleanup, address, address, NULL,
				       head->notify, fault);
	}
	return rc;
}

enum attempt {
	ATTEMPT_QUEUED,
	ATTEMPT_DAMAGED, /* fault: what is wrong with the file */
	ATTEMPT_REFUSED, /* fault: why the message may not pass */
	ATTEMPT_LATER,
};

/* bounce: NULL, or why the message is queued only to be returned. */
static enum attempt message_queue(struct file *f, const char *bounce,
				  struct fault *fault)
{
	SCRATCH TALLOC_CTX *mem = talloc_new(f->mem);
	struct cleanup_origin origin = {
		.flags = bounce != NULL ? CLEANUP_BOUNCE : CLEANUP_SMTPD,
		.received = received_make(f),
		.dsn_envid = f->head->envid,
		.dsn_ret = f->head->ret,
		.arrival_us = f->arrival_us,
		/* qmgr's word when it requeues, nobody else's */
		.log_ident = f->st.st_uid == geteuid() ? f->head->log_ident :
							 NULL,
		.verp = verp_delimiters(f),
		.full_name = f->head->full_name,
		.filter = bounce,
	};
	struct cleanup *cleanup;
	bool discarded = false;
	enum rc rc;

	if (!f->head->gateway)
		origin.flags |= CLEANUP_LOCAL;
	if (detects_smtputf8(f->pickup->conf))
		origin.flags |= CLEANUP_DETECT_UTF8;
	if (f->head->body == MAILDROP_BODY_8BIT)
		origin.envelope_flags |= ENVELOPE_BODY_8BITMIME;
	if (f->head->trace != MAILDROP_TRACE_NONE)
		origin.envelope_flags |= ENVELOPE_REPORT;
	if (f->head->trace == MAILDROP_TRACE_PROBE)
		origin.envelope_flags |= ENVELOPE_PROBE;
	if (cleanup_begin(mem, f->pickup->cleanup, &origin, &cleanup, fault) !=
	    RC_OK)
		return ATTEMPT_LATER;
	log_info("%s: uid=%u from=<%s>", cleanup_queue_id(cleanup),
		 f->st.st_uid, f->head->sender);
	rc = envelope_feed(f, cleanup, fault);
	if (rc == RC_OK) {
		rc = content_feed(f, cleanup, fault);
		if (rc == RC_PERM)
			return ATTEMPT_DAMAGED;
	}
	if (rc == RC_OK)
		rc = cleanup_finish(cleanup, &discarded, fault);
	if (rc == RC_OK)
		return ATTEMPT_QUEUED;
	return rc == RC_PERM ? ATTEMPT_REFUSED : ATTEMPT_LATER;
}

/* The sender is told as of any other mail that cannot be delivered. */
static enum attempt refused_queue(struct file *f, struct fault *fault)
{
	struct span text = span_from(fault->text);
	const char *why;

	if (span_starts(text, "Error: "))
		text = span_skip(text, strlen("Error: "));
	why = mem_printf(f->mem, "error:%s %.*s", fault->dsn, SPAN_FMT(text));
	if (lseek(f->fd, 0, SEEK_SET) != 0)
		return ATTEMPT_LATER;
	talloc_free(f->head);
	f->head = NULL;
	if (head_read(f, fault) != RC_OK)
		return ATTEMPT_LATER;
	return message_queue(f, why, fault);
}

static enum pickup_outcome file_take(struct file *f)
{
	struct fault fault = { 0 };
	enum rc rc = head_read(f, &fault);
	enum attempt attempt;

	if (rc == RC_PERM)
		return put_away(f, fault.text);
	attempt = rc == RC_OK ? message_queue(f, NULL, &fault) : ATTEMPT_LATER;
	if (attempt == ATTEMPT_REFUSED) {
		log_warning("maildrop/%s: message refused: %s %s", f->name,
			    fault.dsn, fault.text);
		attempt = refused_queue(f, &fault);
	}
	switch (attempt) {
	case ATTEMPT_QUEUED:
		break;
	case ATTEMPT_DAMAGED:
		return put_away(f, fault.text);
	case ATTEMPT_REFUSED:
	case ATTEMPT_LATER:
		log_warning("maildrop/%s: not taken now: %s", f->name,
			    fault.text);
		return PICKUP_LATER;
	}
	if (unlinkat(f->pickup->maildrop_fd, f->name, 0) != 0) {
		log_warning("remove maildrop/%s: %m", f->name);
		stuck_note(f->pickup, f->name);
	}
	return PICKUP_TAKEN;
}

/* true: it was taken before; try to remove it again. */
static bool stuck_remove(struct pickup *pickup, const char *name)
{
	for (size_t i = 0; i < pickup->stuck_count; i++) {
		if (strcmp(pickup->stuck[i], name) != 0)
			continue;
		if (unlinkat(pickup->maildrop_fd, name, 0) == 0 ||
		    errno == ENOENT)
			pickup->stuck[i] =
				pickup->stuck[--pickup->stuck_count];
		return true;
	}
	return false;
}

enum pickup_outcome pickup_file(struct pickup *pickup, const char *name)
{
	enum pickup_outcome outcome;
	struct file *f;

	if (stuck_remove(pickup, name))
		return PICKUP_SKIPPED;
	f = mem_new(pickup, struct file);
	f->pickup = pickup;
	f->mem = f;
	f->name = name;
	f->fd = -1;
	talloc_set_destructor(f, file_close);
	if (file_open(f, &outcome))
		outcome = file_take(f);
	talloc_free(f);
	return outcome;
}
