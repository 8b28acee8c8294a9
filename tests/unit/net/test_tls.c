/* SPDX-License-Identifier: Apache-2.0 */
#include "net/tls.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/tls_priv.h"

static struct {
	char dir[64];
	char ca[96], chain[96], cert[96], key[96], rsa[96], other[96];
} files;

static void name_set(X509_NAME *name, const char *cn)
{
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
				   (const unsigned char *)cn, -1, -1, 0);
}

static void extension_add(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *extension;

	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	assert_non_null(extension);
	X509_add_ext(cert, extension, -1);
	X509_EXTENSION_free(extension);
}

static X509 *cert_make(EVP_PKEY *key, const char *cn, const char *names,
		       X509 *issuer, EVP_PKEY *issuer_key, long serial)
{
	X509 *cert = X509_new();

	X509_set_version(cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), serial);
	X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
	X509_gmtime_adj(X509_getm_notAfter(cert), 24 * 3600);
	name_set(X509_get_subject_name(cert), cn);
	X509_set_issuer_name(
		cert, X509_get_subject_name(issuer == NULL ? cert : issuer));
	X509_set_pubkey(cert, key);
	if (issuer == NULL)
		extension_add(cert, cert, NID_basic_constraints,
			      "critical,CA:TRUE");
	if (names != NULL)
		extension_add(cert, issuer == NULL ? cert : issuer,
			      NID_subject_alt_name, names);
	assert_true(X509_sign(cert, issuer_key == NULL ? key : issuer_key,
			      EVP_sha256()) > 0);
	return cert;
}

static void file_write_pem(char path[96], const char *name, X509 *cert,
			   EVP_PKEY *key, X509 *more)
{
	FILE *file;

	snprintf(path, 96, "%s/%s", files.dir, name);
	file = fopen(path, "w");
	assert_non_null(file);
	if (key != NULL)
		PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL);
	if (cert != NULL)
		PEM_write_X509(file, cert);
	if (more != NULL)
		PEM_write_X509(file, more);
	fclose(file);
}

static int setup(void **state)
{
	EVP_PKEY *ca_key = EVP_EC_gen("P-256"), *key = EVP_EC_gen("P-256");
	EVP_PKEY *rsa_key = EVP_RSA_gen(2048);
	X509 *ca = cert_make(ca_key, "Test CA", NULL, NULL, NULL, 1);
	X509 *cert =
		cert_make(key, "mx.example.test",
			  "DNS:mx.example.test,DNS:*.wild.test", ca, ca_key, 2);
	X509 *rsa = cert_make(rsa_key, "rsa.example.test", NULL, ca, ca_key, 3);

	snprintf(files.dir, sizeof(files.dir), "/tmp/postern-test-tls-XXXXXX");
	assert_non_null(mkdtemp(files.dir));
	file_write_pem(files.ca, "ca.pem", ca, NULL, NULL);
	file_write_pem(files.cert, "cert.pem", cert, NULL, ca);
	file_write_pem(files.key, "key.pem", NULL, key, NULL);
	file_write_pem(files.chain, "chain.pem", cert, key, ca);
	file_write_pem(files.rsa, "rsa.pem", rsa, rsa_key, NULL);
	file_write_pem(files.other, "other.pem", NULL, ca_key, NULL);
	X509_free(ca);
	X509_free(cert);
	X509_free(rsa);
	EVP_PKEY_free(ca_key);
	EVP_PKEY_free(key);
	EVP_PKEY_free(rsa_key);
	return 0;
}

static int teardown(void **state)
{
	const char *const all[] = { files.ca,  files.chain, files.cert,
				    files.key, files.rsa,   files.other };

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		unlink(all[i]);
	rmdir(files.dir);
	return 0;
}

static struct tls_config server_config(void)
{
	return (struct tls_config){ .prefix = "smtpd",
				    .cert_file = files.cert,
				    .key_file = files.key,
				    .ca_file = files.ca,
				    .curves = "X25519 P-256 nonsense",
				    .sessions = true,
				    .session_timeout_s = 3600,
				    .strength.protocols = ">=TLSv1.2" };
}

static struct tls_config client_config(void)
{
	return (struct tls_config){ .prefix = "smtp",
				    .ca_file = files.ca,
				    .sessions = true,
				    .session_timeout_s = 3600 };
}

