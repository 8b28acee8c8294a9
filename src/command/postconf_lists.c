/* SPDX-License-Identifier: Apache-2.0 */
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/opensslv.h>
#include <stdio.h>

#include "command/postconf_priv.h"
#include "map/map.h"
#include "report/template.h"

static void print_table_types(TALLOC_CTX *mem)
{
	struct span rest = span_from(map_driver_names(mem, false)), name;

	while (span_token(&rest, ", ", &name))
		printf("%.*s\n", SPAN_FMT(name));
}

/* As the configuration writes them; those that this OpenSSL has. */
static void print_key_algorithms(void)
{
	static const struct {
		const char *name, *in_openssl;
	} algorithms[] = { { "dsa", "DSA" },
			   { "ecdsa", "EC" },
			   { "rsa", "RSA" } };

	for (size_t i = 0; i < ARRAY_LEN(algorithms); i++) {
		EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(
			NULL, algorithms[i].in_openssl, NULL);

		if (ctx != NULL)
			puts(algorithms[i].name);
		EVP_PKEY_CTX_free(ctx);
	}
}

static enum rc print_tls(const char *mode, struct fault *fault)
{
	if (strcmp(mode, "compile-version") == 0)
		puts(OPENSSL_VERSION_TEXT);
	else if (strcmp(mode, "run-version") == 0)
		puts(OpenSSL_version(OPENSSL_VERSION));
	else if (strcmp(mode, "public-key-algorithms") == 0)
		print_key_algorithms();
	else
		return fault_set(fault, RC_CONF, "4.3.5",
				 "unknown 'postconf -T' mode: %s (there are "
				 "compile-version, run-version and "
				 "public-key-algorithms)",
				 mode);
	return RC_OK;
}

static void print_header(const char *name, const char *value)
{
	if (value != NULL)
		printf("%s: %s\n", name, value);
}

/* -t: as a bounce_template_file has it. */
static void print_template(const char *name, const struct template *template)
{
	printf("%s = <<EOF\n", name);
	print_header("Charset", template->charset);
	print_header("From", template->from == NULL
				     ? "Mail Delivery System <MAILER-DAEMON>"
				     : template->from);
	print_header("Subject", template->subject);
	print_header("Postmaster-Subject", template->postmaster_subject);
	printf("\n%sEOF\n", template->text);
}

static enum rc print_templates(const struct postconf *pc, bool expand,
			       struct fault *fault)
{
	const char *path = pc->name_count > 0
				   ? pc->names[0]
				   : pc->conf->v.bounce_template_file;
	struct template_set *set;
	bool first = true;

	if (pc->name_count > 1)
		return fault_set(fault, RC_CONF, "4.3.5",
				 "-b and -t take one template file");
	if (template_load(pc->mem, path, &set, fault) != RC_OK)
		return RC_CONF;
	for (int i = 0; i < (int)ARRAY_LEN(set->by_kind); i++) {
		const struct template *template = &set->by_kind[i];
		const char *name = template_name(i);
		int len = (int)(strlen(name) - strlen("_template"));

		if (template->text == NULL || len <= 0)
			continue;
		if (!first)
			putchar('\n');
		first = false;
		if (expand)
			printf("expanded_%.*s_text = <<EOF\n%sEOF\n", len, name,
			       template_expand(pc->mem, pc->conf, template));
		else
			print_template(name, template);
	}
	return RC_OK;
}

bool postconf_list_needs_conf(char list)
{
	return list == 'b' || list == 't';
}

enum rc postconf_list(const struct postconf *pc, char list,
		      const char *tls_mode, struct fault *fault)
{
	switch (list) {
	case 'a':
		puts("cyrus\ndovecot");
		return RC_OK;
	case 'A':
		puts("cyrus");
		return RC_OK;
	case 'l':
		puts("flock\nfcntl\ndotlock");
		return RC_OK;
	case 'm':
		print_table_types(pc->mem);
		return RC_OK;
	case 'T':
		return print_tls(tls_mode, fault);
	default:
		return print_templates(pc, list == 'b', fault);
	}
}
