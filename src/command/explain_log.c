/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions out of a mail log of Postfix or Postern: what was refused from its
 * reject line, what was accepted from the lines of its queue id. A log does not
 * say everything: HELO of accepted mail is taken to be the client's name.
 *
 * Lines    Nov 21 20:05:05 mx postfix/smtpd[27435]: text
 *          2026-11-21T20:05:05.1+01:00 mx postfix/smtpd[27435]: text
 *          <22>1 2026-11-21T20:05:05Z mx postfix/smtpd 27435 - - text
 * Limits   messages under way: OPEN_MAX, then the oldest counts as complete
 */
#include "command/explain_priv.h"

enum { BUCKETS = 1 << 14, OPEN_MAX = 100000, LINE_MAX_BYTES = 64 * 1024 };

/* A message under way, or a client with TLS. */
struct entry {
	struct entry *next; /* in its bucket */
	struct entry *older, *younger;
	struct span key; /* a NUL is a byte of it */
	struct explain_session session;
	bool has_client;
};

struct explain_log {
	explain_session_fn *found;
	void *arg;
	struct entry *buckets[BUCKETS];
	struct entry *oldest, *youngest;
	size_t count;
	size_t line;
};

static size_t bucket_of(struct span key)
{
	uint32_t hash = 2166136261u;

	for (size_t i = 0; i < key.len; i++)
		hash = (hash ^ (unsigned char)key.ptr[i]) * 16777619u;
	return hash % BUCKETS;
}

static struct entry *entry_find(const struct explain_log *log, struct span key)
{
	struct entry *entry = log->buckets[bucket_of(key)];

	while (entry != NULL && !span_eq(key, entry->key))
		entry = entry->next;
	return entry;
}

static void entry_drop(struct explain_log *log, struct entry *entry)
{
	struct entry **at = &log->buckets[bucket_of(entry->key)];

	while (*at != entry)
		at = &(*at)->next;
	*at = entry->next;
	*(entry->older != NULL ? &entry->older->younger : &log->oldest) =
		entry->younger;
	*(entry->younger != NULL ? &entry->younger->older : &log->youngest) =
		entry->older;
	log->count--;
	talloc_free(entry);
}

/* ---- handing over ---- */

static void hand_over(struct explain_log *log, struct explain_session *session)
{
	if (session->helo == NULL && session->client_name != NULL)
		session->helo = strcmp(session->client_name, "unknown") != 0
					? session->client_name
					: mem_printf(log, "[%s]",
						     session->client_address);
	log->found(log->arg, session);
}

/* What is known of the message is all there will be. */
static void entry_end(struct explain_log *log, struct entry *entry)
{
	if (entry->has_client && entry->session.has_sender &&
	    entry->session.recipient_count > 0) {
		entry->session.id = mem_span_dup(entry, entry->key);
		hand_over(log, &entry->session);
	}
	entry_drop(log, entry);
}

static struct entry *entry_get(struct explain_log *log, struct span key)
{
	struct entry *entry = entry_find(log, key);
	struct entry **bucket = &log->buckets[bucket_of(key)];

	if (entry != NULL)
		return entry;
	if (log->count >= OPEN_MAX)
		entry_end(log, log->oldest);
	entry = mem_new(log, struct entry);
	entry->key = mem_span_copy(entry, key);
	entry->next = *bucket;
	*bucket = entry;
	entry->older = log->youngest;
	if (log->youngest != NULL)
		log->youngest->younger = entry;
	else
		log->oldest = entry;
	log->youngest = entry;
	log->count++;
	return entry;
}

struct explain_log *explain_log_new(TALLOC_CTX *mem, explain_session_fn *found,
				    void *arg)
{
	struct explain_log *log = mem_new(mem, struct explain_log);

	log->found = found;
	log->arg = arg;
	return log;
}

void explain_log_end(struct explain_log *log)
{
	while (log->oldest != NULL)
		entry_end(log, log->oldest);
}

/* ---- the parts of a line ---- */

static struct span after(struct span text, const char *mark)
{
	const char *at = memmem(text.ptr, text.len, mark, strlen(mark));

	if (at == NULL)
		return (struct span){ NULL, 0 };
	return span_skip(text, (size_t)(at - text.ptr) + strlen(mark));
}

/* The ">" that ends an address: one in a quoted part does not. */
static ssize_t find_close(struct span text)
{
	bool quoted = false;

	for (size_t i = 0; i < text.len; i++) {
		if (quoted && text.ptr[i] == '\\')
			i++;
		else if (text.ptr[i] == '"')
			quoted = !quoted;
		else if (!quoted && text.ptr[i] == '>')
			return (ssize_t)i;
	}
	return -1;
}

