/* SPDX-License-Identifier: Apache-2.0 */
#include <getopt.h>
#include <stdlib.h>

#include "command/posttls_finger.h"

enum { TIMEOUT_DEFAULT_S = 30, RECONNECTS_DEFAULT = 5, TIMEOUT_MAX_S = 86400 };

static void usage(FILE *to)
{
	fputs("usage: posttls-finger [-acCfSvw] [-t conn_tmout] "
	      "[-T cmd_tmout] [-L logopts] \\\n"
	      "\t[-h host_lookup] [-l level] [-d mdalg] [-g grade] "
	      "[-p protocols] \\\n"
	      "\t[-A tafile] [-F CAfile.pem] [-P CApath/] [-s servername] \\\n"
	      "\t[ [-H chainfiles] | [-k certfile [-K keyfile]] ] \\\n"
	      "\t[-m count] [-r delay] [-o name=value] destination "
	      "[match ...]\n",
	      to);
}

static void help(void)
{
	usage(stdout);
	fputs("\nLook at the TLS of a mail host; no mail is sent.\n"
	      "destination: domain (its MX hosts), [host] or [address], each "
	      "with :port;\n"
	      "with -S (LMTP) inet:host:port or unix:path\n"
	      "match: names or fingerprints that the certificate must have\n"
	      "  -a family      ipv4, ipv6 or any\n"
	      "  -A file        trust anchors in place of -F and -P\n"
	      "  -c             without the SMTP dialogue\n"
	      "  -C             print the certificates\n"
	      "  -d digest      of fingerprints\n"
	      "  -f             ask for TLSA records of unsigned hosts too\n"
	      "  -F file, -P directory  authorities to trust (default: none)\n"
	      "  -g grade       of ciphers (default medium)\n"
	      "  -h lookup      dns, native (default dns)\n"
	      "  -H files, -k file, -K file  our chain, or certificate and "
	      "key\n"
	      "  -l level       none may encrypt fingerprint verify secure "
	      "dane dane-only\n"
	      "  -L words       none summary peercert certmatch cache verbose "
	      "debug\n"
	      "  -m count       connections of -r at most (default 5)\n"
	      "  -M level       for hosts of an unsigned MX record\n"
	      "  -o name=value  in place of main.cf\n"
	      "  -p protocols   (default >=TLSv1)\n"
	      "  -r seconds     connect again: is the session resumed?\n"
	      "  -s name        to ask for (SNI)\n"
	      "  -S             LMTP\n"
	      "  -t seconds, -T seconds  for connecting, for each command\n"
	      "  -w             TLS from the first byte\n",
	      stdout);
}

NORETURN static void die(const char *what, const char *value)
{
	printf("posttls-finger: fatal: %s \"%s\"\n", what, value);
	exit(1);
}

static int number(const char *what, const char *text, int min)
{
	uint64_t value;

	if (!span_to_u64(span_from(text), TIMEOUT_MAX_S, &value) ||
	    (int)value < min)
		die(what, text);
	return (int)value;
}

static const char *joined(TALLOC_CTX *mem, const char *list, const char *more)
{
	return list == NULL ? more : mem_printf(mem, "%s %s", list, more);
}

static void log_parse(struct finger *f, const char *text)
{
	static const struct {
		const char *name;
		unsigned log;
		int tls_loglevel;
	} words[] = {
		{ "0", 0, 0 },
		{ "none", 0, 0 },
		{ "1", FINGER_SUMMARY, 0 },
		{ "routine", FINGER_SUMMARY, 0 },
		{ "summary", FINGER_SUMMARY, 0 },
		{ "2", FINGER_SUMMARY | FINGER_VERBOSE, 2 },
		{ "debug", FINGER_SUMMARY | FINGER_VERBOSE, 2 },
		{ "3", FINGER_SUMMARY | FINGER_VERBOSE, 3 },
		{ "ssl-expert", FINGER_SUMMARY | FINGER_VERBOSE, 3 },
		{ "4", FINGER_SUMMARY | FINGER_VERBOSE, 4 },
		{ "ssl-developer", FINGER_SUMMARY | FINGER_VERBOSE, 4 },
		{ "ssl-debug", 0, 2 },
		{ "ssl-handshake-packet-dump", 0, 3 },
		{ "ssl-session-packet-dump", 0, 4 },
		{ "untrusted", 0, 0 }, /* always on */
		{ "peercert", FINGER_PEERCERT, 0 },
		{ "certmatch", FINGER_CERTMATCH, 0 },
		{ "cache", FINGER_CACHE, 0 },
		{ "verbose", FINGER_VERBOSE, 0 },
	};
	struct span rest = span_from(text), word;
	size_t i;

	f->log = 0;
	f->tls_loglevel = 0;
	while (span_token(&rest, ", \t", &word)) {
		for (i = 0; i < ARRAY_LEN(words); i++)
			if (span_is_nocase(word, words[i].name))
				break;
		if (i == ARRAY_LEN(words))
			die("Unknown TLS logging option", text);
		f->log |= words[i].log;
		if (words[i].tls_loglevel > f->tls_loglevel)
			f->tls_loglevel = words[i].tls_loglevel;
	}
	if ((f->log & FINGER_VERBOSE) != 0)
		f->log |= FINGER_PEERCERT | FINGER_CERTMATCH | FINGER_CACHE;
}