/* An echo server for one connection, in steps that never block. */
struct peer {
	struct tls_server *server;
	int fd;
	pthread_t thread;
	enum tls_io ended;
	char summary[512];
};

static bool peer_wait(const struct peer *peer, enum tls_io io)
{
	struct pollfd p = { .fd = peer->fd,
			    .events = io == TLS_WANT_WRITE ? POLLOUT : POLLIN };

	return (io == TLS_WANT_READ || io == TLS_WANT_WRITE) &&
	       poll(&p, 1, 10 * 1000) > 0;
}

static enum tls_io echo(struct peer *peer, struct tls *tls)
{
	char bytes[512];
	struct fault fault;
	size_t got, put;
	enum tls_io io;

	for (;;) {
		struct span rest = { bytes, 0 };

		io = tls_read(tls, bytes, sizeof(bytes), &got, &fault);
		if (io != TLS_DONE && !peer_wait(peer, io))
			return io;
		if (io != TLS_DONE)
			continue;
		rest.len = got;
		while (rest.len > 0) {
			io = tls_write(tls, rest, &put, &fault);
			if (io == TLS_DONE)
				rest = span_skip(rest, put);
			else if (!peer_wait(peer, io))
				return io;
		}
	}
}

static void *peer_main(void *arg)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct peer *peer = arg;
	struct fault fault = { 0 };
	struct tls *tls;

	assert_int_equal(tls_accept(tmp, peer->server, peer->fd,
				    "localhost[127.0.0.1]", &tls, &fault),
			 RC_OK);
	do
		peer->ended = tls_handshake(tls, &fault);
	while (peer_wait(peer, peer->ended));
	if (peer->ended == TLS_DONE) {
		snprintf(peer->summary, sizeof(peer->summary), "%s",
			 tls_summary(tmp, tls, "from", "localhost[127.0.0.1]"));
		peer->ended = echo(peer, tls);
		tls_close(tls);
	}
	close(peer->fd);
	return NULL;
}

