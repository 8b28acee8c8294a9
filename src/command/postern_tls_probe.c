/* SPDX-License-Identifier: Apache-2.0 */
/* postern tls-probe: the TLS of the mail hosts of a domain. */
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "base/json.h"
#include "command/domain_probe.h"
#include "command/option.h"
#include "command/postern_priv.h"
#include "command/terminal.h"

static const char command_name[] = "postern tls-probe";
enum {
	TIMEOUT_S = 10,
	TIMEOUT_MAX_S = 600,
	DAY_S = 86400,
	SOON_DAYS = 14,
	DATE_BYTES = 16
};

struct tls_probe {
	struct domain_probe_options options;
	struct terminal terminal;
	struct json json;
	bool as_json, dane_missing;
};

static void usage(FILE *to)
{
	fputs("usage: postern tls-probe [OPTION...] DOMAIN...\n"
	      "Look at the TLS of every mail host of a domain; no mail is "
	      "sent.\n"
	      "DOMAIN is example.com, [mx.example.com] or [192.0.2.1]:587.\n"
	      "  --json         for programs\n"
	      "  --ca FILE      trust these authorities (default: "
	      "smtp_tls_CAfile, or the system's)\n"
	      "  --port N       another port than 25\n"
	      "  --timeout S    seconds to wait for a host (default 10)\n"
	      "Prints a line for smtp_tls_policy_maps. Exit status: 0 all "
	      "hosts speak TLS, 1 not all.\n",
	      to);
}

static const char *date_text(int64_t time_s, char text[DATE_BYTES])
{
	const time_t when = (time_t)time_s;
	struct tm tm;

	gmtime_r(&when, &tm);
	strftime(text, DATE_BYTES, "%Y-%m-%d", &tm);
	return text;
}

static void field(const struct tls_probe *p, const char *name)
{
	fprintf(p->terminal.to, "    %s%-12s%s",
		terminal_paint(&p->terminal, PAINT_DIM), name,
		terminal_paint(&p->terminal, PAINT_PLAIN));
}

static void painted(const struct tls_probe *p, enum paint paint,
		    const char *text)
{
	fprintf(p->terminal.to, "%s%s%s\n", terminal_paint(&p->terminal, paint),
		text, terminal_paint(&p->terminal, PAINT_PLAIN));
}

static void show_names(const struct tls_probe *p,
		       const struct tls_certificate *cert)
{
	FILE *to = p->terminal.to;

	if (cert->name_count == 0)
		return;
	field(p, "");
	fputs("   names:", to);
	for (size_t i = 0; i < cert->name_count; i++)
		fprintf(to, " %s", cert->names[i]);
	fputc('\n', to);
}

static void show_validity(const struct tls_probe *p,
			  const struct tls_certificate *cert)
{
	const int64_t left = (cert->not_after_s - (int64_t)time(NULL)) / DAY_S;
	char from[DATE_BYTES], until[DATE_BYTES];

	field(p, "");
	fprintf(p->terminal.to,
		"   valid: %s to %s, %s%" PRId64 " days left%s\n",
		date_text(cert->not_before_s, from),
		date_text(cert->not_after_s, until),
		terminal_paint(&p->terminal, left < 0		? PAINT_BAD
					     : left < SOON_DAYS ? PAINT_WARN
								: PAINT_GOOD),
		left, terminal_paint(&p->terminal, PAINT_PLAIN));
}

static void show_certificate(const struct tls_probe *p, size_t i,
			     const struct tls_certificate *cert)
{
	FILE *to = p->terminal.to;

	field(p, i == 0 ? "certificate" : "");
	fprintf(to, "%zu  %s (%s), issued by %s\n", i,
		*cert->subject_cn != '\0' ? cert->subject_cn : cert->subject,
		cert->key_type,
		*cert->issuer_cn != '\0' ? cert->issuer_cn : cert->issuer);
	show_names(p, cert);
	show_validity(p, cert);
	if (i > 0)
		return;
	field(p, "");
	fprintf(to, "   sha256: %s\n", cert->sha256);
	field(p, "");
	fprintf(to, "   sha1:   %s\n", cert->sha1);
	field(p, "");
	fprintf(to, "   key:    %s\n", cert->key_sha256);
}