/* name=<value> or name=value of the attributes at the end of a line. */
static bool attribute(struct span text, const char *name, struct span *ret)
{
	struct span rest = text, found = { NULL, 0 };
	ssize_t end;

	while (rest.ptr != NULL) {
		rest = after(rest, name);
		if (rest.ptr == NULL)
			break;
		found = rest;
		if (rest.ptr - strlen(name) == text.ptr ||
		    strchr(" ,;", rest.ptr[-(ssize_t)strlen(name) - 1]) != NULL)
			break;
		found.ptr = NULL;
	}
	if (found.ptr == NULL)
		return false;
	if (span_starts(found, "<")) {
		found = span_skip(found, 1);
		end = find_close(found);
		if (end < 0)
			return false;
		*ret = span_take(found, (size_t)end);
		return true;
	}
	for (end = 0; (size_t)end < found.len; end++)
		if (strchr(" ,;", found.ptr[end]) != NULL)
			break;
	*ret = span_take(found, (size_t)end);
	return true;
}

/* "name[address]" or "name[address]:port" off the front. */
static bool cut_client(struct span *rest, struct span *ret_client)
{
	ssize_t close = span_find(*rest, ']');

	if (close <= 0 || span_find(span_take(*rest, (size_t)close), '[') < 0)
		return false;
	*ret_client = span_take(*rest, (size_t)close + 1);
	*rest = span_skip(*rest, (size_t)close + 1);
	while (rest->len > 0 &&
	       (rest->ptr[0] == ':' || ascii_is_digit(rest->ptr[0])) &&
	       !span_starts(*rest, ": "))
		*rest = span_skip(*rest, 1);
	return true;
}

/* ---- lines of smtpd ---- */

static char *tls_key(TALLOC_CTX *mem, struct span client)
{
	return mem_printf(mem, "tls %.*s", SPAN_FMT(client));
}

static void take_tls(struct explain_log *log, struct explain_session *session,
		     TALLOC_CTX *mem, struct span client)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	const struct entry *entry =
		entry_find(log, span_from(tls_key(tmp, client)));

	if (entry != NULL && entry->session.tls != NULL)
		session->tls = mem_strdup(mem, entry->session.tls);
}

/* "Anonymous TLS connection established from a[1]: TLSv1.3 with cipher X (..."
 */
static void tls_seen(struct explain_log *log, struct span text)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct span rest = after(text, "TLS connection established from ");
	struct span client, protocol, word, cipher;
	struct entry *entry;

	if (rest.ptr == NULL || !cut_client(&rest, &client) ||
	    !span_starts(rest, ": "))
		return;
	rest = span_skip(rest, 2);
	if (!span_token(&rest, " ", &protocol) ||
	    !span_token(&rest, " ", &word) || !span_token(&rest, " ", &word) ||
	    !span_token(&rest, " ", &cipher))
		return;
	entry = entry_get(log, span_from(tls_key(tmp, client)));
	entry->session.tls = mem_printf(entry, "%.*s:%.*s", SPAN_FMT(protocol),
					SPAN_FMT(cipher));
}

static void tls_forget(struct explain_log *log, struct span client)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct entry *entry = entry_find(log, span_from(tls_key(tmp, client)));

	if (entry != NULL)
		entry_drop(log, entry);
}

static void set(TALLOC_CTX *mem, struct explain_session *session,
		const char *name, struct span text, const char *mark)
{
	struct fault fault;
	struct span value;

	if (attribute(text, mark, &value))
		(void)!explain_session_set(mem, session, span_from(name), value,
					   &fault);
}

/* "RCPT from a[1]: 554 5.7.1 ...; from=<> to=<> proto=ESMTP helo=<x>" */
static void reject_seen(struct explain_log *log, struct span text)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct explain_session session = { 0 };
	struct span stage, client, reply, rest = text;
	struct fault fault;
	const char *end = NULL, *at;

	if (!span_token(&rest, " ", &stage) || !span_starts(rest, " from ") ||
	    span_is(stage, "VRFY"))
		return;
	rest = span_skip(rest, 6);
	if (!cut_client(&rest, &client) || !span_starts(rest, ": ") ||
	    explain_client_parse(tmp, client, &session, &fault) != RC_OK)
		return;
	rest = reply = span_skip(rest, 2);
	/* the attributes begin after the last "; " that one of them follows */
	for (at = rest.ptr; (at = memmem(at, rest.len - (size_t)(at - rest.ptr),
					 "; ", 2)) != NULL;
	     at += 2) {
		struct span next = span_skip(rest, (size_t)(at - rest.ptr) + 2);

		if (span_starts(next, "from=<") || span_starts(next, "proto="))
			end = at;
	}
	if (end == NULL)
		return;
	reply = span_take(rest, (size_t)(end - rest.ptr));
	rest = span_skip(rest, reply.len + 2);
	set(tmp, &session, "helo", rest, "helo=");
	set(tmp, &session, "from", rest, "from=");
	set(tmp, &session, "to", rest, "to=");
	set(tmp, &session, "sasl", rest, "sasl_username=");
	session.smtp = after(rest, "proto=SMTP ").ptr != NULL;
	session.was = mem_span_dup(tmp, reply);
	session.id = mem_printf(tmp, "line %zu", log->line);
	take_tls(log, &session, tmp, client);
	hand_over(log, &session);
}

