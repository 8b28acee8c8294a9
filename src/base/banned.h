/* SPDX-License-Identifier: Apache-2.0 */
/*
 * banned - functions without a limit do not compile. Force-included into every
 * file by the build, after the system headers it names.
 */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef HEADER_WITH_BANNED /* a library's, whose macros use some of them */
#include HEADER_WITH_BANNED
#endif

#pragma GCC poison strcpy strcat sprintf vsprintf strtok atoi atol atof gets
