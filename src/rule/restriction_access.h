/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restriction_access - one question to an access table, and what its entry
 * does.
 *
 * Shape    the keys of a subject are tried in the order of access(5); the first
 *          entry that is found is carried out (restriction_action.c)
 * Errors   a table that fails is a refusal: 451 4.3.5
 */
#pragma once

#include "rule/restriction_priv.h"

struct access {
	struct evaluation *ev;
	const struct rule_item *item;
	struct maps *maps;  /* of the item */
	const char *source; /* the table, for warnings */
	enum rule_class class;
	const char *subject;
	bool pattern; /* one query with the whole text */
	/* The answer, once a key was found. */
	bool found;
	enum rule_result result;
};

void access_init(struct access *a, struct evaluation *ev,
		 const struct rule_item *item, enum rule_class class);

/* False: nothing under this key, go on; true: a->result. */
bool access_try_key(struct access *a, struct span key);
/* example.test and its parents; 192.0.2.1 and its networks. */
bool access_try_domain(struct access *a, struct span domain);
bool access_try_ip(struct access *a, struct span ip);

/* What an entry, or a policy server, says. */
enum rule_result access_act(struct access *a, struct span value);
enum rule_result access_config_error(struct access *a);
/* Refuse with what an entry says: an optional status code, text. */
enum rule_result access_refuse(struct access *a, int code, struct span text);
/* For tables about names that a stranger can choose: OK is an error. */
enum rule_result access_no_ok(struct access *a, enum rule_result result);
/* The subject of the status follows the class: a sender is no "1.1.1". */
void access_fit_dsn(char dsn[DSN_MAX_BYTES], enum rule_class class);
