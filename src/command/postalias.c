/* SPDX-License-Identifier: Apache-2.0 */
#include "command/table_command.h"
#include "mail/alias_build.h"

static const char help[] =
	"  Make, query and change alias tables.\n"
	"  file        make the table anew from the aliases in file\n"
	"  -q KEY      print what the table answers (KEY -: keys from input)\n"
	"  -d KEY      remove a name (KEY -: names from input)\n"
	"  -s          print all names and values\n"
	"  -j          with -q and -s: JSON, one object a line\n"
	"  -i          add aliases from standard input to the table\n"
	"  -r          a name that is there gets the new value\n"
	"  -w          do not warn about duplicate names\n"
	"  -f          keep capitals in names\n"
	"  -N, -n      end keys and values with NUL, or not\n"
	"  -o          root stays root, not the owner of file\n"
	"  -p          do not take the mode of file\n"
	"  -u          do not demand UTF-8\n"
	"  -c DIR      configuration directory\n";

int main(int argc, char **argv)
{
	static const struct table_command command = {
		.program = "postalias",
		.letters = "c:d:fijnNopq:rsuvw",
		.usage = "postalias [-fijnNoprsuvw] [-c config_dir] [-d key] "
			 "[-q key] [map_type:]file...",
		.help = help,
		.separator = ":\t",
		.build = alias_build,
	};

	return table_command_run(&command, argc, argv);
}
