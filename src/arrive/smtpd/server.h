/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server - what all sessions of one smtpd process share: the configuration,
 * tables, the way into the queue, the worker threads.
 *
 * Owner    a child of mem; freed after the last session
 * Threads  immutable once open, except `lingering` (atomic) and `clients`
 *          (locked); any thread may read
 */
#pragma once

#include <stdatomic.h>

#include "conf/service.h"
#include "map/match_list.h"
#include "net/dns.h"
#include "net/tls.h"
#include "rule/cleanup.h"
#include "rule/restriction.h"
#include "sys/workers.h"

struct client_table;
struct net_endpoint;
struct sasl;
struct rehearsal_client;

/* EHLO keywords, in the order in which they are said. */
enum ehlo_keyword {
	EHLO_PIPELINING = 1 << 0,
	EHLO_SIZE = 1 << 1,
	EHLO_VRFY = 1 << 2,
	EHLO_ETRN = 1 << 3,
	EHLO_STARTTLS = 1 << 4,
	EHLO_AUTH = 1 << 5,
	EHLO_VERP = 1 << 6,
	EHLO_XCLIENT = 1 << 7,
	EHLO_XFORWARD = 1 << 8,
	EHLO_ENHANCEDSTATUSCODES = 1 << 9,
	EHLO_8BITMIME = 1 << 10,
	EHLO_DSN = 1 << 11,
	EHLO_SMTPUTF8 = 1 << 12,
	EHLO_CHUNKING = 1 << 13,
	EHLO_REQUIRETLS = 1 << 14,
	EHLO_AUTH_OLD = 1 << 16, /* AUTH=, as broken_sasl_auth_clients ask */
	EHLO_SILENT = 1 << 15, /* silent-discard */
};

/* Words of local_header_rewrite_clients. */
enum local_client {
	LOCAL_INET_INTERFACES = 1,
	LOCAL_MYNETWORKS = 2,
	LOCAL_LOGGED_IN = 4,
	LOCAL_TLS_CLIENTCERTS = 8,
	LOCAL_TLS_ALL = 16,
};

enum bare_lf_mode { BARE_LF_ACCEPT, BARE_LF_NORMALIZE, BARE_LF_REJECT };

struct smtpd_server {
	struct conf *conf;
	const char *service_name;
	atomic_bool leaving;	 /* sessions end at the next command */
	struct workers *workers; /* NULL in tests: nothing lingers or wakes */
	struct dns *dns;	 /* NULL: names are not looked up */
	struct tls_server *tls;	 /* NULL: none */
	enum tls_level tls_level;
	bool tls_wrapper;
	bool tls_cert_required; /* smtpd_tls_req_ccert, where it can be */
	struct maps *tls_names; /* tls_server_sni_maps; NULL: none */
	struct cleanup_service *cleanup;
	struct restrictions *restrictions;
	/* local_header_rewrite_clients */
	int local_words; /* enum local_client bits */
	struct maps *local_addresses, *relay_clientcerts; /* may be NULL */
	struct match_list *mynetworks;
	struct match_list *debug_peers;
	struct match_list *limit_exceptions;
	struct match_list *bare_lf_exclusions;
	struct match_list *flush_domains;
	struct match_list *forbidden, *noop_words;
	struct maps *footer_maps;   /* NULL: no smtpd_reject_footer_maps */
	struct maps *command_filter; /* NULL: no smtpd_command_filter */
	struct maps *discard_maps;  /* by address; NULL: none */
	bool haproxy; /* smtpd_upstream_proxy_protocol */
	struct net_endpoint *proxy; /* smtpd_proxy_filter; NULL: none */
	struct sasl *sasl; /* NULL: no AUTH */
	struct match_list *sasl_exceptions;
	struct match_list *xclient_hosts, *xforward_hosts;
	struct client_table *clients;
	bool exceptions_name_hosts; /* a name may exempt from limits */
	int discard; /* enum ehlo_keyword bits */
	enum bare_lf_mode bare_lf;
	bool bare_lf_note;
	/* NULL: all is real. Else who the client is said to be; there is no
	 * socket, and nothing is queued (rehearsal.h). */
	const struct rehearsal_client *rehearsal;
	int max_threads;
	_Atomic int lingering; /* threads that wait in recv for a short while */
};

/* Settings and lists; the parts above them are filled in by main or a test. */
MUST_CHECK enum rc smtpd_server_configure(struct smtpd_server *server,
					  struct fault *fault);
/* All of the above, the tables of rules, and DNS. */
MUST_CHECK enum rc smtpd_server_open_rules(struct smtpd_server *server,
					   struct fault *fault);
/* server->tls_level and tls_wrapper. */
MUST_CHECK enum rc smtpd_server_tls_level(struct smtpd_server *server,
					  struct fault *fault);
/* Keys and certificates are read now, while root; ticket_fd: see net/tls.h. */
MUST_CHECK enum rc smtpd_server_tls_open(struct smtpd_server *server,
					 int ticket_fd, struct fault *fault);
/* Keywords of smtpd_discard_ehlo_keywords as bits. */
int ehlo_keywords_parse(const char *text);
/* " name" for each. */
void ehlo_keywords_add(int bits, struct buf *out);

/* What a thread keeps: the memory in which input and replies are worked on. */
enum { SMTPD_INPUT_BYTES = 64 * 1024, SMTPD_OUTPUT_BYTES = 64 * 1024 };
struct smtpd_thread {
	char input[SMTPD_INPUT_BYTES];
	struct buf output;
};
struct smtpd_thread *smtpd_thread_new(TALLOC_CTX *mem);
