/* SPDX-License-Identifier: Apache-2.0 */
/* postern tls: keys, certificates and what to publish of them; the first
 * configuration of TLS. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "command/postconf_priv.h"
#include "command/postern_priv.h"
#include "conf/show.h"
#include "net/dns.h"
#include "net/tls_key.h"

enum {
	NAMES_MAX = 100,
	SETTINGS_MAX = 12,
	STAMP_BYTES = 32,
	PAIRS_A_SECOND_MAX = 100,
};

struct tls_tool {
	struct postern *postern;
	struct conf *conf;
	TALLOC_CTX *mem;
	enum tls_key_kind kind;
	const char *size, *random_source, *key_file, *hostname;
	/* What is left of the command line, or $myhostname. */
	const char *names[NAMES_MAX];
	size_t name_count;
};

/* The parameters where a key of a kind and its certificate are configured. */
struct key_place {
	const char *word, *key_parameter, *cert_parameter, *file_prefix;
};
static const struct key_place key_places[] = {
	[TLS_KEY_RSA] = { "rsa", "smtpd_tls_key_file", "smtpd_tls_cert_file",
			  "" },
	[TLS_KEY_ECDSA] = { "ecdsa", "smtpd_tls_eckey_file",
			    "smtpd_tls_eccert_file", "ec" },
	[TLS_KEY_ED25519] = { "ed25519", NULL, "smtpd_tls_chain_files", "ed" },
};

struct tool_command {
	const char *name, *options, *arguments, *help;
	int (*run)(struct tls_tool *tool);
};

static void usage(FILE *to);

NORETURN static void die_fault(const struct tls_tool *tool,
			       const struct fault *fault)
{
	postern_die(tool->postern, "%s", fault->text);
}

static bool is_tls_setting(const char *name, bool server)
{
	const struct span span = span_from(name);

	if (server)
		return span_starts(span, "smtpd_tls_") ||
		       span_is(span, "smtpd_use_tls") ||
		       span_is(span, "smtpd_enforce_tls");
	return span_starts(span, "smtp_tls_") ||
	       span_is(span, "smtp_use_tls") ||
	       span_is(span, "smtp_enforce_tls");
}

/* The first setting that is not the default; NULL: none. */
static const char *first_setting(const struct tls_tool *tool, bool server)
{
	struct conf_item *items;
	size_t count;

	conf_items(tool->mem, tool->conf, NULL, &items, &count);
	for (size_t i = 0; i < count; i++) {
		const struct conf_item *item = &items[i];

		if (item->text == NULL || item->def == NULL ||
		    !is_tls_setting(item->name, server) ||
		    strcmp(item->text, item->def->preset) == 0)
			continue;
		return item->name;
	}
	return NULL;
}

static void settings_print(const char *const *settings, size_t count)
{
	for (size_t i = 0; i < count; i++)
		printf("    postconf -e '%s'\n", settings[i]);
}

static void settings_write(const struct tls_tool *tool,
			   const char *const *settings, size_t count)
{
	struct fault fault;

	if (postconf_edit_main(tool->conf->config_directory, EDIT_SET,
			       (char **)(uintptr_t)settings, count,
			       &fault) != RC_OK)
		die_fault(tool, &fault);
	for (size_t i = 0; i < count; i++)
		printf("    %s\n", settings[i]);
	printf("Run \"%s reload\" to use it.\n", tool->postern->program);
}

static int all_default_client(struct tls_tool *tool)
{
	return first_setting(tool, false) == NULL ? 0 : 1;
}

static int all_default_server(struct tls_tool *tool)
{
	return first_setting(tool, true) == NULL ? 0 : 1;
}

/* Write them when nothing was configured yet, else only suggest. */
static int settings_offer(struct tls_tool *tool, bool server,
			  const char *const *settings, size_t count)
{
	const char *side = server ? "server" : "client";
	const char *set = first_setting(tool, server);

	if (set == NULL) {
		printf("TLS is enabled in the SMTP %s (%s/main.cf):\n", side,
		       tool->conf->config_directory);
		settings_write(tool, settings, count);
		return 0;
	}
	printf("%s is set already: the SMTP %s is left as it is. What would "
	       "be set:\n",
	       set, side);
	settings_print(settings, count);
	return 0;
}

static size_t random_add(const struct tls_tool *tool, const char **settings,
			 size_t count)
{
	if (tool->random_source != NULL)
		settings[count++] = mem_printf(
			tool->mem, "tls_random_source = %s%s",
			strchr(tool->random_source, ':') == NULL ? "dev:" : "",
			tool->random_source);
	return count;
}