static void show_trust(const struct tls_probe *p,
		       const struct host_result *host)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);

	field(p, "trust");
	if (host->chain_count == 0)
		painted(p, PAINT_WARN, "no certificate was shown");
	else if (host->facts.trust != TLS_TRUSTED)
		painted(p, PAINT_BAD,
			host->facts.why_untrusted != NULL
				? host->facts.why_untrusted
				: "not trusted");
	else
		painted(p, PAINT_GOOD, "an authority we trust signed it");
	if (host->chain_count == 0)
		return;
	field(p, "name");
	if (host->has_domain_name)
		painted(p, PAINT_GOOD, "it is for the domain");
	else if (host->has_host_name)
		painted(p, PAINT_GOOD,
			mem_printf(tmp, "it is for the host %s", host->name));
	else
		painted(p, PAINT_BAD,
			mem_printf(tmp, "it is not for %s", host->name));
}

static void show_dane(const struct tls_probe *p, const struct host_result *host)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);

	if (p->dane_missing)
		return;
	field(p, "DANE");
	if (host->tlsa_count > 0)
		painted(p, host->dane_fits ? PAINT_GOOD : PAINT_BAD,
			mem_printf(tmp, "%zu TLSA records, the certificate %s",
				   host->tlsa_count,
				   host->dane_fits ? "fits" : "does not fit"));
	else
		fprintf(p->terminal.to, "%s\n",
			host->dane_why != NULL
				? host->dane_why
				: "no TLSA records that DNSSEC vouches for");
}

static void show_secured(const struct tls_probe *p,
			 const struct host_result *host)
{
	field(p, "TLS");
	fprintf(p->terminal.to, "%s, %s (%d bits)%s%s\n", host->facts.protocol,
		host->facts.cipher, host->facts.cipher_bits,
		host->facts.key_exchange != NULL ? ", " : "",
		host->facts.key_exchange != NULL ? host->facts.key_exchange
						 : "");
	for (size_t i = 0; i < host->chain_count; i++)
		show_certificate(p, i, &host->chain[i]);
	show_trust(p, host);
	show_dane(p, host);
}

static void show_host(const struct tls_probe *p, const struct host_result *host)
{
	const struct smtp_probe *probe = host->probe;

	fprintf(p->terminal.to, "  MX %u %s\n", host->preference, probe->peer);
	if (probe->greeting != NULL) {
		field(p, "greeting");
		fprintf(p->terminal.to, "%s\n", probe->greeting);
	}
	switch (probe->end) {
	case PROBE_UNREACHABLE:
	case PROBE_REFUSED:
		field(p, "error");
		painted(p, PAINT_BAD, probe->why);
		break;
	case PROBE_NO_STARTTLS:
		field(p, "STARTTLS");
		painted(p, PAINT_BAD,
			probe->masked
				? "not offered: somebody on the way crosses "
				  "out parts of the session"
				: "not offered");
		break;
	case PROBE_STARTTLS_REFUSED:
	case PROBE_HANDSHAKE_FAILED:
		field(p, "STARTTLS");
		painted(p, PAINT_BAD, probe->why);
		break;
	case PROBE_SECURED:
		show_secured(p, host);
		break;
	}
}

static void show_domain(const struct tls_probe *p,
			const struct domain_result *result)
{
	FILE *to = p->terminal.to;

	fprintf(to, "%s%s%s\n", terminal_paint(&p->terminal, PAINT_BOLD),
		result->domain, terminal_paint(&p->terminal, PAINT_PLAIN));
	if (result->why != NULL) {
		fprintf(to, "  %s\n", result->why);
		return;
	}
	for (size_t i = 0; i < result->count; i++)
		show_host(p, &result->hosts[i]);
	if (result->policy == NULL)
		return;
	fprintf(to, "  policy for smtp_tls_policy_maps\n    %s%s%s\n",
		terminal_paint(&p->terminal, PAINT_BOLD), result->policy,
		terminal_paint(&p->terminal, PAINT_PLAIN));
	fprintf(to, "    (%s)\n", result->advice);
}

static void json_certificate(struct json *json,
			     const struct tls_certificate *cert)
{
	json_begin(json, NULL, '{');
	json_text(json, "subject", cert->subject);
	json_text(json, "issuer", cert->issuer);
	json_begin(json, "names", '[');
	for (size_t i = 0; i < cert->name_count; i++)
		json_text(json, NULL, cert->names[i]);
	json_end(json, ']');
	json_number(json, "not_before", cert->not_before_s);
	json_number(json, "not_after", cert->not_after_s);
	json_text(json, "key", cert->key_type);
	json_text(json, "sha256", cert->sha256);
	json_text(json, "sha1", cert->sha1);
	json_text(json, "key_sha256", cert->key_sha256);
	json_end(json, '}');
}

