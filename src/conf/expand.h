/* SPDX-License-Identifier: Apache-2.0 */
/*
 * expand - $names in a configuration text.
 *
 * Shape    $name ${name} $(name)      the value, "" when there is none
 *          ${name?text} ${name?{text}}      text when the value is not empty
 *          ${name:text} ${name:{text}}      text when it is empty
 *          ${name?{text}:{text}}            one or the other
 *          ${{text} op {text}?{text}:{text}} op: == != < <= > >= and each of
 *                                           them with "level" after it
 *          ${domain_to_ascii{text}}         the A-label form of a domain
 *          $$                               one dollar sign
 * Units    at most EXPAND_MAX_BYTES of result, EXPAND_MAX_DEPTH levels
 * Errors   RC_CONF
 */
#pragma once

#include "base/buf.h"
#include "base/fault.h"

enum { EXPAND_MAX_BYTES = 1 << 20, EXPAND_MAX_DEPTH = 100 };

struct expand {
	/* The expanded value of a name: RC_OK, RC_NONE when there is no such
	 * name, RC_CONF. *ret_value may be an empty text. */
	enum rc (*value)(void *arg, struct span name, int depth,
			 struct span *ret_value, struct fault *fault);
	void *arg;
};

MUST_CHECK enum rc expand_text(const struct expand *expand, struct span text,
			       int depth, struct buf *out, struct fault *fault);
/* Call `see` with every name that a text refers to, in any branch. Stops
 * quietly at a syntax error. */
void expand_names(struct span text, void (*see)(void *arg, struct span name),
		  void *arg);
