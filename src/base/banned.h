/* SPDX-License-Identifier: Apache-2.0 */
/*
 * banned - functions without a limit do not compile. Force-included into every
 * file by the build, after the system headers it names.
 */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#pragma GCC poison strcpy strcat sprintf vsprintf strtok atoi atol atof gets
