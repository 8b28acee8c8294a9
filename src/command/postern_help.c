/* SPDX-License-Identifier: Apache-2.0 */
#include "command/postern_priv.h"

int postern_help(struct postern *postern)
{
	postern_usage(stdout, postern->program);
	return 0;
}