static struct net_stream *peer_start(TALLOC_CTX *mem, struct peer *peer,
				     struct tls_server *server)
{
	struct net_stream *stream;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	stream = net_stream_new(mem, fds[0]);
	net_stream_set_timeout(stream, 10 * 1000);
	*peer = (struct peer){ .server = server, .fd = fds[1] };
	assert_int_equal(fcntl(fds[1], F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(pthread_create(&peer->thread, NULL, peer_main, peer),
			 0);
	return stream;
}

static struct tls_server *server_of(TALLOC_CTX *mem,
				    const struct tls_config *config)
{
	struct tls_server *server;
	struct fault fault = { 0 };

	if (tls_server_open(mem, config, &server, &fault) != RC_OK)
		fail_msg("%s", fault.text);
	return server;
}

static struct tls_client *client_of(TALLOC_CTX *mem,
				    const struct tls_config *config)
{
	struct tls_client *client;
	struct fault fault = { 0 };

	if (tls_client_open(mem, config, &client, &fault) != RC_OK)
		fail_msg("%s", fault.text);
	return client;
}

static const char *const nexthop_words[] = { "nexthop", "dot-nexthop" };
static const char *const hostname_words[] = { "hostname" };
static const char *const wrong_print[] = { "00:11:22" };

static const struct {
	const char *why;
	bool with_ca;
	struct tls_policy policy;
	enum rc rc;
	enum tls_trust trust;
	const char *text;
} level_cases[] = {
	{ "may, unknown authority",
	  false,
	  { .level = TLS_MAY },
	  RC_OK,
	  TLS_UNTRUSTED,
	  NULL },
	{ "encrypt, known authority",
	  true,
	  { .level = TLS_ENCRYPT },
	  RC_OK,
	  TLS_TRUSTED,
	  NULL },
	{ "secure, the name fits",
	  true,
	  { .level = TLS_SECURE,
	    .nexthop_domain = "example.test",
	    .match = nexthop_words,
	    .match_count = 2 },
	  RC_OK,
	  TLS_VERIFIED,
	  NULL },
	{ "secure, another name",
	  true,
	  { .level = TLS_SECURE,
	    .nexthop_domain = "example.org",
	    .match = nexthop_words,
	    .match_count = 2 },
	  RC_TEMP,
	  0,
	  "Server certificate not verified" },
	{ "secure, no names to match",
	  true,
	  { .level = TLS_SECURE },
	  RC_TEMP,
	  0,
	  "Server certificate not verified" },
	{ "secure, unknown authority",
	  false,
	  { .level = TLS_SECURE,
	    .nexthop_domain = "example.test",
	    .match = nexthop_words,
	    .match_count = 2 },
	  RC_TEMP,
	  0,
	  "Server certificate not verified" },
	{ "verify, by the configuration's names",
	  true,
	  { .level = TLS_VERIFY, .hostname = "mx.other.test" },
	  RC_OK,
	  TLS_VERIFIED,
	  NULL },
	{ "verify, the host's name",
	  true,
	  { .level = TLS_VERIFY,
	    .hostname = "a.wild.test",
	    .match = hostname_words,
	    .match_count = 1 },
	  RC_OK,
	  TLS_VERIFIED,
	  NULL },
	{ "a fingerprint that is not its own",
	  false,
	  { .level = TLS_FINGERPRINT,
	    .match = wrong_print,
	    .match_count = 1 },
	  RC_TEMP,
	  0,
	  "Server certificate not verified" },
	{ "dane is not there yet",
	  true,
	  { .level = TLS_DANE },
	  RC_CONF,
	  0,
	  "level dane: no usable TLSA record" },
	{ "no common protocol",
	  true,
	  { .level = TLS_MAY, .strength.protocols = "<=TLSv1.1" },
	  RC_TEMP,
	  0,
	  NULL },
	{ "no common cipher",
	  true,
	  { .level = TLS_MAY,
	    .strength = { "<=TLSv1.2", "null", NULL, NULL } },
	  RC_TEMP,
	  0,
	  NULL },
	{ "a grade that is none",
	  true,
	  { .level = TLS_MAY, .strength.grade = "best" },
	  RC_CONF,
	  0,
	  "invalid TLS cipher grade: \"best\"" },
};

static void a_level_gets_what_it_demands_or_nothing(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(level_cases); i++) {
		SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
		struct tls_config theirs = server_config();
		struct tls_config ours = client_config();
		struct fault fault = { 0 };
		struct net_stream *stream;
		struct peer peer;
		struct tls *tls;
		enum rc rc;

		print_message("  %s\n", level_cases[i].why);
		if (!level_cases[i].with_ca)
			ours.ca_file = NULL;
		ours.verify_match = "hostname, mx.example.test";
		stream = peer_start(tmp, &peer, server_of(tmp, &theirs));
		rc = tls_connect(tmp, client_of(tmp, &ours), &level_cases[i].policy,
				 stream, "mx[192.0.2.1]:25", &tls, &fault);
		if (rc != RC_OK)
			print_message("    %s\n", fault.text);
		assert_int_equal(rc, level_cases[i].rc);
		if (rc == RC_OK)
			assert_int_equal(tls_facts(tls)->trust, level_cases[i].trust);
		if (level_cases[i].text != NULL)
			assert_string_equal(fault.text, level_cases[i].text);
		shutdown(net_stream_fd(stream), SHUT_RDWR);
		pthread_join(peer.thread, NULL);
	}
}

static void a_trust_anchor_takes_the_place_of_all_authorities(void **state)
{
	const struct {
		const char *why, *anchor;
		enum rc rc;
	} cases[] = {
		{ "the server's own certificate", files.cert, RC_OK },
		{ "another, though the authority is known", files.rsa,
		  RC_TEMP },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
		struct tls_config theirs = server_config();
		struct tls_config ours = client_config();
		struct tls_policy policy = { .level = TLS_SECURE,
					     .nexthop_domain = "example.test",
					     .match = nexthop_words,
					     .match_count = 2 };
		struct net_stream *stream;
		struct peer peer;
		struct tls *tls;

		print_message("  %s\n", cases[i].why);
		ours.trust_anchor_files = cases[i].anchor;
		theirs.cert_file = files.chain;
		stream = peer_start(tmp, &peer, server_of(tmp, &theirs));
		assert_int_equal(tls_connect(tmp, client_of(tmp, &ours),
					     &policy, stream, "p", &tls, NULL),
				 cases[i].rc);
		shutdown(net_stream_fd(stream), SHUT_RDWR);
		pthread_join(peer.thread, NULL);
	}
}

static void the_right_fingerprint_is_enough(void **state)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct tls_config theirs = server_config(), ours = client_config();
	struct tls_policy policy = { .level = TLS_MAY };
	struct tls_server *server = server_of(tmp, &theirs);
	struct tls_client *client;
	struct net_stream *stream;
	const char *prints[2];
	struct peer peer;
	struct tls *tls;

