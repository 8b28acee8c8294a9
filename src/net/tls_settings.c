/* SPDX-License-Identifier: Apache-2.0 */
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/buf.h"
#include "net/tls_priv.h"

static const char separators[] = ", \t\r\n:";

static const struct {
	const char *name;
	enum tls_level level;
} level_names[] = {
	{ "none", TLS_NONE },		{ "may", TLS_MAY },
	{ "encrypt", TLS_ENCRYPT },	{ "dane", TLS_DANE },
	{ "dane-only", TLS_DANE_ONLY }, { "fingerprint", TLS_FINGERPRINT },
	{ "verify", TLS_VERIFY },	{ "secure", TLS_SECURE },
};

enum rc tls_level_parse(const char *text, enum tls_level *ret_level,
			struct fault *fault)
{
	if (text == NULL || text[0] == '\0') {
		*ret_level = TLS_NONE;
		return RC_OK;
	}
	for (size_t i = 0; i < ARRAY_LEN(level_names); i++) {
		if (span_is_nocase(span_from(text), level_names[i].name)) {
			*ret_level = level_names[i].level;
			return RC_OK;
		}
	}
	return fault_set(fault, RC_CONF, "4.7.5",
			 "unknown TLS security level: \"%s\"", text);
}

const char *tls_level_name(enum tls_level level)
{
	for (size_t i = 0; i < ARRAY_LEN(level_names); i++)
		if (level_names[i].level == level)
			return level_names[i].name;
	return "none";
}

static const struct version_name {
	const char *name;
	int version;
	uint64_t option;
} versions[] = {
	{ "SSLv2", 0x0002, 0 },
	{ "SSLv3", SSL3_VERSION, SSL_OP_NO_SSLv3 },
	{ "TLSv1", TLS1_VERSION, SSL_OP_NO_TLSv1 },
	{ "TLSv1.0", TLS1_VERSION, SSL_OP_NO_TLSv1 },
	{ "TLSv1.1", TLS1_1_VERSION, SSL_OP_NO_TLSv1_1 },
	{ "TLSv1.2", TLS1_2_VERSION, SSL_OP_NO_TLSv1_2 },
	{ "TLSv1.3", TLS1_3_VERSION, SSL_OP_NO_TLSv1_3 },
};

static const struct version_name *version_find(struct span word)
{
	char *end, text[16];
	long hex;

	for (size_t i = 0; i < ARRAY_LEN(versions); i++)
		if (span_is_nocase(word, versions[i].name))
			return &versions[i];
	if (!span_starts_nocase(word, "0x") || word.len >= sizeof(text))
		return NULL;
	memcpy(text, word.ptr, word.len);
	text[word.len] = '\0';
	hex = strtol(text, &end, 16);
	for (size_t i = 0; *end == '\0' && i < ARRAY_LEN(versions); i++)
		if (versions[i].version == hex)
			return &versions[i];
	return NULL;
}

enum rc tls_versions_parse(const char *text, struct tls_versions *ret_versions,
			   struct fault *fault)
{
	struct tls_versions result = { 0 };
	struct span rest = span_from(text), word;
	uint64_t included = 0, all = 0;

	for (size_t i = 0; i < ARRAY_LEN(versions); i++)
		all |= versions[i].option;
	while (span_token(&rest, separators, &word)) {
		bool least = span_starts(word, ">=");
		bool most = span_starts(word, "<=");
		bool not = span_starts(word, "!");
		struct span name = span_skip(word, least || most ? 2 : not );
		const struct version_name *version = version_find(name);

		if (version == NULL)
			return fault_set(fault, RC_CONF, "4.7.5",
					 "invalid TLS protocol list \"%s\": "
					 "unknown protocol \"%.*s\"",
					 text, SPAN_FMT(name));
		if (least)
			result.min = version->version;
		else if (most)
			result.max = version->version;
		else if (not )
			result.options |= version->option;
		else
			included |= version->option;
	}
	if (included != 0)
		result.options |= all & ~included;
	if ((result.options & all) == all ||
	    (result.max != 0 && result.min > result.max))
		return fault_set(fault, RC_CONF, "4.7.5",
				 "invalid TLS protocol list \"%s\": nothing "
				 "is left",
				 text);
	if (result.min != 0 && result.min < SSL3_VERSION)
		result.min = 0;
	*ret_versions = result;
	return RC_OK;
}

/* Bits of both tls_ssl_options and tls_disable_workarounds. Those that OpenSSL
 * has no more are known, and nothing. */
static const struct {
	const char *name;
	uint64_t option;
} option_names[] = {
	{ "ENABLE_MIDDLEBOX_COMPAT", SSL_OP_ENABLE_MIDDLEBOX_COMPAT },
	{ "LEGACY_SERVER_CONNECT", SSL_OP_LEGACY_SERVER_CONNECT },
	{ "NO_TICKET", SSL_OP_NO_TICKET },
	{ "NO_COMPRESSION", SSL_OP_NO_COMPRESSION },
	{ "NO_RENEGOTIATION", SSL_OP_NO_RENEGOTIATION },
	{ "NO_SESSION_RESUMPTION_ON_RENEGOTIATION",
	  SSL_OP_NO_SESSION_RESUMPTION_ON_RENEGOTIATION },
	{ "PRIORITIZE_CHACHA", SSL_OP_PRIORITIZE_CHACHA },
	{ "CRYPTOPRO_TLSEXT_BUG", SSL_OP_CRYPTOPRO_TLSEXT_BUG },
	{ "DONT_INSERT_EMPTY_FRAGMENTS", SSL_OP_DONT_INSERT_EMPTY_FRAGMENTS },
	{ "TLSEXT_PADDING", SSL_OP_TLSEXT_PADDING },
	{ "SAFARI_ECDHE_ECDSA_BUG", SSL_OP_SAFARI_ECDHE_ECDSA_BUG },
	{ "MICROSOFT_SESS_ID_BUG", 0 },
	{ "NETSCAPE_CHALLENGE_BUG", 0 },
	{ "NETSCAPE_REUSE_CIPHER_CHANGE_BUG", 0 },
	{ "SSLREF2_REUSE_CERT_TYPE_BUG", 0 },
	{ "MICROSOFT_BIG_SSLV3_BUFFER", 0 },
	{ "MSIE_SSLV2_RSA_PADDING", 0 },
	{ "SSLEAY_080_CLIENT_DH_BUG", 0 },
	{ "TLS_D5_BUG", 0 },
	{ "TLS_BLOCK_PADDING_BUG", 0 },
	{ "TLS_ROLLBACK_BUG", SSL_OP_TLS_ROLLBACK_BUG },
	{ "CVE-2005-2969", 0 },
	{ "CVE-2010-4180", 0 },
};

