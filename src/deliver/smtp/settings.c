/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/smtp/settings.h"

/* clang-format off */
#define BOTH(X) \
	X(tcp_port) X(bind_address) X(bind_address6) X(address_preference) \
	X(host_lookup) X(fallback_relay) X(generic_maps) \
	X(tls_security_level) X(tls_policy_maps) \
	X(connection_cache_destinations) X(connect_timeout) \
	X(starttls_timeout) X(mail_timeout) X(rcpt_timeout) \
	X(data_init_timeout) X(data_xfer_timeout) X(data_done_timeout) \
	X(rset_timeout) X(quit_timeout) X(mx_address_limit) \
	X(mx_session_limit) X(line_length_limit) \
	X(connection_cache_time_limit) X(connection_reuse_time_limit) \
	X(connection_reuse_count_limit) X(randomize_addresses) \
	X(balance_inet_protocols) X(skip_5xx_greeting) \
	X(skip_quit_response) X(quote_rfc821_envelope) \
	X(bind_address_enforce) X(connection_cache_on_demand) \
	X(tls_wrappermode) X(use_tls) X(enforce_tls) \
	X(tls_enforce_peername) X(log_tls_feature_status) \
	X(defer_if_no_mx_address_found) X(sasl_auth_enable) \
	X(tls_note_starttls_offer) X(tls_loglevel) X(tls_protocols) \
	X(tls_mandatory_protocols) X(tls_ciphers) X(tls_mandatory_ciphers) \
	X(tls_exclude_ciphers) X(tls_mandatory_exclude_ciphers) \
	X(tls_verify_cert_match) X(tls_secure_cert_match) \
	X(tls_fingerprint_cert_match) X(tls_servername) X(tls_per_site) \
	X(tls_block_early_mail_reply) X(tls_connection_reuse) \
	X(tls_trust_anchor_file) X(dns_support_level) \
	X(tls_force_insecure_host_tlsa_lookup) \
	X(address_verify_target)
/* clang-format on */

void smtp_settings_init(struct smtp_settings *s, const struct conf *conf,
			bool lmtp)
{
	const struct conf_values *v = &conf->v;

#define PICK(name) s->name = lmtp ? v->lmtp_##name : v->smtp_##name;
	BOTH(PICK)
#undef PICK
	s->conf = conf;
	s->lmtp = lmtp;
	s->tls_dane_insecure_mx_policy = v->smtp_tls_dane_insecure_mx_policy;
	s->helo_name = lmtp ? v->lmtp_lhlo_name : v->smtp_helo_name;
	s->helo_timeout = lmtp ? v->lmtp_lhlo_timeout : v->smtp_helo_timeout;
	s->discard_ehlo_keywords = lmtp ? v->lmtp_discard_lhlo_keywords
					: v->smtp_discard_ehlo_keywords;
	s->always_send_ehlo = lmtp || v->smtp_always_send_ehlo;
	s->never_send_ehlo = !lmtp && v->smtp_never_send_ehlo;
	/* RFC 2033 has no MX records. */
	s->exchangers = !lmtp;
	s->dns = s->dns_native = false;
	for (struct span rest = span_from(s->host_lookup), word;
	     span_token(&rest, ", \t\r\n", &word);) {
		s->dns |= span_is_nocase(word, "dns");
		s->dns_native |= span_is_nocase(word, "native");
	}
	s->dnssec_wanted = strcasecmp(s->dns_support_level, "dnssec") == 0;
	if (*s->dns_support_level != '\0'
		? strcasecmp(s->dns_support_level, "disabled") == 0
		: v->disable_dns_lookups) {
		s->dns = s->exchangers = false;
		s->dns_native = true;
	}
}

const char *smtp_settings_unmet(TALLOC_CTX *mem, const struct smtp_settings *s)
{
	static const char *const names[] = {
	    "header_checks", "mime_header_checks", "nested_header_checks",
	    "body_checks",   "reply_filter",	   "dns_reply_filter",
	};
	const char *prefix = s->lmtp ? "lmtp" : "smtp";

	if (!span_is_nocase(span_from(s->address_verify_target), "rcpt") &&
	    !span_is_nocase(span_from(s->address_verify_target), "data"))
		return mem_printf(mem,
				  "bad configuration: %s_address_verify_target "
				  "= %s (use \"rcpt\" or \"data\")",
				  prefix, s->address_verify_target);
	if (*s->tls_per_site != '\0')
		return mem_printf(mem,
				  "%s_tls_per_site is not supported: write "
				  "its lines as %s_tls_policy_maps",
				  prefix, prefix);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const char *name = mem_printf(mem, "%s_%s", prefix, names[i]);
		const char *value = conf_text(s->conf, name);

		if (value != NULL && *value != '\0')
			return mem_printf(
			    mem, "%s is set and not supported yet", name);
	}
	return NULL;
}
