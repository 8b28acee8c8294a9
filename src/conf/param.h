/* SPDX-License-Identifier: Apache-2.0 */
/*
 * param - the table of declared parameters, made from conf/param/all.def and
 * conf/param/transport.def. All of it is constant.
 */
#pragma once

#include "base/span.h"

enum param_type {
	PARAM_STRING,
	PARAM_RAW,
	PARAM_BOOL,
	PARAM_INT,
	PARAM_LONG,
	PARAM_TIME,
};

struct param_def {
	const char *name; /* as in main.cf */
	enum param_type type;
	const char *preset; /* the default, as text in main.cf */
	long min, max;	    /* 0: none */
	const char *meaning;
	size_t offset; /* in struct conf_values */
};

/* "<transport><suffix>", for every transport of master.cf. */
struct param_transport_def {
	const char *suffix;
	enum param_type type;
	const char *preset;
	const char *meaning;
};

size_t param_count(void);
const struct param_def *param_at(size_t index);
size_t param_transport_count(void);
const struct param_transport_def *param_transport_at(size_t index);
/* The suffix that `name` ends with, when something comes before it. */
const struct param_transport_def *param_transport_find(struct span name);
/* Why a declared parameter does nothing here; NULL when it does something. */
extern const char param_not_implemented[];
const char *param_no_effect(const char *name);
/* What to set instead of a name that will go; "" when the default is best,
 * NULL when the name stays. */
const char *param_deprecated(struct span name);