static bool option_find(struct span word, uint64_t *ret_option)
{
	char *end, text[24];

	for (size_t i = 0; i < ARRAY_LEN(option_names); i++) {
		if (!span_is_nocase(word, option_names[i].name))
			continue;
		*ret_option = option_names[i].option;
		return true;
	}
	if (!span_starts_nocase(word, "0x") || word.len >= sizeof(text))
		return false;
	memcpy(text, word.ptr, word.len);
	text[word.len] = '\0';
	*ret_option = strtoull(text, &end, 16);
	return *end == '\0';
}

enum rc tls_options_parse(const char *parameter, const char *text,
			  uint64_t *ret_options, struct fault *fault)
{
	struct span rest = span_from(text), word;
	uint64_t options = 0, option;

	while (span_token(&rest, separators, &word)) {
		if (!option_find(word, &option))
			return fault_set(fault, RC_CONF, "4.7.5",
					 "%s: unknown name \"%.*s\"", parameter,
					 SPAN_FMT(word));
		options |= option;
	}
	*ret_options = options;
	return RC_OK;
}

static const char *text_or(const char *text, const char *otherwise)
{
	return text != NULL && text[0] != '\0' ? text : otherwise;
}

static const char *grade_list(const struct tls_config *config,
			      const char *grade)
{
	if (strcasecmp(grade, "high") == 0)
		return text_or(config->high_ciphers, "HIGH:@STRENGTH");
	if (strcasecmp(grade, "null") == 0)
		return text_or(config->null_ciphers, "eNULL:!aNULL");
	if (strcasecmp(grade, "medium") == 0 || strcasecmp(grade, "low") == 0 ||
	    strcasecmp(grade, "export") == 0)
		return text_or(config->medium_ciphers,
			       "HIGH:MEDIUM:!aNULL:@STRENGTH");
	return NULL;
}

enum rc tls_ciphers_make(TALLOC_CTX *mem, const struct tls_config *config,
			 const struct tls_strength *strength,
			 bool exclude_anonymous, char **ret_list,
			 struct fault *fault)
{
	const char *grade = text_or(strength->grade, "medium");
	const char *base = grade_list(config, grade);
	struct span excludes[] = {
		span_from(text_or(strength->exclude, "")),
		span_from(text_or(strength->exclude_more, "")),
	};
	struct span word;
	struct buf list;

	if (base == NULL)
		return fault_set(fault, RC_CONF, "4.7.5",
				 "invalid TLS cipher grade: \"%s\"", grade);
	buf_init(&list, mem, 16 * 1024);
	buf_add_text(&list, base);
	for (size_t i = 0; i < ARRAY_LEN(excludes); i++)
		while (span_token(&excludes[i], separators, &word))
			buf_addf(&list, ":!%.*s", SPAN_FMT(word));
	if (exclude_anonymous)
		buf_add_text(&list, ":!aNULL");
	if (list.full)
		return fault_set(fault, RC_CONF, "4.7.5",
				 "TLS cipher list too long");
	*ret_list = mem_strdup(mem, buf_text(&list));
	buf_done(&list);
	return RC_OK;
}

/* Adds what this OpenSSL has of the names and leaves out the others. How many
 * names there were. */
static size_t groups_add(SSL_CTX *probe, const char *names, struct buf *list)
{
	struct span rest = span_from(names), word;
	size_t count = 0;

	for (; span_token(&rest, separators, &word); count++) {
		char *name = mem_span_dup(NULL, word);

		if (SSL_CTX_set1_groups_list(probe, name) == 1)
			buf_addf(list, "%s%s", list->len > 0 ? ":" : "", name);
		talloc_free(name);
	}
	return count;
}

enum rc tls_groups_make(TALLOC_CTX *mem, const struct tls_config *config,
			char **ret_list, struct fault *fault)
{
	SSL_CTX *probe = SSL_CTX_new(TLS_method());
	const char *curves = text_or(config->curves, "");
	enum rc rc = RC_OK;
	struct buf list;

	if (probe == NULL)
		return fault_set(fault, RC_TEMP, "4.3.0", "out of memory");
	buf_init(&list, mem, 4096);
	if (groups_add(probe, curves, &list) > 0 && list.len == 0)
		rc = fault_set(fault, RC_CONF, "4.7.5",
			       "the list of curves \"%s\" selects none that "
			       "OpenSSL has",
			       curves);
	groups_add(probe, text_or(config->ffdhe_groups, ""), &list);
	SSL_CTX_free(probe);
	ERR_clear_error();
	*ret_list = mem_strdup(mem, buf_text(&list));
	buf_done(&list);
	return rc;
}
