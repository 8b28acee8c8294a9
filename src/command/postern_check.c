/* SPDX-License-Identifier: Apache-2.0 */
#include <unistd.h>

#include "command/instance.h"
#include "command/postern_priv.h"

int postern_check(struct postern *postern)
{
	bool root = geteuid() == 0;

	return instance_check(postern->conf, root, postern_say, postern) > 0
		       ? 1
		       : 0;
}
