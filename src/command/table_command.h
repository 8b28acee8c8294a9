/* SPDX-License-Identifier: Apache-2.0 */
/*
 * table_command - what postmap and postalias have in common: options, queries,
 * deletions, listings.
 *
 * Exit  0 done, or found; 1 not found, or an error that was printed
 */
#pragma once

#include "map/map_build.h"

struct table_command {
	const char *program; /* "postmap" */
	const char *letters; /* for getopt */
	const char *usage, *help;
	const char *separator; /* between key and value */
	enum rc (*build)(const struct conf *conf, struct span type_and_name,
			 const struct map_build_options *options,
			 struct fault *fault);
};

int table_command_run(const struct table_command *command, int argc,
		      char **argv);
