/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alias_build - make lookup tables from alias files: what postalias and
 * newaliases do.
 *
 * Errors   RC_CONF with table, file and line; bad or duplicate lines are
 *          reported as warnings and skipped
 * Threads  none of its own; takes the tables' locks
 */
#pragma once

#include "map/map_build.h"

/* "hash:/etc/aliases": read /etc/aliases, make /etc/aliases.db. */
MUST_CHECK enum rc alias_build(const struct conf *conf,
			       struct span type_and_name,
			       const struct map_build_options *options,
			       struct fault *fault);
/* newaliases: each table of alias_database, with the options of newaliases.
 * A table that fails does not keep the others from being made; the first fault
 * is returned. */
MUST_CHECK enum rc alias_build_all(const struct conf *conf,
				   map_build_warn_fn *warn, void *warn_arg,
				   struct fault *fault);
