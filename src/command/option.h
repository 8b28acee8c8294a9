/* SPDX-License-Identifier: Apache-2.0 */
/* option - values of options; what is wrong ends the command with one line. */
#pragma once

#include "base/compiler.h"

/* "postern tls-probe: --port: a number from 1 to 65535, not "x"", exit 1. */
int option_number(const char *command, const char *option, const char *text,
		  int min, int max);
