/* SPDX-License-Identifier: Apache-2.0 */
#include "net/tls.h"

#include <errno.h>
#include <openssl/err.h>

#include "net/tls_priv.h"

static int tls_free(struct tls *tls)
{
	/* Without a goodbye the session would be spoilt for resuming. */
	SSL_set_shutdown(tls->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(tls->ssl);
	return 0;
}

struct tls *tls_new(TALLOC_CTX *mem, const struct tls_context *context, int fd,
		    const char *peer)
{
	struct tls *tls = mem_new(mem, struct tls);

	tls->context = context;
	tls->peer = mem_strdup(tls, peer);
	tls->ssl = SSL_new(context->ctx);
	if (tls->ssl == NULL || SSL_set_fd(tls->ssl, fd) != 1) {
		SSL_free(tls->ssl);
		talloc_free(tls);
		return NULL;
	}
	SSL_set_app_data(tls->ssl, tls);
	talloc_set_destructor(tls, tls_free);
	return tls;
}

enum tls_io tls_io_of(struct tls *tls, int result, struct fault *fault)
{
	int saved_errno = errno;
	char text[400];

	switch (SSL_get_error(tls->ssl, result)) {
	case SSL_ERROR_NONE:
		return TLS_DONE;
	case SSL_ERROR_WANT_READ:
		return TLS_WANT_READ;
	case SSL_ERROR_WANT_WRITE:
		return TLS_WANT_WRITE;
	case SSL_ERROR_ZERO_RETURN:
		return TLS_CLOSED;
	case SSL_ERROR_SYSCALL:
		if (saved_errno == 0 || saved_errno == ECONNRESET ||
		    saved_errno == EPIPE)
			return TLS_CLOSED;
		errno = saved_errno;
		fault_set(fault, RC_TEMP, "4.7.0", "%m");
		return TLS_FAILED;
	default:
		tls_error_trace(text, sizeof(text));
		fault_set(fault, RC_TEMP, "4.7.0", "%s", text);
		return TLS_FAILED;
	}
}

enum rc tls_accept(TALLOC_CTX *mem, struct tls_server *server, int fd,
		   const char *peer, struct tls **ret_tls, struct fault *fault)
{
	struct tls *tls = tls_new(mem, &server->context, fd, peer);
	char text[256];

	if (tls == NULL) {
		tls_error_text(text, sizeof(text));
		return fault_set(fault, RC_TEMP, "4.7.0", "%s", text);
	}
	tls->is_server = true;
	tls->asked_client_cert = server->context.config.ask_client_cert;
	SSL_set_accept_state(tls->ssl);
	tls_trace_begin(tls, NULL);
	*ret_tls = tls;
	return RC_OK;
}

enum tls_io tls_handshake(struct tls *tls, struct fault *fault)
{
	enum tls_io io;
	int result;

	ERR_clear_error();
	errno = 0;
	result = SSL_do_handshake(tls->ssl);
	if (result == 1) {
		tls_facts_gather(tls);
		tls_trace_done(tls);
		return TLS_DONE;
	}
	io = tls_io_of(tls, result, fault);
	if (io == TLS_CLOSED)
		fault_set(fault, RC_TEMP, "4.7.0", "lost connection");
	return io;
}

enum tls_io tls_read(struct tls *tls, void *into, size_t size, size_t *ret_size,
		     struct fault *fault)
{
	ERR_clear_error();
	errno = 0;
	if (SSL_read_ex(tls->ssl, into, size, ret_size) == 1)
		return TLS_DONE;
	return tls_io_of(tls, 0, fault);
}

enum tls_io tls_write(struct tls *tls, struct span bytes, size_t *ret_size,
		      struct fault *fault)
{
	if (bytes.len == 0) {
		*ret_size = 0;
		return TLS_DONE;
	}
	ERR_clear_error();
	errno = 0;
	if (SSL_write_ex(tls->ssl, bytes.ptr, bytes.len, ret_size) == 1)
		return TLS_DONE;
	return tls_io_of(tls, 0, fault);
}

bool tls_has_input(const struct tls *tls)
{
	return SSL_has_pending(tls->ssl) == 1;
}

void tls_close(struct tls *tls)
{
	if (SSL_is_init_finished(tls->ssl))
		SSL_shutdown(tls->ssl);
	ERR_clear_error();
}