static int enable_client(struct tls_tool *tool)
{
	const char *settings[SETTINGS_MAX] = {
		"smtp_tls_security_level = may",
		"smtp_tls_loglevel = 1",
		("smtp_tls_session_cache_database = "
		 "btree:${data_directory}/smtp_scache"),
	};

	return settings_offer(tool, false, settings,
			      random_add(tool, settings, 3));
}

static const char *stamp(char text[STAMP_BYTES])
{
	const time_t now = time(NULL);
	struct tm utc;

	gmtime_r(&now, &utc);
	strftime(text, STAMP_BYTES, "%Y%m%d-%H%M%S", &utc);
	return text;
}

struct made {
	const char *key_path, *cert_path;
	enum tls_key_kind kind;
};

static const char *in_config(const struct tls_tool *tool, const char *path)
{
	return path[0] == '/' ? path
			      : mem_printf(tool->mem, "%s/%s",
					   tool->conf->config_directory, path);
}

/* Names of the two files that nothing has yet: by the second, and when that is
 * not enough with a number. */
static void paths_find(const struct tls_tool *tool, struct made *made)
{
	const char *prefix = key_places[made->kind].file_prefix;
	char when[STAMP_BYTES], number[8] = "";

	stamp(when);
	for (int i = 2; i < PAIRS_A_SECOND_MAX; i++) {
		made->key_path =
			in_config(tool, mem_printf(tool->mem, "%skey-%s%s.pem",
						   prefix, when, number));
		made->cert_path =
			in_config(tool, mem_printf(tool->mem, "%scert-%s%s.pem",
						   prefix, when, number));
		if (access(made->key_path, F_OK) != 0 &&
		    access(made->cert_path, F_OK) != 0)
			return;
		snprintf(number, sizeof(number), "-%d", i);
	}
}

/* A file for the key and one for a certificate that it signs itself. */
static struct made pair_write(struct tls_tool *tool, struct tls_key *key)
{
	struct made made = { .kind = tls_key_kind(key) };
	struct fault fault;

	paths_find(tool, &made);
	if (tls_key_write(key, made.key_path, &fault) != RC_OK ||
	    tls_key_self_sign(key, tool->names, tool->name_count,
			      made.cert_path, &fault) != RC_OK)
		die_fault(tool, &fault);
	printf("private key:  %s\ncertificate:  %s (signed by itself, for",
	       made.key_path, made.cert_path);
	for (size_t i = 0; i < tool->name_count; i++)
		printf(" %s", tool->names[i]);
	puts(")");
	return made;
}

static void next_steps(const struct tls_tool *tool, const struct made *made)
{
	const char *program = tool->postern->program;

	printf("To use it:\n"
	       "    %s tls deploy-server-cert %s %s\n"
	       "To have an authority sign it, or to publish it in DNS "
	       "first:\n"
	       "    %s tls output-server-csr -k %s\n"
	       "    %s tls output-server-tlsa %s\n",
	       program, made->cert_path, made->key_path, program,
	       made->key_path, program, made->key_path);
}

static struct tls_key *key_new(struct tls_tool *tool)
{
	struct tls_key *key;
	struct fault fault;

	if (tls_key_make(tool->mem, tool->kind, tool->size, &key, &fault) !=
	    RC_OK)
		die_fault(tool, &fault);
	return key;
}

static int new_server_key(struct tls_tool *tool)
{
	struct made made = pair_write(tool, key_new(tool));

	next_steps(tool, &made);
	return 0;
}

/* Where the key of a kind is configured; NULL: nowhere. */
static const char *configured_key(const struct tls_tool *tool,
				  enum tls_key_kind kind)
{
	const struct key_place *place = &key_places[kind];
	const char *path =
		place->key_parameter == NULL
			? NULL
			: conf_text(tool->conf, place->key_parameter);

	if (path == NULL || *path == '\0' || strcmp(path, "none") == 0)
		return NULL;
	return path;
}

static int new_server_cert(struct tls_tool *tool)
{
	const char *path = configured_key(tool, tool->kind);
	struct tls_key *key;
	struct fault fault;
	struct made made;

	if (path == NULL)
		return new_server_key(tool);
	if (tls_key_read(tool->mem, in_config(tool, path), &key, &fault) !=
	    RC_OK)
		die_fault(tool, &fault);
	made = pair_write(tool, key);
	next_steps(tool, &made);
	return 0;
}

