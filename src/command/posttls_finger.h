/* SPDX-License-Identifier: Apache-2.0 */
/*
 * posttls_finger - what posttls-finger was asked, and what it prints.
 *
 * Output   one line each on standard output, as the reference has them:
 *          "posttls-finger: < 220 mx.example.test ESMTP"
 */
#pragma once

#include "command/smtp_probe.h"

enum finger_log {
	FINGER_SUMMARY = 1,
	FINGER_PEERCERT = 2,
	FINGER_CERTMATCH = 4,
	FINGER_CACHE = 8,
	FINGER_VERBOSE = 16,
};

struct finger {
	const char *destination;
	const char *const *match;
	size_t match_count;
	const char *family; /* "any", "ipv4", "ipv6" */
	const char *trust_anchors, *ca_file, *ca_path;
	const char *chain_files, *cert_file, *key_file;
	const char *digest, *grade, *protocols, *servername, *host_lookup;
	enum tls_level level;
	bool level_given;
	unsigned log;	  /* enum finger_log */
	int tls_loglevel; /* of the TLS layer */
	bool no_chat, show_chain, lmtp, wrapper;
	int connect_timeout_s, command_timeout_s, reconnect_s, reconnects_max;
	/* "name=value" of -o. */
	const char **overrides;
	size_t override_count;
};

/* Reads the command line; ends the program when it is wrong. */
struct finger *finger_parse(TALLOC_CTX *mem, int argc, char **argv);

void finger_say(const char *format, ...) PRINTF(1, 2);
/* For smtp_probe_config; arg is the struct finger. */
void finger_show_chat(void *arg, const char *mark, struct span line);
void finger_show_connected(void *arg, const char *peer);
void finger_show_tls(void *arg, const struct tls *tls, const char *peer);
