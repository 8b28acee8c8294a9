/* SPDX-License-Identifier: Apache-2.0 */
#include "../cmocka_all.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "net/tls_chain.h"
#include "net/tls_key.h"
#include "sys/files.h"

static const char *const names[] = { "mx.example.test", "mail.example.test" };

struct place {
	char directory[64], key[96], cert[96];
};

static void place_make(struct place *place)
{
	snprintf(place->directory, sizeof(place->directory),
		 "/tmp/test_tls_key.XXXXXX");
	assert_non_null(mkdtemp(place->directory));
	snprintf(place->key, sizeof(place->key), "%s/key.pem",
		 place->directory);
	snprintf(place->cert, sizeof(place->cert), "%s/cert.pem",
		 place->directory);
}

static void place_remove(const struct place *place)
{
	unlink(place->key);
	unlink(place->cert);
	rmdir(place->directory);
}

static void a_key_and_its_certificate_are_read_back(void **state)
{
	static const struct {
		enum tls_key_kind kind;
		const char *size, *key_type;
	} cases[] = {
		{ TLS_KEY_RSA, NULL, "RSA 2048" },
		{ TLS_KEY_RSA, "3072", "RSA 3072" },
		{ TLS_KEY_ECDSA, NULL, "ECDSA prime256v1" },
		{ TLS_KEY_ECDSA, "secp384r1", "ECDSA secp384r1" },
		{ TLS_KEY_ED25519, NULL, "ED25519" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
		struct tls_certificate *chain;
		struct tls_key *key, *again;
		struct fault fault;
		struct place place;
		struct stat st;
		size_t count;

		print_message("  %s\n", cases[i].key_type);
		place_make(&place);
		assert_int_equal(tls_key_make(tmp, cases[i].kind, cases[i].size,
					      &key, &fault),
				 RC_OK);
		assert_int_equal(tls_key_write(key, place.key, &fault), RC_OK);
		assert_int_equal(stat(place.key, &st), 0);
		assert_int_equal(st.st_mode & 0777, 0600);
		assert_int_equal(
			tls_key_self_sign(key, names, 2, place.cert, &fault),
			RC_OK);
		assert_int_equal(tls_key_read(tmp, place.key, &again, &fault),
				 RC_OK);
		assert_int_equal(tls_key_kind(again), cases[i].kind);
		assert_int_equal(tls_key_fits(again, place.cert, &fault),
				 RC_OK);
		assert_int_equal(
			tls_chain_file(tmp, place.cert, &chain, &count, &fault),
			RC_OK);
		assert_int_equal(count, 1);
		assert_string_equal(chain[0].key_type, cases[i].key_type);
		assert_string_equal(chain[0].subject, "/CN=mx.example.test");
		assert_string_equal(chain[0].issuer_cn, "mx.example.test");
		assert_int_equal(chain[0].name_count, 2);
		assert_string_equal(chain[0].names[1], "mail.example.test");
		assert_true(chain[0].not_before_s <= (int64_t)time(NULL));
		assert_true(chain[0].not_after_s >
			    chain[0].not_before_s + 99LL * 365 * 86400);
		assert_true(tls_certificate_has_name(&chain[0],
						     "MAIL.example.test"));
		assert_false(tls_certificate_has_name(&chain[0],
						      "other.example.test"));
		place_remove(&place);
	}
}

static void the_record_for_dns_is_the_digest_of_the_key(void **state)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct tls_certificate *chain;
	struct tls_key *key;
	struct fault fault;
	struct place place;
	size_t count;
	char *hex;

	place_make(&place);
	assert_int_equal(tls_key_make(tmp, TLS_KEY_ECDSA, NULL, &key, &fault),
			 RC_OK);
	assert_int_equal(tls_key_self_sign(key, names, 1, place.cert, &fault),
			 RC_OK);
	assert_int_equal(
		tls_chain_file(tmp, place.cert, &chain, &count, &fault), RC_OK);
	assert_int_equal(tls_key_tlsa(tmp, key, &hex, &fault), RC_OK);
	assert_int_equal(strlen(hex), 64);
	for (size_t i = 0; i < 32; i++)
		assert_true(strncasecmp(hex + 2 * i,
					chain[0].key_sha256 + 3 * i, 2) == 0);
	place_remove(&place);
}

static void mistakes_are_told_with_their_place(void **state)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct tls_key *one, *two;
	struct fault fault;
	struct place place;

	place_make(&place);
	assert_int_equal(tls_key_make(tmp, TLS_KEY_RSA, "1024", &one, &fault),
			 RC_CONF);
	assert_string_equal(fault.text,
			    "RSA keys have 2048 to 8192 bits, not \"1024\"");
	assert_int_equal(
		tls_key_make(tmp, TLS_KEY_ECDSA, "nocurve", &one, &fault),
		RC_CONF);
	assert_int_equal(tls_key_read(tmp, place.key, &one, &fault), RC_CONF);
	assert_non_null(strstr(fault.text, place.key));
	assert_int_equal(tls_key_make(tmp, TLS_KEY_ECDSA, NULL, &one, &fault),
			 RC_OK);
	assert_int_equal(tls_key_make(tmp, TLS_KEY_ECDSA, NULL, &two, &fault),
			 RC_OK);
	assert_int_equal(tls_key_self_sign(one, names, 1, place.cert, &fault),
			 RC_OK);
	assert_int_equal(tls_key_fits(two, place.cert, &fault), RC_CONF);
	assert_non_null(strstr(fault.text, "is not for the private key"));
	assert_int_equal(tls_key_write(two, place.cert, &fault), RC_CONF);
	assert_non_null(strstr(fault.text, "File exists"));
	place_remove(&place);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_key_and_its_certificate_are_read_back),
		cmocka_unit_test(the_record_for_dns_is_the_digest_of_the_key),
		cmocka_unit_test(mistakes_are_told_with_their_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