static size_t files_settings(const struct tls_tool *tool,
			     const struct made *made, const char **settings)
{
	const struct key_place *place = &key_places[made->kind];

	if (place->key_parameter == NULL) {
		settings[0] = mem_printf(tool->mem, "%s = %s, %s",
					 place->cert_parameter, made->key_path,
					 made->cert_path);
		return 1;
	}
	settings[0] = mem_printf(tool->mem, "%s = %s", place->key_parameter,
				 made->key_path);
	settings[1] = mem_printf(tool->mem, "%s = %s", place->cert_parameter,
				 made->cert_path);
	return 2;
}

static int enable_server(struct tls_tool *tool)
{
	const char *settings[SETTINGS_MAX];
	/* No key is made that nobody asked for. */
	struct made made = {
		.key_path = "KEYFILE",
		.cert_path = "CERTFILE",
		.kind = tool->kind,
	};
	size_t count;

	if (first_setting(tool, true) == NULL)
		made = pair_write(tool, key_new(tool));
	count = files_settings(tool, &made, settings);
	settings[count++] = "smtpd_tls_security_level = may";
	settings[count++] = "smtpd_tls_received_header = yes";
	settings[count++] = "smtpd_tls_loglevel = 1";
	count = random_add(tool, settings, count);
	return settings_offer(tool, true, settings, count);
}

static int deploy_server_cert(struct tls_tool *tool)
{
	const char *settings[SETTINGS_MAX];
	struct made made;
	struct tls_key *key;
	struct fault fault;

	if (tool->name_count != 2) {
		usage(stderr);
		return 1;
	}
	made.cert_path = in_config(tool, tool->names[0]);
	made.key_path = in_config(tool, tool->names[1]);
	if (tls_key_read(tool->mem, made.key_path, &key, &fault) != RC_OK ||
	    tls_key_fits(key, made.cert_path, &fault) != RC_OK)
		die_fault(tool, &fault);
	made.kind = tls_key_kind(key);
	printf("The SMTP server's certificate (%s/main.cf):\n",
	       tool->conf->config_directory);
	settings_write(tool, settings, files_settings(tool, &made, settings));
	if (*tool->conf->v.smtpd_tls_security_level == '\0')
		puts("smtpd_tls_security_level is empty: TLS is not offered "
		     "until it is \"may\" or \"encrypt\".");
	return 0;
}

/* A path, or the word for a kind of key; NULL: that is not configured. */
static const char *key_path(const struct tls_tool *tool, const char *word)
{
	for (size_t i = 0; i < ARRAY_LEN(key_places); i++)
		if (strcmp(word, key_places[i].word) == 0)
			return configured_key(tool, (enum tls_key_kind)i);
	return word;
}

static int output_server_csr(struct tls_tool *tool)
{
	const char *word = tool->key_file != NULL ? tool->key_file : "rsa";
	const char *path = key_path(tool, word);
	struct tls_key *key;
	struct fault fault;
	char *pem;

	if (path == NULL)
		postern_die(tool->postern,
			    "no %s key is configured; say which with -k FILE",
			    word);
	if (tls_key_read(tool->mem, in_config(tool, path), &key, &fault) !=
		    RC_OK ||
	    tls_key_request(tool->mem, key, tool->names, tool->name_count, &pem,
			    &fault) != RC_OK)
		die_fault(tool, &fault);
	fputs(pem, stdout);
	return 0;
}

static bool tlsa_print(struct tls_tool *tool, const char *word)
{
	const char *path = key_path(tool, word);
	struct tls_key *key;
	struct fault fault;
	char *hex;

	if (path == NULL)
		return false;
	path = in_config(tool, path);
	if (tls_key_read(tool->mem, path, &key, &fault) != RC_OK ||
	    tls_key_tlsa(tool->mem, key, &hex, &fault) != RC_OK)
		die_fault(tool, &fault);
	printf("; %s\n_25._tcp.%s. IN TLSA 3 1 1 %s\n", path, tool->hostname,
	       hex);
	return true;
}

static int output_server_tlsa(struct tls_tool *tool)
{
	static const char *const usual[] = { "rsa", "ecdsa" };
	const char *const *words = tool->name_count > 0 ? tool->names : usual;
	size_t count =
		tool->name_count > 0 ? tool->name_count : ARRAY_LEN(usual);
	bool any = false;

	if (tool->hostname == NULL)
		tool->hostname = tool->conf->v.myhostname;
	for (size_t i = 0; i < count; i++)
		any |= tlsa_print(tool, words[i]);
	if (any)
		return 0;
	postern_die(tool->postern,
		    "no private key is configured; name a key file");
}

