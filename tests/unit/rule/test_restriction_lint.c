/* SPDX-License-Identifier: Apache-2.0 */
/* What `postern check` says of restriction lists. */
#include "world.h"

#include "base/buf.h"
#include "rule/restriction_lint.h"

static void hear(void *arg, const char *text)
{
	struct buf *said = arg;

	assert_true(buf_addf(said, "%s\n", text));
}

/* Everything that is said; child of w->mem. */
static const char *lint(struct world *w, int *ret_count)
{
	struct buf said;

	buf_init(&said, w->mem, 64 * 1024);
	*ret_count = restriction_lint(w->conf, hear, &said);
	return buf_text(&said);
}

static struct world *world_of(const char *main_cf)
{
	struct world *w = world_new(main_cf, "");

	world_write(w, "ok", "a.test OK\nb.test REJECT\n");
	world_write(w, "no", "a.test REJECT\nb.test DUNNO\n");
	world_write(w, "own", "postmaster@mx.example.test OK\n");
	world_write(w, "away", "postmaster@ OK\n");
	world_write(w, "regexp_ok", "/^friend/ OK\n");
	world_write(w, "regexp_no", "/OK/ REJECT not OK \n/x/ DUNNO\n");
	world_write(w, "names", "a.test checked\n");
	return w;
}

#define TABLE "texthash:$config_directory/"

