/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parameter_help - what a parameter of main.cf means, for people and programs.
 *
 * Owner    nothing is kept; texts are constant or the snapshot's
 */
#pragma once

#include <stdio.h>

#include "conf/conf.h"
#include "conf/param.h"

struct parameter_help {
	const char *name;
	enum param_type type;
	const char
		*preset; /* as text in main.cf; "" may be known to the host */
	const char *meaning;
	long min, max;
};

/* A declared name, or "<transport><suffix>". false: neither. */
MUST_CHECK bool parameter_help_find(const char *name,
				    struct parameter_help *ret_help);
struct parameter_help parameter_help_of(const struct param_def *def);
/* The type and range: "number, at least 1". */
void parameter_help_type(const struct parameter_help *help, FILE *to);
/* The default; where only the host knows it, the value of the snapshot, which
 * may be NULL. */
const char *parameter_help_preset(const struct parameter_help *help,
				  const struct conf *conf);
