/* SPDX-License-Identifier: Apache-2.0 */
/*
 * place - where a message image is: in a segment of the intake journal, or in
 * a file of its own.
 */
#pragma once

#include "base/compiler.h"

enum { WRITER_NAME_MAX_BYTES = 64 };

struct place {
	bool in_file;	     /* queue/<2 chars>/<id>; offset is 0 */
	char writer[WRITER_NAME_MAX_BYTES]; /* "smtpd-smtp", with in_journal */
	uint32_t segment;    /* journal/<writer>.<segment> */
	uint64_t generation; /* of the segment, so a recycled one is not taken;
			      * or of the file */
	uint64_t offset;     /* of the image, bytes */
	uint64_t length;     /* of the whole image, bytes */
	/* A file the intake made: the record that refers to it is in journal/
	 * <writer>.<segment> with this generation and offset; 0 otherwise. */
	uint64_t record_generation, record_offset;
};