static void what_does_nothing_is_said_with_its_line(void **state)
{
	static const struct {
		const char *main_cf, *want;
	} cases[] = {
		{ "smtpd_client_restrictions = permit_mynetworks,\n"
		  "  permit, reject_unknown_client_hostname\n",
		  "main.cf, line 12: smtpd_client_restrictions: "
		  "reject_unknown_client_hostname is never reached, because "
		  "permit before it" },
		{ "smtpd_helo_restrictions = reject\n  permit_mynetworks\n",
		  "permit_mynetworks is never reached, because reject" },
		{ "smtpd_restriction_classes = all\nall = permit\n"
		  "smtpd_helo_restrictions = all, reject\n",
		  "reject is never reached, because all before it" },
		{ "smtpd_delay_reject = no\n"
		  "smtpd_client_restrictions = reject_unknown_recipient_domain"
		  "\n",
		  "reject_unknown_recipient_domain needs a recipient, which is "
		  "not known yet while smtpd_delay_reject = no" },
		{ "smtpd_delay_reject = no\n"
		  "smtpd_client_restrictions = reject_invalid_helo_hostname\n",
		  "needs the HELO name" },
		{ "smtpd_data_restrictions = check_recipient_access " TABLE
		  "no\n",
		  "only mail with a single recipient has one" },
		{ "smtpd_etrn_restrictions = reject_non_fqdn_sender\n",
		  "needs the sender, which is not known yet: it does nothing "
		  "here" },
		{ "smtpd_sender_restrictions = reject_non_fqdn_sender,\n"
		  "  permit_mynetworks, reject_non_fqdn_sender\n",
		  "line 12: smtpd_sender_restrictions: reject_non_fqdn_sender "
		  "is in the list twice" },
		{ "smtpd_sender_restrictions = permit_mynetworks, "
		  "warn_if_reject\n",
		  "warn_if_reject is the last word and warns of nothing" },
		{ "smtpd_sender_restrictions = warn_if_reject "
		  "permit_mynetworks\n",
		  "in front of permit_mynetworks, which never refuses" },
		{ "smtpd_sender_restrictions = reject_nonfqdn_sender\n",
		  "there is no restriction \"reject_nonfqdn_sender\"; did you "
		  "mean \"reject_non_fqdn_sender\"?" },
		{ "smtpd_sender_restrictions = /etc/postfix/senders\n",
		  "/etc/postfix/senders looks like a table" },
		{ "smtpd_sender_restrictions = " TABLE "no\n",
		  "is asked about the sender: say so with "
		  "check_sender_access" },
		{ "smtpd_sender_restrictions = check_sender_access " TABLE
		  "missing\n",
		  "the table of check_sender_access cannot be opened" },
		{ "smtpd_sender_restrictions = check_sender_access\n",
		  "needs a type:table" },
		{ "smtpd_restriction_classes = a b\na = b\nb = "
		  "permit_mynetworks, a\n",
		  "the class a leads back to itself" },
		{ "smtpd_restriction_classes = lonely\nlonely = reject\n",
		  "nothing uses the class lonely" },
		{ "smtpd_restriction_classes = empty\n"
		  "smtpd_data_restrictions = empty\n",
		  "the class empty has no value" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct world *w = world_of(cases[i].main_cf);
		const char *said;
		int count;

		print_message("  %s", cases[i].main_cf);
		said = lint(w, &count);
		if (strstr(said, cases[i].want) == NULL)
			fail_msg("said \"%s\", not \"%s\"", said,
				 cases[i].want);
		assert_true(count > 0);
		world_free(w);
	}
}

static void who_may_relay_by_mistake_is_said(void **state)
{
	static const struct {
		const char *main_cf, *want;
	} cases[] = {
		{ "smtpd_relay_restrictions =\n"
		  "smtpd_recipient_restrictions = permit_mynetworks\n",
		  "neither this list nor smtpd_recipient_restrictions" },
		{ "smtpd_relay_restrictions =\n"
		  "smtpd_recipient_restrictions = permit_mynetworks, permit, "
		  "reject_unauth_destination\n",
		  "neither this list nor smtpd_recipient_restrictions" },
		{ "smtpd_relay_restrictions =\n"
		  "smtpd_recipient_restrictions =\n"
		  "  check_sender_access " TABLE "ok,\n"
		  "  reject_unauth_destination\n",
		  "line 13: smtpd_recipient_restrictions: check_sender_access "
		  "lets strangers relay: the entry \"a.test\"" },
		{ "smtpd_relay_restrictions = check_helo_access regexp:"
		  "$config_directory/regexp_ok, reject_unauth_destination\n",
		  "the entry \"/^friend/\"" },
		{ "smtpd_relay_restrictions = check_recipient_access " TABLE
		  "away, reject_unauth_destination\n",
		  "check_recipient_access lets strangers relay" },
		{ "smtpd_relay_restrictions = check_client_access static:OK, "
		  "reject_unauth_destination\n",
		  "check_client_access lets strangers relay" },
		{ "mynetworks = 0.0.0.0/0\n",
		  "permit_mynetworks lets everybody relay" },
		{ "smtpd_restriction_classes = friends\n"
		  "friends = check_sender_access " TABLE "ok\n"
		  "smtpd_relay_restrictions = friends, "
		  "reject_unauth_destination\n",
		  "line 12: smtpd_relay_restrictions: check_sender_access "
		  "lets strangers relay" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct world *w = world_of(cases[i].main_cf);
		const char *said;
		int count;

		print_message("  %s", cases[i].main_cf);
		said = lint(w, &count);
		if (strstr(said, cases[i].want) == NULL)
			fail_msg("said \"%s\", not \"%s\"", said,
				 cases[i].want);
		world_free(w);
	}
}

static void what_works_is_not_talked_about(void **state)
{
	static const char *const cases[] = {
		"",
		"smtpd_relay_restrictions = permit_mynetworks "
		"permit_sasl_authenticated defer_unauth_destination\n",
		/* the relay list guards: an OK opens nothing */
		"smtpd_recipient_restrictions = check_sender_access " TABLE
		"ok, reject_unauth_destination\n",
		"smtpd_relay_restrictions =\n"
		"smtpd_recipient_restrictions = permit_mynetworks,\n"
		"  check_recipient_access " TABLE "own,\n"
		"  check_client_access " TABLE "ok,\n"
		"  check_sender_access " TABLE "no,\n"
		"  check_helo_access regexp:$config_directory/regexp_no,\n"
		"  reject_unauth_destination, permit\n",
		/* the style of the seed: a class behind a table, waits for RCPT
		 */
		"smtpd_restriction_classes = checked\n"
		"checked = reject_unknown_sender_domain, permit\n"
		"smtpd_sender_restrictions = check_sender_access " TABLE
		"names, permit\n"
		"smtpd_client_restrictions = check_client_access " TABLE "no,\n"
		"  permit_sasl_authenticated, permit_mynetworks,\n"
		"  warn_if_reject reject_unknown_client_hostname,\n"
		"  reject_unknown_client_hostname\n",
		"smtpd_client_restrictions = permit_mynetworks, reject\n"
		"smtpd_data_restrictions = reject_unauth_pipelining, "
		"reject_multi_recipient_bounce\n",
		/* tables that are asked elsewhere are left alone */
		"smtpd_restriction_classes = used_there\nused_there = permit\n"
		"smtpd_client_restrictions = check_client_access "
		"tcp:127.0.0.1:1\n",
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct world *w = world_of(cases[i]);
		int count;
		const char *said = lint(w, &count);

		print_message("  %s", cases[i]);
		assert_string_equal(said, "");
		assert_int_equal(count, 0);
		world_free(w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_does_nothing_is_said_with_its_line),
		cmocka_unit_test(who_may_relay_by_mistake_is_said),
		cmocka_unit_test(what_works_is_not_talked_about),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
