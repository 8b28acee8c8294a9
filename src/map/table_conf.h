/* SPDX-License-Identifier: Apache-2.0 */
/*
 * table_conf - read the settings of one table: from the file that its name is
 * ("/..." or "./...": lines as in main.cf, values as they stand), else from
 * main.cf (NAME_hosts = ..., values expanded).
 *
 * Errors   RC_CONF with file, line and setting; RC_OK with a text in *fault: a
 *          setting that no such table has, with the nearest name, or one that
 *          is there twice (the last one counts)
 * Owner    the texts are children of mem
 */
#pragma once

#include "conf/table_param.h"
#include "map/map_priv.h"

/* Fill the struct table_conf_TYPE of the map's type. */
MUST_CHECK enum rc table_conf_load(TALLOC_CTX *mem, const struct map *map,
				   void *ret_values, struct fault *fault);
/* The same from the text of a file. */
MUST_CHECK enum rc table_conf_parse(TALLOC_CTX *mem,
				    const struct table_params *params,
				    struct span text, const char *path,
				    void *ret_values, struct fault *fault);