	ours.ca_file = NULL;
	client = client_of(tmp, &ours);
	stream = peer_start(tmp, &peer, server);
	assert_int_equal(
		tls_connect(tmp, client, &policy, stream, "p", &tls, NULL),
		RC_OK);
	prints[0] = tls_facts(tls)->fingerprint;
	prints[1] = tls_facts(tls)->key_fingerprint;
	assert_int_equal(strlen(prints[0]), 95);
	assert_string_not_equal(prints[0], prints[1]);
	shutdown(net_stream_fd(stream), SHUT_RDWR);
	pthread_join(peer.thread, NULL);
	for (size_t i = 0; i < ARRAY_LEN(prints); i++) {
		policy = (struct tls_policy){ .level = TLS_FINGERPRINT,
					      .match = &prints[i],
					      .match_count = 1 };
		stream = peer_start(tmp, &peer, server);
		assert_int_equal(tls_connect(tmp, client, &policy, stream, "p",
					     &tls, NULL),
				 RC_OK);
		assert_int_equal(tls_facts(tls)->trust, TLS_VERIFIED);
		shutdown(net_stream_fd(stream), SHUT_RDWR);
		pthread_join(peer.thread, NULL);
	}
}

static void lines_cross_and_the_summary_is_the_references(void **state)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct tls_config theirs = server_config(), ours = client_config();
	struct tls_policy policy = { .level = TLS_MAY };
	const size_t big = 300 * 1000;
	char *bytes = mem_array(tmp, char, big), *back;
	struct net_stream *stream;
	struct span line;
	struct peer peer;
	struct tls *tls;

	theirs.cert_file = files.rsa;
	theirs.key_file = NULL;
	ours.ca_file = NULL;
	stream = peer_start(tmp, &peer, server_of(tmp, &theirs));
	assert_int_equal(tls_connect(tmp, client_of(tmp, &ours), &policy,
				     stream, "mx[192.0.2.1]:25", &tls, NULL),
			 RC_OK);
	assert_string_equal(
		tls_summary(tmp, tls, "to", "mx[192.0.2.1]:25"),
		"Untrusted TLS connection established to mx[192.0.2.1]:25: "
		"TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits) "
		"key-exchange X25519 server-signature RSA-PSS (2048 bits) "
		"server-digest SHA256");
	assert_int_equal(net_stream_writef(stream, NULL, "NOOP %d\r\n", 5),
			 RC_OK);
	assert_int_equal(net_stream_read_line(stream, 100, &line, NULL), RC_OK);
	assert_true(span_is(line, "NOOP 5"));
	/* Large enough that the other side has to wait for us. */
	for (int i = 0; i < 10; i++) {
		size_t part = big / 10;

		assert_int_equal(net_stream_write(stream,
						  (struct span){ bytes, part },
						  NULL),
				 RC_OK);
		assert_int_equal(net_stream_flush(stream, NULL), RC_OK);
		back = mem_array(tmp, char, part);
		assert_int_equal(net_stream_read(stream, back, part, NULL),
				 RC_OK);
	}
	tls_close(tls);
	pthread_join(peer.thread, NULL);
	assert_int_equal(peer.ended, TLS_CLOSED);
	assert_string_equal(
		peer.summary,
		"Anonymous TLS connection established from "
		"localhost[127.0.0.1]: TLSv1.3 with cipher "
		"TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange X25519 "
		"server-signature RSA-PSS (2048 bits) server-digest SHA256");
	assert_int_equal(net_stream_read_line(stream, 100, &line, NULL),
			 RC_NONE);
}