static const char *end_name(enum smtp_probe_end how)
{
	static const char *const names[] = {
		[PROBE_UNREACHABLE] = "unreachable",
		[PROBE_REFUSED] = "refused",
		[PROBE_NO_STARTTLS] = "no-starttls",
		[PROBE_STARTTLS_REFUSED] = "starttls-refused",
		[PROBE_HANDSHAKE_FAILED] = "handshake-failed",
		[PROBE_SECURED] = "secured",
	};

	return names[how];
}

static void json_host(struct json *json, const struct host_result *host)
{
	json_begin(json, NULL, '{');
	json_text(json, "host", host->name);
	json_number(json, "preference", host->preference);
	json_text(json, "peer", host->probe->peer);
	json_text_or_null(json, "greeting", host->probe->greeting);
	json_text(json, "result", end_name(host->probe->end));
	json_text_or_null(json, "why", host->probe->why);
	json_bool(json, "masked", host->probe->masked);
	if (host->probe->end == PROBE_SECURED) {
		json_text(json, "protocol", host->facts.protocol);
		json_text(json, "cipher", host->facts.cipher);
		json_number(json, "bits", host->facts.cipher_bits);
		json_bool(json, "trusted", host->facts.trust == TLS_TRUSTED);
		json_text_or_null(json, "why_untrusted",
				  host->facts.why_untrusted);
		json_bool(json, "names_host", host->has_host_name);
		json_bool(json, "names_domain", host->has_domain_name);
		json_number(json, "tlsa_records", (long long)host->tlsa_count);
		json_bool(json, "dane", host->dane_fits);
		json_text_or_null(json, "dane_why", host->dane_why);
		json_begin(json, "certificates", '[');
		for (size_t i = 0; i < host->chain_count; i++)
			json_certificate(json, &host->chain[i]);
		json_end(json, ']');
	}
	json_end(json, '}');
}

static void json_domain(struct json *json, const struct domain_result *result)
{
	json_begin(json, NULL, '{');
	json_text(json, "domain", result->domain);
	json_text(json, "grade", domain_grade_name(result->grade));
	json_text_or_null(json, "why", result->why);
	json_text_or_null(json, "policy", result->policy);
	json_begin(json, "hosts", '[');
	for (size_t i = 0; i < result->count; i++)
		json_host(json, &result->hosts[i]);
	json_end(json, ']');
	json_end(json, '}');
}

static void options_read(struct tls_probe *p, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "ca", required_argument, NULL, 'c' },
		{ "port", required_argument, NULL, 'p' },
		{ "timeout", required_argument, NULL, 't' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 }
	};
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (c) {
		case 'j':
			p->as_json = true;
			break;
		case 'c':
			p->options.ca_file = optarg;
			break;
		case 'p':
			p->options.port = (uint16_t)option_number(
				command_name, "--port", optarg, 1, UINT16_MAX);
			break;
		case 't':
			p->options.connect_timeout_s =
				p->options.command_timeout_s =
					option_number(command_name, "--timeout",
						      optarg, 1, TIMEOUT_MAX_S);
			break;
		case 'h':
			usage(stdout);
			exit(0);
		default:
			usage(stderr);
			exit(1);
		}
	}
	if (optind < argc)
		return;
	usage(stderr);
	exit(1);
}

int postern_tls_probe(struct postern *postern)
{
	SCRATCH TALLOC_CTX *mem = talloc_new(NULL);
	struct tls_probe p = { .options = { .connect_timeout_s = TIMEOUT_S,
					    .command_timeout_s = TIMEOUT_S } };
	struct domain_prober *prober;
	struct fault fault;
	bool all_speak_tls = true;

	options_read(&p, postern->argc, postern->argv);
	terminal_init(&p.terminal, stdout);
	json_init(&p.json, stdout, false);
	if (domain_prober_open(mem, postern->conf, &p.options, &prober,
			       &fault) != RC_OK)
		postern_die(postern, "%s", fault.text);
	p.dane_missing = domain_prober_note(prober) != NULL;
	if (p.dane_missing)
		fprintf(stderr, "postern tls-probe: %s\n",
			domain_prober_note(prober));
	if (p.as_json)
		json_begin(&p.json, NULL, '[');
	for (int i = optind; i < postern->argc; i++) {
		struct domain_result *result =
			domain_probe(mem, prober, postern->argv[i]);

		if (p.as_json)
			json_domain(&p.json, result);
		else
			show_domain(&p, result);
		all_speak_tls &= result->grade > GRADE_PLAIN;
		talloc_free(result);
	}
	if (p.as_json)
		json_end(&p.json, ']');
	return all_speak_tls ? 0 : 1;
}