static const struct tool_command commands[] = {
	{ "enable-client", "r:", "[-r randsource]",
	  "TLS where the other side offers it, in the SMTP client",
	  enable_client },
	{ "enable-server", "r:a:b:",
	  "[-r randsource] [-a algorithm] "
	  "[-b bits] [hostname...]",
	  "make a key and a certificate and offer TLS in the SMTP server",
	  enable_server },
	{ "new-server-key", "a:b:", "[-a algorithm] [-b bits] [hostname...]",
	  "make a private key and a certificate; use is up to you",
	  new_server_key },
	{ "new-server-cert", "a:b:", "[-a algorithm] [-b bits] [hostname...]",
	  "make a certificate for the key that is in use", new_server_cert },
	{ "deploy-server-cert", "", "certfile keyfile",
	  "use these in the SMTP server", deploy_server_cert },
	{ "output-server-csr", "k:", "[-k keyfile] [hostname...]",
	  "print a certificate signing request", output_server_csr },
	{ "output-server-tlsa", "h:", "[-h hostname] [keyfile...]",
	  "print DANE records for DNS", output_server_tlsa },
	{ "all-default-client", "", "",
	  "exit 0 when the client's TLS is as it came", all_default_client },
	{ "all-default-server", "", "",
	  "exit 0 when the server's TLS is as it came", all_default_server },
};

static void usage(FILE *to)
{
	fputs("usage: postern tls COMMAND\n", to);
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		fprintf(to, "  %s %s\n      %s\n", commands[i].name,
			commands[i].arguments, commands[i].help);
	fputs("-a rsa (2048 bits), ecdsa (secp256r1) or ed25519; -b other "
	      "bits, or another curve\n",
	      to);
}

static void algorithm_take(struct tls_tool *tool, const char *word)
{
	for (size_t i = 0; i < ARRAY_LEN(key_places); i++) {
		if (strcasecmp(word, key_places[i].word) != 0)
			continue;
		tool->kind = (enum tls_key_kind)i;
		return;
	}
	postern_die(tool->postern,
		    "algorithm \"%s\": it can be rsa, ecdsa or ed25519", word);
}

static void options_take(struct tls_tool *tool, const char *options, int argc,
			 char **argv)
{
	int c;

	optind = 0;
	while ((c = getopt(argc, argv, options)) != -1) {
		switch (c) {
		case 'a':
			algorithm_take(tool, optarg);
			break;
		case 'b':
			tool->size = optarg;
			break;
		case 'h':
			tool->hostname = optarg;
			break;
		case 'k':
			tool->key_file = optarg;
			break;
		case 'r':
			tool->random_source = optarg;
			break;
		default:
			usage(stderr);
			exit(1);
		}
	}
	for (; optind < argc && tool->name_count < NAMES_MAX; optind++)
		tool->names[tool->name_count++] = argv[optind];
}

/* Names that go into a certificate. */
static void hostnames_complete(struct tls_tool *tool)
{
	for (size_t i = 0; i < tool->name_count; i++)
		if (!dns_name_is_valid(span_from(tool->names[i])))
			postern_die(tool->postern, "\"%s\" is no host name",
				    tool->names[i]);
	if (tool->name_count == 0)
		tool->names[tool->name_count++] = tool->conf->v.myhostname;
}

int postern_tls(struct postern *postern)
{
	SCRATCH TALLOC_CTX *mem = talloc_new(NULL);
	struct tls_tool tool = {
		.postern = postern,
		.conf = postern->conf,
		.mem = mem,
	};
	const char *name = postern->argc > 1 ? postern->argv[1] : "";

	if (strcmp(name, "--help") == 0 || strcmp(name, "help") == 0) {
		usage(stdout);
		return 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		const struct tool_command *command = &commands[i];

		if (strcmp(name, command->name) != 0)
			continue;
		options_take(&tool, command->options, postern->argc - 1,
			     postern->argv + 1);
		if (strstr(command->arguments, "hostname...") != NULL)
			hostnames_complete(&tool);
		return command->run(&tool);
	}
	if (*name != '\0')
		fprintf(stderr, "postern tls: unknown command \"%s\"\n", name);
	usage(stderr);
	return 1;
}