static void a_session_is_resumed_only_under_the_same_demands(void **state)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct tls_config theirs = server_config(), ours = client_config();
	struct tls_policy secure = { .level = TLS_SECURE,
				     .nexthop_domain = "example.test",
				     .match = nexthop_words,
				     .match_count = 2,
				     .session_key = "k" };
	struct tls_policy may = { .level = TLS_MAY, .session_key = "k" };
	const struct {
		const char *why;
		const struct tls_policy *policy;
		bool resumed;
	} steps[] = {
		{ "the first time", &may, false },
		{ "again", &may, true },
		{ "and again", &may, true },
		{ "a stricter level begins anew", &secure, false },
		{ "and is resumed, verified", &secure, true },
	};
	struct tls_server *server = server_of(tmp, &theirs);
	struct tls_client *client = client_of(tmp, &ours);

	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		struct net_stream *stream;
		struct span line;
		struct peer peer;
		struct tls *tls;

		print_message("  %s\n", steps[i].why);
		stream = peer_start(tmp, &peer, server);
		assert_int_equal(tls_connect(tmp, client, steps[i].policy,
					     stream, "p", &tls, NULL),
				 RC_OK);
		assert_int_equal(net_stream_writef(stream, NULL, "x\r\n"),
				 RC_OK);
		assert_int_equal(net_stream_read_line(stream, 9, &line, NULL),
				 RC_OK);
		assert_int_equal(tls_facts(tls)->resumed, steps[i].resumed);
		assert_int_equal(tls_facts(tls)->trust,
				 steps[i].policy == &secure ? TLS_VERIFIED
							    : TLS_TRUSTED);
		talloc_free(tls);
		talloc_free(stream);
		pthread_join(peer.thread, NULL);
	}
}

static void a_ticket_lives_for_two_time_outs(void **state)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct tls_config theirs = server_config(), ours = client_config();
	struct tls_policy may = { .level = TLS_MAY, .session_key = "k" };
	static const struct {
		const char *why;
		int sleep_s;
		bool resumed;
	} steps[] = {
		{ "the first time", 0, false },
		{ "under the same key", 0, true },
		{ "long after", 3, false },
	};
	struct tls_server *server;
	struct tls_client *client;

	theirs.session_timeout_s = 1;
	theirs.strength.protocols = "TLSv1.2";
	server = server_of(tmp, &theirs);
	client = client_of(tmp, &ours);
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		struct net_stream *stream;
		struct span line;
		struct peer peer;
		struct tls *tls;

		print_message("  %s\n", steps[i].why);
		sleep((unsigned)steps[i].sleep_s); /* the clock is OpenSSL's */
		stream = peer_start(tmp, &peer, server);
		assert_int_equal(
			tls_connect(tmp, client, &may, stream, "p", &tls, NULL),
			RC_OK);
		assert_int_equal(net_stream_writef(stream, NULL, "x\r\n"),
				 RC_OK);
		assert_int_equal(net_stream_read_line(stream, 9, &line, NULL),
				 RC_OK);
		assert_int_equal(tls_facts(tls)->resumed, steps[i].resumed);
		talloc_free(tls);
		talloc_free(stream);
		pthread_join(peer.thread, NULL);
	}
}

static void what_is_no_handshake_ends_it(void **state)
{
	static const struct {
		const char *why, *bytes;
		enum tls_io io;
	} cases[] = {
		{ "plain SMTP", "EHLO client.example\r\n", TLS_FAILED },
		{ "nothing, then the end", "", TLS_CLOSED },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
		struct tls_config theirs = server_config();
		size_t len = strlen(cases[i].bytes);
		struct fault fault = { 0 };
		struct tls *tls;
		int fds[2];

		print_message("  %s\n", cases[i].why);
		assert_int_equal(socketpair(AF_UNIX,
					    SOCK_STREAM | SOCK_NONBLOCK, 0,
					    fds),
				 0);
		assert_int_equal(tls_accept(tmp, server_of(tmp, &theirs),
					    fds[0], "peer[192.0.2.1]", &tls,
					    &fault),
				 RC_OK);
		assert_int_equal(tls_handshake(tls, &fault), TLS_WANT_READ);
		assert_int_equal(write(fds[1], cases[i].bytes, len), len);
		if (len == 0)
			close(fds[1]);
		assert_int_equal(tls_handshake(tls, &fault), cases[i].io);
		print_message("    %s\n", fault.text);
		close(fds[0]);
		if (len > 0)
			close(fds[1]);
	}
}

static void a_silent_server_costs_the_time_out_and_no_more(void **state)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct tls_config ours = client_config();
	struct tls_policy policy = { .level = TLS_MAY };
	struct fault fault = { 0 };
	struct net_stream *stream;
	struct tls *tls;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	stream = net_stream_new(tmp, fds[0]);
	net_stream_set_timeout(stream, 50);
	assert_int_equal(tls_connect(tmp, client_of(tmp, &ours), &policy,
				     stream, "mx[192.0.2.1]:25", &tls, &fault),
			 RC_TEMP);
	assert_string_equal(fault.text, "SSL_connect error to "
					"mx[192.0.2.1]:25: Connection timed "
					"out");
	close(fds[1]);
}

