/* SPDX-License-Identifier: Apache-2.0 */
/* The parameters of one side, smtpd_tls_*, smtp_tls_* or lmtp_tls_*. */
#include "conf/conf.h"
#include "net/tls_priv.h"

enum side { SIDE_SMTPD, SIDE_SMTP, SIDE_LMTP };

static enum side side_of(const char *prefix)
{
	if (strcmp(prefix, "smtpd") == 0)
		return SIDE_SMTPD;
	return strcmp(prefix, "lmtp") == 0 ? SIDE_LMTP : SIDE_SMTP;
}

#define CLIENT(stem) (side == SIDE_LMTP ? v->lmtp_##stem : v->smtp_##stem)
#define EITHER(stem) (side == SIDE_SMTPD ? v->smtpd_##stem : CLIENT(stem))

static void strength_load(const struct conf_values *v, enum side side,
			  bool mandatory, struct tls_strength *s)
{
	s->protocols = mandatory ? EITHER(tls_mandatory_protocols)
				 : EITHER(tls_protocols);
	s->grade =
		mandatory ? EITHER(tls_mandatory_ciphers) : EITHER(tls_ciphers);
	s->exclude = EITHER(tls_exclude_ciphers);
	/* The mandatory list comes on top of the other. */
	s->exclude_more =
		mandatory ? EITHER(tls_mandatory_exclude_ciphers) : "";
}

static void files_load(const struct conf_values *v, enum side side,
		       struct tls_config *c)
{
	c->chain_files = EITHER(tls_chain_files);
	c->cert_file = EITHER(tls_cert_file);
	c->key_file = EITHER(tls_key_file);
	c->dcert_file = EITHER(tls_dcert_file);
	c->dkey_file = EITHER(tls_dkey_file);
	c->eccert_file = EITHER(tls_eccert_file);
	c->eckey_file = EITHER(tls_eckey_file);
	c->ca_file = EITHER(tls_CAfile);
	c->ca_path = EITHER(tls_CApath);
	c->append_default_ca = v->tls_append_default_CA;
}

static void library_load(const struct conf_values *v, struct tls_config *c)
{
	c->library_file = v->tls_config_file;
	c->library_section = v->tls_config_name;
	c->high_ciphers = v->tls_high_cipherlist;
	c->medium_ciphers = v->tls_medium_cipherlist;
	c->null_ciphers = v->tls_null_cipherlist;
	c->ffdhe_groups = v->tls_ffdhe_auto_groups;
	c->ssl_options = v->tls_ssl_options;
	c->disable_workarounds = v->tls_disable_workarounds;
	c->ticket_cipher = v->tls_session_ticket_cipher;
	c->dane_digests = v->tls_dane_digests;
	c->prefer_server_ciphers = v->tls_preempt_cipherlist;
	c->trust_server_certs = v->tls_trust_server_ccerts;
}

static const char *curves_of(const struct conf_values *v, enum side side)
{
	const char *grade =
		side == SIDE_SMTPD ? v->smtpd_tls_eecdh_grade : "auto";

	if (strcmp(grade, "strong") == 0)
		return v->tls_eecdh_strong_curve;
	if (strcmp(grade, "ultra") == 0)
		return v->tls_eecdh_ultra_curve;
	return strcmp(grade, "none") == 0 ? "" : v->tls_eecdh_auto_curves;
}

/* "2" or "1,trace": the number counts. */
static int log_level_of(const char *text)
{
	return ascii_is_digit(text[0]) ? text[0] - '0' : 0;
}

static void server_load(const struct conf_values *v, bool mandatory,
			struct tls_config *c)
{
	c->dh_param_file = v->smtpd_tls_dh1024_param_file;
	c->verify_depth = v->smtpd_tls_ccert_verifydepth;
	/* Who has none could leave TLS out instead, where that is allowed. */
	c->require_client_cert = mandatory && v->smtpd_tls_req_ccert;
	c->ask_client_cert = v->smtpd_tls_ask_ccert || v->smtpd_tls_req_ccert;
	c->session_timeout_s = v->smtpd_tls_session_cache_timeout;
	c->sessions = c->session_timeout_s > 0;
	c->session_ids = v->smtpd_tls_always_issue_session_ids;
	c->keep_sessions =
		c->sessions && *v->smtpd_tls_session_cache_database != '\0';
	c->trust_anchor_files = "";
}

static void client_load(const struct conf_values *v, enum side side,
			struct tls_config *c)
{
	c->trust_anchor_files = CLIENT(tls_trust_anchor_file);
	c->verify_depth = CLIENT(tls_scert_verifydepth);
	c->verify_match = CLIENT(tls_verify_cert_match);
	c->secure_match = CLIENT(tls_secure_cert_match);
	c->fingerprint_match = CLIENT(tls_fingerprint_cert_match);
	c->session_timeout_s = CLIENT(tls_session_cache_timeout);
	c->sessions = CLIENT(tls_session_cache_database)[0] != '\0' &&
		      c->session_timeout_s > 0;
	c->dh_param_file = "";
}

void tls_config_load(const struct conf *conf, const char *prefix,
		     bool mandatory, struct tls_config *ret_config)
{
	const struct conf_values *v = &conf->v;
	const enum side side = side_of(prefix);
	struct tls_config c = { .prefix = prefix };

	files_load(v, side, &c);
	library_load(v, &c);
	strength_load(v, side, mandatory, &c.strength);
	c.curves = curves_of(v, side);
	c.fingerprint_digest = EITHER(tls_fingerprint_digest);
	c.log_level = log_level_of(EITHER(tls_loglevel));
	if (side == SIDE_SMTPD)
		server_load(v, mandatory, &c);
	else
		client_load(v, side, &c);
	*ret_config = c;
}
