/* SPDX-License-Identifier: Apache-2.0 */
/* Log levels: 2 the steps of the handshake, 3 its bytes, 4 all bytes. */
#include <openssl/err.h>
#include <stdarg.h>

#include "net/tls_priv.h"

enum { LINE_MAX_BYTES = 1000, ROW_BYTES = 16, DUMP_MAX_BYTES = 4096 };

static bool is_traced(const struct tls *tls, int level)
{
	const struct tls_config *config = &tls->context->config;

	return config->log != NULL && config->log_level >= level;
}

void tls_tracef(const struct tls *tls, int level, const char *format, ...)
{
	char line[LINE_MAX_BYTES];
	va_list args;

	if (!is_traced(tls, level))
		return;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	tls->context->config.log(line);
}

static void step_done(const SSL *ssl, int where, int result)
{
	const struct tls *tls = SSL_get_app_data(ssl);
	const char *what = where & SSL_ST_ACCEPT ? "SSL_accept" : "SSL_connect";

	if (tls == NULL)
		return;
	if (where & SSL_CB_LOOP)
		tls_tracef(tls, 2, "%s:%s", what, SSL_state_string_long(ssl));
	else if (where & SSL_CB_ALERT)
		tls_tracef(tls, 2, "SSL3 alert %s:%s:%s",
			   where & SSL_CB_READ ? "read" : "write",
			   SSL_alert_type_string_long(result),
			   SSL_alert_desc_string_long(result));
	else if ((where & SSL_CB_EXIT) && result == 0)
		tls_tracef(tls, 2, "%s:failed in %s", what,
			   SSL_state_string_long(ssl));
}

/* "0000 16 03 01 ...  ...." */
static void row_dump(const struct tls *tls, const char *bytes, size_t at,
		     size_t size)
{
	char hex[3 * ROW_BYTES + 1] = "", text[ROW_BYTES + 1] = "";

	for (size_t i = 0; i < size; i++) {
		snprintf(hex + 3 * i, 4, "%02x ", (unsigned char)bytes[i]);
		text[i] = ascii_is_print(bytes[i]) ? bytes[i] : '.';
	}
	tls_tracef(tls, 3, "%04zx %-48s %s", at, hex, text);
}

static long bytes_pass(BIO *bio, int operation, const char *bytes, size_t len,
		       int unused, long unused_long, int result, size_t *done)
{
	const struct tls *tls = (const struct tls *)BIO_get_callback_arg(bio);
	bool in = operation == (BIO_CB_READ | BIO_CB_RETURN);
	size_t size;

	if ((!in && operation != (BIO_CB_WRITE | BIO_CB_RETURN)) ||
	    result <= 0 || done == NULL)
		return result;
	/* Level 3 ends with the handshake. */
	if (!is_traced(tls, 4) && SSL_is_init_finished(tls->ssl))
		return result;
	tls_tracef(tls, 3, "%s %s (%zu bytes => %zu (0x%zX))",
		   in ? "read from" : "write to", tls->peer, len, *done, *done);
	size = MIN_OF(*done, (size_t)DUMP_MAX_BYTES);
	for (size_t at = 0; at < size; at += ROW_BYTES)
		row_dump(tls, bytes + at, at,
			 MIN_OF(size - at, (size_t)ROW_BYTES));
	return result;
}

void tls_trace_context(struct tls_context *context)
{
	if (context->config.log != NULL && context->config.log_level >= 2)
		SSL_CTX_set_info_callback(context->ctx, step_done);
}

static void bio_trace(struct tls *tls, BIO *bio)
{
	BIO_set_callback_arg(bio, (char *)tls);
	BIO_set_callback_ex(bio, bytes_pass);
}

/* The ciphers of TLS 1.2 and older that are left. */
static void ciphers_trace(const struct tls *tls)
{
	char list[LINE_MAX_BYTES / 2] = "";
	size_t used = 0;

	for (int i = 0; used < sizeof(list); i++) {
		const char *name = SSL_get_cipher_list(tls->ssl, i);

		if (name == NULL)
			break;
		used += (size_t)snprintf(list + used, sizeof(list) - used,
					 "%s%s", used > 0 ? ":" : "", name);
	}
	tls_tracef(tls, 2, "%s: TLS cipher list \"%s\"", tls->peer, list);
}

void tls_trace_begin(struct tls *tls, const char *ciphers)
{
	if (!is_traced(tls, 2))
		return;
	tls_tracef(tls, 2, "setting up TLS connection %s %s",
		   tls->is_server ? "from" : "to", tls->peer);
	if (ciphers != NULL)
		tls_tracef(tls, 2, "%s: TLS cipher list \"%s\"", tls->peer,
			   ciphers);
	else
		ciphers_trace(tls);
	if (!is_traced(tls, 3))
		return;
	bio_trace(tls, SSL_get_rbio(tls->ssl));
	if (SSL_get_wbio(tls->ssl) != SSL_get_rbio(tls->ssl))
		bio_trace(tls, SSL_get_wbio(tls->ssl));
}

void tls_trace_done(struct tls *tls)
{
	const struct tls_facts *facts = &tls->facts;

	if (!is_traced(tls, 2))
		return;
	if (facts->resumed)
		tls_tracef(tls, 2, "%s: Reusing old session", tls->peer);
	if (facts->trust == TLS_ANONYMOUS)
		return;
	tls_tracef(tls, 2,
		   "%s: subject_CN=%s, issuer_CN=%s, fingerprint=%s, "
		   "pkey_fingerprint=%s",
		   tls->peer, facts->peer_name, facts->issuer_name,
		   facts->fingerprint, facts->key_fingerprint);
}