static void bad_files_and_settings_are_one_clear_line(void **state)
{
	const struct {
		const char *why;
		struct tls_config config;
		const char *starts; /* NULL: it is good */
	} cases[] = {
		{ "a chain file",
		  { .prefix = "smtpd", .chain_files = files.chain },
		  NULL },
		{ "two files, a key and its certificate",
		  { .prefix = "smtpd",
		    .chain_files =
			    mem_printf(NULL, "%s, %s", files.key, files.cert) },
		  NULL },
		{ "no certificate",
		  { .prefix = "smtpd" },
		  "No server certs available" },
		{ "anonymous on purpose",
		  { .prefix = "smtpd", .cert_file = "none" },
		  NULL },
		{ "a missing file",
		  { .prefix = "smtpd", .cert_file = "/nonexistent.pem" },
		  "smtpd_tls_cert_file = /nonexistent.pem: error:" },
		{ "another key",
		  { .prefix = "smtpd",
		    .cert_file = files.cert,
		    .key_file = files.other },
		  "smtpd_tls_key_file = " },
		{ "the certificate before the key",
		  { .prefix = "smtpd", .chain_files = files.cert },
		  "smtpd_tls_chain_files = " },
		{ "an unknown digest",
		  { .prefix = "smtpd",
		    .cert_file = files.chain,
		    .fingerprint_digest = "sha0" },
		  "smtpd_tls_fingerprint_digest: unknown digest \"sha0\"" },
		{ "options and a ticket cipher",
		  { .prefix = "smtpd",
		    .cert_file = files.chain,
		    .ssl_options = "no_ticket, 0x1",
		    .disable_workarounds = "TLSEXT_PADDING CVE-2010-4180",
		    .ticket_cipher = "aes-128-cbc",
		    .ffdhe_groups = "ffdhe2048 nonsense",
		    .sessions = true,
		    .session_timeout_s = 10 },
		  NULL },
		{ "an unknown option",
		  { .prefix = "smtpd",
		    .cert_file = files.chain,
		    .ssl_options = "NO_WORRIES" },
		  "tls_ssl_options: unknown name \"NO_WORRIES\"" },
		{ "a ticket cipher of another kind",
		  { .prefix = "smtpd",
		    .cert_file = files.chain,
		    .ticket_cipher = "aes-256-gcm",
		    .sessions = true,
		    .session_timeout_s = 10 },
		  "tls_session_ticket_cipher = aes-256-gcm: " },
		{ "no DH parameters",
		  { .prefix = "smtpd",
		    .cert_file = files.chain,
		    .dh_param_file = files.cert },
		  "smtpd_tls_dh1024_param_file = " },
		{ "no trust anchor",
		  { .prefix = "smtpd",
		    .cert_file = files.chain,
		    .trust_anchor_files = files.key },
		  "smtpd_tls_trust_anchor_file = " },
		{ "an unknown protocol",
		  { .prefix = "smtpd",
		    .cert_file = files.chain,
		    .strength.protocols = ">=TLSv9" },
		  "smtpd: invalid TLS protocol list \">=TLSv9\"" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
		struct tls_server *server;
		struct fault fault = { 0 };
		enum rc rc =
			tls_server_open(tmp, &cases[i].config, &server, &fault);

		print_message("  %s: %s\n", cases[i].why, fault.text);
		assert_int_equal(rc, cases[i].starts == NULL ? RC_OK : RC_CONF);
		if (cases[i].starts != NULL)
			assert_true(span_starts(span_from(fault.text),
						cases[i].starts));
	}
	talloc_free((void *)cases[1].config.chain_files);
}

static void names_match_as_rfc_6125_says(void **state)
{
	static const struct {
		const char *why;
		struct span cert;
		const char *want;
		bool multi, matches;
	} cases[] = {
		{ "the same", SPAN("a.test"), "a.test", false, true },
		{ "in any case", SPAN("A.Test"), "a.tEST", false, true },
		{ "a final dot", SPAN("a.test"), "a.test.", false, true },
		{ "another", SPAN("b.test"), "a.test", false, false },
		{ "a tail", SPAN("test"), "a.test", true, false },
		{ "a star for one label", SPAN("*.test"), "a.test", false,
		  true },
		{ "a star is no empty label", SPAN("*.test"), ".test", true,
		  true },
		{ "a star for two labels", SPAN("*.test"), "a.b.test", false,
		  false },
		{ "unless allowed", SPAN("*.test"), "a.b.test", true, true },
		{ "the domain itself is not below", SPAN("*.a.test"), "a.test",
		  true, false },
		{ "a star in the middle", SPAN("a.*.test"), "a.b.test", true,
		  false },
		{ "half a star", SPAN("a*.test"), "ab.test", true, false },
		{ "a bare star", SPAN("*"), "a", true, false },
		{ "a domain and what is below", SPAN("mx.a.test"), ".a.test",
		  false, true },
		{ "far below", SPAN("x.mx.a.test"), ".a.test", false, true },
		{ "not the domain itself", SPAN("a.test"), ".a.test", false,
		  false },
		{ "a NUL in the certificate", SPAN("a.test\0.evil"), "a.test",
		  false, false },
		{ "a NUL behind", SPAN("a.test\0"), "a.test", false, false },
		{ "nothing wanted", SPAN("a.test"), "", true, false },
		{ "only a dot", SPAN("a.test"), ".", true, false },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		print_message("  %s\n", cases[i].why);
		assert_int_equal(tls_name_matches(cases[i].cert,
						  span_from(cases[i].want),
						  cases[i].multi),
				 cases[i].matches);
	}
}

static void protocol_lists_mean_what_they_say(void **state)
{
	static const struct {
		const char *text;
		enum rc rc;
		int min, max;
		uint64_t off;
	} cases[] = {
		{ "", RC_OK, 0, 0, 0 },
		{ ">=TLSv1.2", RC_OK, TLS1_2_VERSION, 0, 0 },
		{ ">=TLSv1 <=TLSv1.3", RC_OK, TLS1_VERSION, TLS1_3_VERSION, 0 },
		{ "!SSLv2, !SSLv3", RC_OK, 0, 0, SSL_OP_NO_SSLv3 },
		{ "!TLSv1:!TLSv1.1", RC_OK, 0, 0,
		  SSL_OP_NO_TLSv1 | SSL_OP_NO_TLSv1_1 },
		{ "TLSv1.2", RC_OK, 0, 0,
		  SSL_OP_NO_SSLv3 | SSL_OP_NO_TLSv1 | SSL_OP_NO_TLSv1_1 |
			  SSL_OP_NO_TLSv1_3 },
		{ ">=0x0303", RC_OK, TLS1_2_VERSION, 0, 0 },
		{ ">=SSLv2", RC_OK, 0, 0, 0 },
		{ "tls", RC_CONF, 0, 0, 0 },
		{ ">=TLSv1.3 <=TLSv1.2", RC_CONF, 0, 0, 0 },
		{ "!SSLv3 !TLSv1 !TLSv1.1 !TLSv1.2 !TLSv1.3", RC_CONF, 0, 0,
		  0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct tls_versions versions;

		print_message("  \"%s\"\n", cases[i].text);
		assert_int_equal(
			tls_versions_parse(cases[i].text, &versions, NULL),
			cases[i].rc);
		if (cases[i].rc != RC_OK)
			continue;
		assert_int_equal(versions.min, cases[i].min);
		assert_int_equal(versions.max, cases[i].max);
		assert_int_equal(versions.options, cases[i].off);
	}
}

static void exclusions_come_off_the_grade(void **state)
{
	static const struct {
		const char *grade, *exclude, *more, *want; /* NULL: refused */
	} cases[] = {
		{ "high", "aNULL, MD5, CAMELLIA", "",
		  "HIGH:@STRENGTH:!aNULL:!MD5:!CAMELLIA" },
		{ "high", "aNULL:MD5", "3DES",
		  "HIGH:@STRENGTH:!aNULL:!MD5:!3DES" },
		{ "HIGH", "", "", "HIGH:@STRENGTH" },
		{ "medium", "", "", "MEDIUM" },
		{ "low", "", "", "MEDIUM" },
		{ "export", "", "", "MEDIUM" },
		{ "null", "", "", "eNULL:!aNULL" },
		{ "best", "", "", NULL },
	};
	const struct tls_config config = { .prefix = "smtp",
					   .high_ciphers = "HIGH:@STRENGTH",
					   .medium_ciphers = "MEDIUM" };

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
		const struct tls_strength strength = {
			.grade = cases[i].grade,
			.exclude = cases[i].exclude,
			.exclude_more = cases[i].more,
		};
		struct fault fault;
		char *list;
		enum rc rc = tls_ciphers_make(tmp, &config, &strength, false,
					      &list, &fault);

		print_message("  %s without %s %s\n", cases[i].grade,
			      cases[i].exclude, cases[i].more);
		assert_int_equal(rc, cases[i].want != NULL ? RC_OK : RC_CONF);
		if (rc == RC_OK)
			assert_string_equal(list, cases[i].want);
	}
}

static void tlsa_records_are_usable_or_not(void **state)
{
	static const struct {
		const char *why;
		uint8_t head[3];
		size_t size;
		bool usable;
	} cases[] = {
		{ "3 1 1", { 3, 1, 1 }, 32, true },
		{ "2 0 2", { 2, 0, 2 }, 64, true },
		{ "3 0 1, too short", { 3, 0, 1 }, 31, false },
		{ "3 0 2, too long", { 3, 0, 2 }, 65, false },
		{ "usage 0", { 0, 0, 1 }, 32, false },
		{ "usage 1", { 1, 1, 1 }, 32, false },
		{ "usage 4", { 4, 1, 1 }, 32, false },
		{ "selector 2", { 3, 2, 1 }, 32, false },
		{ "matching 3", { 3, 1, 3 }, 32, false },
		{ "no certificate", { 3, 0, 0 }, 40, false },
		{ "no key", { 2, 1, 0 }, 40, false },
	};
	struct tls_tlsa tlsa;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char rdata[80] = { 0 };

		print_message("  %s\n", cases[i].why);
		memcpy(rdata, cases[i].head, 3);
		assert_true(tls_tlsa_read(
			(struct span){ rdata, cases[i].size + 3 }, &tlsa));
		assert_int_equal(tls_tlsa_is_usable(&tlsa), cases[i].usable);
	}
	assert_false(tls_tlsa_read(SPAN_OF("abc"), &tlsa));
	assert_false(tls_tlsa_read(SPAN_OF(""), &tlsa));
}