static void level_parse(struct finger *f, const char *text)
{
	struct fault fault;

	if (text[0] == '\0' ||
	    tls_level_parse(text, &f->level, &fault) != RC_OK)
		die("Invalid TLS level", text);
	f->level_given = true;
}

static void override_add(struct finger *f, const char *text)
{
	if (strchr(text, '=') == NULL)
		die("-o needs name=value, not", text);
	f->overrides = mem_resize(f, f->overrides, const char *,
				  f->override_count + 1);
	f->overrides[f->override_count++] = text;
}

/* Options that stand for a text. */
static bool text_option(struct finger *f, int c, const char *value)
{
	const struct {
		int c;
		const char **field;
	} options[] = {
		{ 'd', &f->digest },	 { 'F', &f->ca_file },
		{ 'g', &f->grade },	 { 'h', &f->host_lookup },
		{ 'k', &f->cert_file },	 { 'K', &f->key_file },
		{ 'p', &f->protocols },	 { 'P', &f->ca_path },
		{ 's', &f->servername },
	};

	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		if (options[i].c != c)
			continue;
		*options[i].field = value;
		return true;
	}
	return false;
}

static bool flag_option(struct finger *f, int c)
{
	const struct {
		int c;
		bool *field;
	} flags[] = {
		{ 'c', &f->no_chat },
		{ 'C', &f->show_chain },
		{ 'S', &f->lmtp },
		{ 'w', &f->wrapper },
	};

	for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
		if (flags[i].c != c)
			continue;
		*flags[i].field = true;
		return true;
	}
	return false;
}

static void option_take(struct finger *f, int c, const char *value)
{
	if (text_option(f, c, value) || flag_option(f, c))
		return;
	switch (c) {
	case 'a':
		if (strcmp(value, "any") != 0 && strcmp(value, "ipv4") != 0 &&
		    strcmp(value, "ipv6") != 0)
			die("bad address family: ipv4, ipv6 or any, not",
			    value);
		f->family = value;
		break;
	case 'A':
		f->trust_anchors = joined(f, f->trust_anchors, value);
		break;
	case 'f':
		override_add(f, "smtp_tls_force_insecure_host_tlsa_lookup=yes");
		break;
	case 'H':
		f->chain_files = joined(f, f->chain_files, value);
		break;
	case 'l':
		level_parse(f, value);
		break;
	case 'L':
		log_parse(f, value);
		break;
	case 'm':
		f->reconnects_max = number("bad count", value, 0);
		break;
	case 'M':
		override_add(f, mem_printf(f,
					   "smtp_tls_dane_insecure_mx_policy="
					   "%s",
					   value));
		break;
	case 'o':
		override_add(f, value);
		break;
	case 'r':
		f->reconnect_s = number("bad delay", value, 1);
		break;
	case 't':
		f->connect_timeout_s = number("bad time-out", value, 1);
		break;
	case 'T':
		f->command_timeout_s = number("bad time-out", value, 1);
		break;
	case 'v':
		break;
	default:
		usage(stderr);
		exit(1);
	}
}

/* What cannot be had together, or at all. */
static void finger_check(const struct finger *f)
{
	if (f->chain_files != NULL &&
	    (f->cert_file != NULL || f->key_file != NULL))
		die("-H and -k or -K are mutually exclusive:", f->chain_files);
	if (span_starts(span_from(f->destination), "unix:") && !f->lmtp)
		die("unix: needs -S (LMTP):", f->destination);
}

struct finger *finger_parse(TALLOC_CTX *mem, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "help", no_argument, NULL, '?' }, { NULL, 0, NULL, 0 }
	};
	struct finger *f = mem_new(mem, struct finger);
	int c;

	f->family = "any";
	f->protocols = ">=TLSv1";
	f->grade = "medium";
	f->log = FINGER_SUMMARY | FINGER_CERTMATCH;
	f->connect_timeout_s = f->command_timeout_s = TIMEOUT_DEFAULT_S;
	f->reconnects_max = RECONNECTS_DEFAULT;
	if (argc > 1 && strcmp(argv[1], "--help") == 0) {
		help();
		exit(0);
	}
	while ((c = getopt_long(argc, argv,
				"a:A:cCd:fF:g:h:H:k:K:l:L:m:M:o:p:P:r:Rs:St:T:"
				"vwxX",
				longs, NULL)) != -1) {
		if (c == 'x')
			die("raw public keys are not supported:", "-x");
		if (c == 'R')
			die("SRV records are not supported:", "-R");
		if (c == 'X')
			die("there is no tlsproxy service here:", "-X");
		option_take(f, c, optarg);
	}
	if (optind >= argc) {
		usage(stderr);
		exit(1);
	}
	f->destination = argv[optind++];
	f->match = (const char *const *)argv + optind;
	f->match_count = (size_t)(argc - optind);
	if (f->cert_file == NULL)
		f->cert_file = f->key_file;
	if (f->key_file == NULL)
		f->key_file = f->cert_file;
	finger_check(f);
	return f;
}