/* "client=a[1], sasl_method=PLAIN, sasl_username=jo" */
static void client_seen(struct explain_log *log, struct span id,
			struct span text)
{
	struct entry *entry = entry_get(log, id);
	struct span client, rest = text;
	struct fault fault;

	if (!cut_client(&rest, &client) ||
	    explain_client_parse(entry, client, &entry->session, &fault) !=
		    RC_OK)
		return;
	entry->has_client = true;
	set(entry, &entry->session, "sasl", rest, "sasl_username=");
	take_tls(log, &entry->session, entry, client);
}

static void smtpd_line(struct explain_log *log, struct span text)
{
	struct span rest = text, id, client;
	ssize_t colon;

	if (span_starts(text, "connect from ") ||
	    span_starts(text, "disconnect from ")) {
		rest = after(text, "from ");
		if (cut_client(&rest, &client))
			tls_forget(log, client);
		return;
	}
	if (after(text, "TLS connection established from ").ptr != NULL) {
		tls_seen(log, text);
		return;
	}
	colon = span_find(text, ':');
	if (colon <= 0)
		return;
	id = span_take(text, (size_t)colon);
	rest = span_skip(text, (size_t)colon + 1);
	if (span_starts(rest, " reject: "))
		reject_seen(log, span_skip(rest, 9));
	else if (span_starts(rest, " client="))
		client_seen(log, id, span_skip(rest, 8));
}

/* ---- lines of the queue ---- */

static bool has_recipient(const struct explain_session *session,
			  struct span address)
{
	for (size_t i = 0; i < session->recipient_count; i++)
		if (span_is(address, session->recipients[i]))
			return true;
	return false;
}

/* "ID: from=<a>, size=1, nrcpt=1", "ID: to=<b>, ...", "ID: removed" */
static void queue_line(struct explain_log *log, struct span text)
{
	ssize_t colon = span_find(text, ':');
	struct span rest, value;
	struct entry *entry;

	if (colon <= 0)
		return;
	entry = entry_find(log, span_take(text, (size_t)colon));
	if (entry == NULL)
		return;
	rest = span_trim(span_skip(text, (size_t)colon + 1));
	if (span_is(rest, "removed") || span_starts(rest, "removed (")) {
		entry_end(log, entry);
	} else if (span_starts(rest, "from=<")) {
		set(entry, &entry->session, "from", rest, "from=");
		set(entry, &entry->session, "size", rest, "size=");
	} else if (span_starts(rest, "to=<")) {
		/* the address that the client said, before aliases */
		if (!attribute(rest, "orig_to=", &value) &&
		    !attribute(rest, "to=", &value))
			return;
		if (!has_recipient(&entry->session, value))
			explain_recipient_add(entry, &entry->session, value);
	}
}

/* ---- any line ---- */

/* "<22>1 DATE HOST TAG PID MSGID DATA text" */
static bool split_5424(struct span line, struct span *ret_tag,
		       struct span *ret_text)
{
	struct span rest = line, word;

	if (!span_starts(line, "<"))
		return false;
	for (int i = 0; i < 6; i++) {
		if (!span_token(&rest, " ", &word))
			return false;
		if (i == 0 && !span_ends(word, ">1"))
			return false;
		if (i == 3)
			*ret_tag = word;
	}
	rest = span_skip(rest, 1);
	if (span_starts(rest, "[")) {
		rest = after(rest, "] ");
	} else if (span_starts(rest, "- ")) {
		rest = span_skip(rest, 2);
	}
	if (span_starts(rest, "\xef\xbb\xbf"))
		rest = span_skip(rest, 3);
	*ret_text = rest;
	return rest.ptr != NULL;
}

/* "... TAG[PID]: text" */
static bool split_plain(struct span line, struct span *ret_tag,
			struct span *ret_text)
{
	struct span text = after(line, "]: "), head;
	ssize_t open, blank;

	if (text.ptr == NULL)
		return false;
	head = span_take(line, line.len - text.len - 3);
	open = span_rfind(head, '[');
	if (open < 0)
		return false;
	head = span_take(head, (size_t)open);
	blank = span_rfind(head, ' ');
	*ret_tag = span_skip(head, (size_t)(blank + 1));
	*ret_text = text;
	return true;
}

void explain_log_line(struct explain_log *log, struct span line)
{
	struct span tag, text;

	log->line++;
	line = span_take(span_trim(line), LINE_MAX_BYTES);
	if (!split_5424(line, &tag, &text) && !split_plain(line, &tag, &text))
		return;
	if (span_ends(tag, "/smtpd"))
		smtpd_line(log, text);
	else if (span_find(tag, '/') >= 0)
		queue_line(log, text);
}