/* What one process gives out, another one of the instance takes back. */
static void ticket_keys_are_shared_through_one_file(void **state)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct tls_config config = { .prefix = "smtpd",
				     .cert_file = files.chain,
				     .key_file = files.key,
				     .session_timeout_s = 3600,
				     .sessions = true };
	struct tls_server *servers[2];
	unsigned char names[2][80];
	struct fault fault;

	assert_int_equal(tls_tickets_create(&config.ticket_fd, &fault), RC_OK);
	for (size_t i = 0; i < 2; i++) {
		EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
		EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
		EVP_MAC_CTX *hmac = EVP_MAC_CTX_new(mac);
		unsigned char iv[EVP_MAX_IV_LENGTH];
		SSL *ssl;

		assert_int_equal(
			tls_server_open(tmp, &config, &servers[i], &fault),
			RC_OK);
		ssl = SSL_new(servers[i]->context.ctx);
		assert_int_equal(
			tls_ticket_key(ssl, names[i], iv, cipher, hmac, 1), 1);
		SSL_free(ssl);
		EVP_MAC_CTX_free(hmac);
		EVP_MAC_free(mac);
		EVP_CIPHER_CTX_free(cipher);
	}
	assert_memory_equal(names[0], names[1], 16);
	close(config.ticket_fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_level_gets_what_it_demands_or_nothing),
		cmocka_unit_test(the_right_fingerprint_is_enough),
		cmocka_unit_test(
			a_trust_anchor_takes_the_place_of_all_authorities),
		cmocka_unit_test(lines_cross_and_the_summary_is_the_references),
		cmocka_unit_test(
			a_session_is_resumed_only_under_the_same_demands),
		cmocka_unit_test(a_ticket_lives_for_two_time_outs),
		cmocka_unit_test(what_is_no_handshake_ends_it),
		cmocka_unit_test(
			a_silent_server_costs_the_time_out_and_no_more),
		cmocka_unit_test(bad_files_and_settings_are_one_clear_line),
		cmocka_unit_test(names_match_as_rfc_6125_says),
		cmocka_unit_test(protocol_lists_mean_what_they_say),
		cmocka_unit_test(exclusions_come_off_the_grade),
		cmocka_unit_test(tlsa_records_are_usable_or_not),
		cmocka_unit_test(ticket_keys_are_shared_through_one_file),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
