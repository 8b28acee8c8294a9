/* SPDX-License-Identifier: Apache-2.0 */
/*
 * settings - the parameters of the SMTP client under one name each: those of
 * smtp_* or, when the program runs as lmtp, of lmtp_*.
 *
 * Owner    texts are the snapshot's
 * Threads  immutable after it is made
 */
#pragma once

#include "conf/conf.h"
#include "map/match_list.h"

struct smtp_settings {
	const struct conf *conf;
	bool lmtp;
	const char *helo_name, *tcp_port, *bind_address, *bind_address6;
	const char *address_preference, *host_lookup, *fallback_relay;
	const char *discard_ehlo_keywords, *generic_maps;
	const char *tls_security_level, *tls_policy_maps, *tls_loglevel;
	const char *tls_protocols, *tls_mandatory_protocols, *tls_ciphers,
	    *tls_mandatory_ciphers, *tls_exclude_ciphers,
	    *tls_mandatory_exclude_ciphers, *tls_verify_cert_match,
	    *tls_secure_cert_match, *tls_fingerprint_cert_match,
	    *tls_servername, *tls_per_site, *tls_trust_anchor_file,
	    *tls_dane_insecure_mx_policy;
	const char *dns_support_level;
	const char *connection_cache_destinations;
	const char *address_verify_target; /* "rcpt" or "data" */
	int connect_timeout, helo_timeout, starttls_timeout, mail_timeout,
	    rcpt_timeout, data_init_timeout, data_xfer_timeout,
	    data_done_timeout, rset_timeout, quit_timeout;
	int mx_address_limit, mx_session_limit, line_length_limit;
	int connection_cache_time_limit, connection_reuse_time_limit,
	    connection_reuse_count_limit;
	bool randomize_addresses, balance_inet_protocols, skip_5xx_greeting,
	    skip_quit_response, always_send_ehlo, never_send_ehlo,
	    quote_rfc821_envelope, bind_address_enforce,
	    connection_cache_on_demand, tls_wrappermode, use_tls, enforce_tls,
	    tls_enforce_peername, log_tls_feature_status,
	    defer_if_no_mx_address_found, sasl_auth_enable,
	    tls_note_starttls_offer, tls_block_early_mail_reply,
	    tls_connection_reuse, tls_force_insecure_host_tlsa_lookup;
	bool exchangers;      /* asks for MX records */
	bool dns, dns_native; /* how hosts are looked up */
	bool dnssec_wanted;   /* dns_support_level = dnssec */
	bool dnssec_missing;  /* and there is no trust anchor for it */
};

void smtp_settings_init(struct smtp_settings *settings, const struct conf *conf,
			bool lmtp);
/* What is configured and has no effect yet and would weaken or change mail if
 * it were ignored: a text for the operator, or NULL. */
const char *smtp_settings_unmet(TALLOC_CTX *mem,
				const struct smtp_settings *settings);
