/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restriction_priv - a compiled restriction list, and what the functions behind
 * its words may use.
 */
#pragma once

#include "rule/restriction.h"

enum rule_result {
	RULE_DUNNO,
	RULE_OK,
	RULE_REJECT,
	RULE_WAIT, /* not known yet; the question will be asked again */
};

enum rule_list {
	LIST_CLIENT,
	LIST_HELO,
	LIST_SENDER,
	LIST_RELAY,
	LIST_RECIPIENT,
	LIST_DATA,
	LIST_END_OF_DATA,
	LIST_ETRN,
	LIST_COUNT,
};

/* What a refusal is about: "<text>: Sender address rejected: ..." */
enum rule_class {
	CLASS_OF_CLIENT,
	CLASS_OF_HELO,
	CLASS_OF_SENDER,
	CLASS_OF_RECIPIENT,
	CLASS_OF_DATA,
	CLASS_OF_END_OF_DATA,
	CLASS_OF_ETRN,
	CLASS_OF_REVERSE_CLIENT,
	CLASS_OF_CERT,
	CLASS_OF_LOGIN,
};

struct evaluation;
struct rule_item;
struct rule_items;

typedef enum rule_result (*rule_fn)(struct evaluation *ev,
				    const struct rule_item *item);

enum rule_traits {
	TAKES_TABLE = 1,     /* type:table */
	TAKES_WORD = 2,	     /* any word */
	GUARDS_RELAY = 4,    /* satisfies the mandatory check */
	NEXT_ONLY_WARNS = 8, /* warn_if_reject */
	ENDS_LIST = 16,	     /* permit: nothing after it is reached */
	TAKES_POLICY = 32,   /* endpoint, or { endpoint, option = value } */
	PERMITS = 64,	     /* a DNS list of friends */
	BY_ADDRESS = 128,    /* a DNS list of addresses, not of names */
};

struct rule_def {
	const char *name;
	int traits;
	rule_fn run; /* NULL: known, and not here yet */
	int arg;     /* for the function: enum rule_class, ... */
	/* Begin the questions to DNS that run may have to ask; NULL: none. */
	void (*ahead)(struct evaluation *ev, const struct rule_item *item);
};

struct rule_item {
	const struct rule_def *def; /* NULL: an unknown word */
	const char *word;	    /* as written */
	const char *arg;
	struct maps *maps;	  /* TAKES_TABLE */
	const char *order;	  /* of check_ccert_access; NULL: the usual */
	struct policy_client *policy; /* TAKES_POLICY */
	struct rule_items *nested; /* a restriction class */
	size_t offset; /* in the text of the list */
};

struct rule_items {
	const char *source; /* parameter, class, or type:table */
	bool source_is_table;
	struct rule_item *items;
	size_t count;
};

struct restrictions {
	struct conf *conf;
	struct resolver *resolver;
	struct recipient_lists *recipients;
	struct match_list *mynetworks;
	struct match_list *mx_backup_networks, *log_permit;
	struct own_ips *own;
	struct maps *relay_clientcerts, *sender_logins, *rbl_replies;
	struct verify_client *verify;
	bool parent_domains; /* for access tables: "example.test" matches
			      * "a.example.test"; else ".example.test" does */
	struct rule_items *lists[LIST_COUNT];
};

struct evaluation {
	struct restrictions *set;
	TALLOC_CTX *mem;
	const struct restriction_request *request;
	struct restriction_state *state;
	struct restriction_verdict *verdict;
	enum rule_list list;
	/* What a refusal is about that does not say itself: of the list, or of
	 * the access table whose entry gave the restrictions. */
	enum rule_class class;
	const char *subject;
	int defer_stage; /* index in state->defer_if_permit */
	const char *defer_if_reject;
	unsigned int warn_depth; /* warn_if_reject covers us */
	int depth;
	bool unlisted_done;
	enum rc rc; /* RC_TEMP or RC_PERM of the refusal */
	struct restriction_memo *memo;
	size_t steps; /* taken in this try */
	enum restriction_stage stage;
	const struct rule_frame *frame; /* where we are in the lists */
	bool in_policy; /* the default action of a policy service runs */
	/* Resolved once for each question. */
	struct route *recipient_route, *sender_route;
};

/* The list that runs, and the one that it is inside. */
struct rule_frame {
	const struct rule_items *items;
	size_t next; /* the first that was not reached */
	const struct rule_frame *outer;
};

enum { RULE_DEPTH_MAX = 100, RULE_ITEMS_MAX = 10000 };

