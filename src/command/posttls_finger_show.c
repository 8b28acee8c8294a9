/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>

#include "command/posttls_finger.h"
#include "net/tls_chain.h"

enum { LINE_MAX_BYTES = 4096 };

/* One line; what the other side sent may not steer the terminal. */
void finger_say(const char *format, ...)
{
	char text[LINE_MAX_BYTES];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	for (char *p = text; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
	printf("posttls-finger: %s\n", text);
	fflush(stdout);
}

void finger_show_chat(void *arg, const char *mark, struct span line)
{
	const struct finger *f = arg;

	if (!f->no_chat)
		finger_say("%s %.*s", mark, SPAN_FMT(line));
}

void finger_show_connected(void *arg, const char *peer)
{
	const struct finger *f = arg;

	if (!f->no_chat)
		finger_say("Connected to %s", peer);
}

static void show_certificate(const struct tls_certificate *cert, size_t depth)
{
	printf("%2zu subject: %s\n    issuer: %s\n"
	       "   cert digest=%s\n   pkey digest=%s\n%s",
	       depth, cert->subject, cert->issuer, cert->digest,
	       cert->key_digest, cert->pem);
}

static void show_chain(const struct tls *tls)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	size_t count;
	struct tls_certificate *chain = tls_chain(tmp, tls, &count);

	puts("\n---\nCertificate chain");
	for (size_t i = 0; i < count; i++)
		show_certificate(&chain[i], i);
}

/* "1E:7A" without the colons. */
static const char *bare(TALLOC_CTX *mem, const char *digest)
{
	char *text = mem_strdup(mem, digest), *to = text;

	for (const char *from = digest; *from != '\0'; from++)
		if (*from != ':')
			*to++ = *from;
	*to = '\0';
	return text;
}

static void show_matched_print(const struct finger *f,
			       const struct tls_facts *facts, const char *peer)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);

	for (size_t i = 0; i < f->match_count; i++) {
		const char *word = f->match[i];

		if (strcasecmp(word, facts->fingerprint) != 0 &&
		    strcasecmp(word, facts->key_fingerprint) != 0)
			continue;
		finger_say("%s: Matched fingerprint: %s", peer,
			   bare(tmp, word));
		return;
	}
}

static void show_names(const struct tls *tls, const char *peer)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	size_t count;
	struct tls_certificate *chain = tls_chain(tmp, tls, &count);

	if (count == 0)
		return;
	for (size_t i = 0; i < chain[0].name_count; i++)
		finger_say("%s: subjectAltName: %s", peer, chain[0].names[i]);
	if (chain[0].name_count == 0)
		finger_say("%s CommonName %s", peer, chain[0].subject_cn);
}

static void show_match(const struct finger *f, const struct tls *tls,
		       const char *peer)
{
	const struct tls_facts *facts = tls_facts(tls);

	if (facts->unmet != NULL) {
		finger_say("%s", facts->unmet);
		if ((f->log & FINGER_VERBOSE) != 0 &&
		    f->level != TLS_FINGERPRINT)
			show_names(tls, peer);
		return;
	}
	if ((f->log & FINGER_CERTMATCH) == 0 || facts->trust != TLS_VERIFIED)
		return;
	if (f->level == TLS_FINGERPRINT)
		show_matched_print(f, facts, peer);
	else if (facts->matched_name != NULL)
		finger_say("%s: matched peername: %s", peer,
			   facts->matched_name);
}

void finger_show_tls(void *arg, const struct tls *tls, const char *peer)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	const struct finger *f = arg;
	const struct tls_facts *facts = tls_facts(tls);
	/* The trace has said that. */
	const bool is_told = f->tls_loglevel >= 2;

	if (facts->resumed && !is_told)
		finger_say("%s: Reusing old session", peer);
	if (!facts->resumed)
		show_match(f, tls, peer);
	if (f->show_chain && !facts->resumed)
		show_chain(tls);
	if ((f->log & (FINGER_PEERCERT | FINGER_CERTMATCH)) != 0 &&
	    !facts->resumed && facts->trust != TLS_ANONYMOUS && !is_told)
		finger_say("%s: subject_CN=%s, issuer_CN=%s, fingerprint=%s, "
			   "pkey_fingerprint=%s",
			   peer, facts->peer_name, facts->issuer_name,
			   facts->fingerprint, facts->key_fingerprint);
	if ((f->log & FINGER_SUMMARY) != 0)
		finger_say("%s", tls_summary(tmp, tls, "to", peer));
}
