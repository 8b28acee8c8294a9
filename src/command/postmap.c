/* SPDX-License-Identifier: Apache-2.0 */
#include "command/table_command.h"

static const char help[] =
	"  Make, query and change lookup tables.\n"
	"  file        make the table anew from the lines of file\n"
	"  -q KEY      print what the table answers (KEY -: keys from input)\n"
	"  -d KEY      remove a key (KEY -: keys from input)\n"
	"  -s          print all keys and values\n"
	"  -h, -b      with -q -: the input is a message, its headers, its body\n"
	"              lines are keys; -m: of its MIME parts, too\n"
	"  -j          with -q and -s: JSON, one object a line\n"
	"  -i          add lines from standard input to the table\n"
	"  -r          a key that is there gets the new value\n"
	"  -w          do not warn about duplicate keys\n"
	"  -f          keep capitals in keys\n"
	"  -F          values are files, kept as base64\n"
	"  -N, -n      end keys and values with NUL, or not\n"
	"  -o          root stays root, not the owner of file\n"
	"  -p          do not take the mode of file\n"
	"  -u, -U      never, or always, demand UTF-8\n"
	"  -c DIR      configuration directory\n";

int main(int argc, char **argv)
{
	static const struct table_command command = {
		.program = "postmap",
		.letters = "bc:d:fFhijmnNopq:rsuUvw",
		.usage = "postmap [-bfFhijmnNoprsuUvw] [-c config_dir] [-d key] "
			 "[-q key] [map_type:]file...",
		.help = help,
		.separator = "\t",
		.build = map_build,
	};

	return table_command_run(&command, argc, argv);
}
