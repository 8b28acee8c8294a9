/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crc32c - the checksum of images (Castagnoli polynomial, RFC 3720 B.4). Uses
 * the processor's instruction where the machine it runs on has one.
 *
 * Use      crc = crc32c(0, first); crc = crc32c(crc, next)
 */
#pragma once

#include "base/compiler.h"
#include "base/span.h"

uint32_t crc32c(uint32_t crc, struct span bytes);
/* The same without the instruction; for its test. */
uint32_t crc32c_by_table(uint32_t crc, struct span bytes);