const struct rule_def *rule_def_find(struct span word);
/* One after the other; NULL after the last. */
const struct rule_def *rule_def_at(size_t i);
/* The words of a list; `depth` counts classes inside classes. `strict`: a word
 * that is not here yet is RC_CONF, else it answers 451 when it is reached. */
MUST_CHECK enum rc rule_items_compile(TALLOC_CTX *mem, struct conf *conf,
				      const char *parameter, const char *text,
				      int depth, struct rule_items **ret_items,
				      struct fault *fault);
enum rule_result rule_items_run(struct evaluation *ev,
				const struct rule_items *items);

/* Refuse: "code dsn " and the text. warn_if_reject, soft_bounce and
 * defer_if_reject are seen to. */
enum rule_result rule_reject(struct evaluation *ev, int code, const char *dsn,
			     const char *format, ...) PRINTF(4, 5);
/* The same for what warn_if_reject does not hide. */
enum rule_result rule_error(struct evaluation *ev, int code, const char *dsn,
			    const char *format, ...) PRINTF(4, 5);
/* A table or lookup failed: 451 4.3.0 <text>: Temporary lookup failure. */
enum rule_result rule_lookup_failed(struct evaluation *ev, const char *text,
				    const struct fault *fault);
void rule_defer_if_permit(struct evaluation *ev, int code, const char *dsn,
			  const char *format, ...) PRINTF(4, 5);
/* The whole reply, child of ev->mem. */
void rule_defer_if_reject(struct evaluation *ev, const char *text);
void rule_note(struct evaluation *ev, const char *what, const char *format, ...)
	PRINTF(3, 4);

/* "<jo@example.test>" or "<name[addr]>", and "Recipient address". */
const char *rule_subject(struct evaluation *ev, enum rule_class class);
const char *rule_class_name(enum rule_class class);
enum rule_class rule_list_class(enum rule_list list);
const char *rule_list_name(enum rule_list list); /* its parameter */

/* The route of the recipient or sender; NULL: refused already (*ret). */
const struct route *rule_route(struct evaluation *ev, enum rule_class class,
			       enum rule_result *ret);

/* The table is asked about the client, helo, ...; an action is carried out. */
enum rule_result rule_check_access(struct evaluation *ev,
				   const struct rule_item *item);
/* type:table alone: what the list is about. */
enum rule_result rule_check_default(struct evaluation *ev,
				    const struct rule_item *item);
/* May this server pass mail for the recipient on to whom it concerns? */
enum rule_result rule_permit_auth(struct evaluation *ev,
				  const struct rule_item *item);
enum rule_result rule_unlisted_recipient(struct evaluation *ev,
					 const struct rule_item *item);
enum rule_result rule_unlisted_sender(struct evaluation *ev,
				      const struct rule_item *item);

enum rule_result rule_unverified(struct evaluation *ev,
				 const struct rule_item *item);

/* Something that is done once in a question, though the question may be asked
 * several times: the n-th step of each try is the same one. Zeroed at first. */
struct rule_step {
	bool begun, done;
	int count;
	uint64_t until_ms;
	const char *text, *trouble; /* children of the memo */
	void *data; /* the same */
};
struct rule_step *rule_step_take(struct evaluation *ev);
/* RULE_WAIT: ask again at until_ms. Only when ev->request->waiter is there. */
enum rule_result rule_wait_until(struct evaluation *ev, uint64_t until_ms);

/* restriction_memo.c */
struct restriction_memo *restriction_memo_new(TALLOC_CTX *mem);

/* What DNS says. rc is RC_OK, RC_NONE (fault says which) or RC_TEMP; the answer
 * lives as long as the question. */
struct rule_dns {
	enum rc rc;
	const struct dns_answer *answer;
	struct fault fault;
};
/* NULL: not known yet, return RULE_WAIT. */
const struct rule_dns *rule_dns_ask(struct evaluation *ev, const char *name,
				    enum dns_type type);
/* Ask, to hear the answer later. */
void rule_dns_begin(struct evaluation *ev, const char *name,
		    enum dns_type type);
/* Begin what may be asked in all that was not reached yet. */
void rule_look_ahead(struct evaluation *ev);

/* Permits are silent unless smtpd_log_access_permit_actions has the action.
 * source: the table, or NULL. */
void rule_log_permit(struct evaluation *ev, const char *action,
		     enum rule_class class, const char *subject,
		     const char *source);
/* Plain "451 4.3.5 Server configuration error". */
enum rule_result rule_config_error(struct evaluation *ev);
/* Why DNS has no answer, without the question: "Host not found". */
const char *rule_dns_why(const struct rule_dns *dns);

/* Add a text to a list of the state. */
void rule_state_add(struct evaluation *ev, struct restriction_text **list,
		    struct span text);
