/* SPDX-License-Identifier: Apache-2.0 */
#include "net/dns.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"

/* A name server that answers from this table. */
struct zone_line {
	const char *name;
	uint16_t type;
	const char *rdata;
	size_t size;
	int rcode; /* -1: no answer at all */
};

#define RDATA(s) (s), sizeof(s) - 1
#define MX_A	 "\0\012\1a\2mx\4test\0"
#define MX_B	 "\0\024\1b\2mx\4test\0"

static const struct zone_line zone[] = {
	{ "two.test", DNS_MX, RDATA(MX_B), 0 },
	{ "two.test", DNS_MX, RDATA(MX_A), 0 },
	{ "null.test", DNS_MX, RDATA("\0\0\0"), 0 },
	{ "bad.test", DNS_MX, RDATA("\0"), 0 },
	{ "a.mx.test", DNS_A, RDATA("\300\0\2\1"), 0 },
	{ "a.mx.test", DNS_AAAA,
	  RDATA("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1"), 0 },
	{ "b.mx.test", DNS_A, RDATA("\300\0\2\2"), 0 },
	{ "alias.test", DNS_CNAME, RDATA("\1b\2mx\4test\0"), 0 },
	{ "text.test", DNS_TXT, RDATA("\5hello\6 world"), 0 },
	{ "_25._tcp.a.mx.test", DNS_TLSA, RDATA("\3\1\1abcd"), 0 },
	{ "4.3.2.10.in-addr.arpa", DNS_PTR, RDATA("\4host\4test\0"), 0 },
	{ "9.0.0.127.in-addr.arpa", DNS_PTR, RDATA("\5local\4test\0"), 0 },
	{ "fail.test", DNS_A, RDATA(""), 2 },
	{ "fail2.test", DNS_A, RDATA(""), 2 },
	{ "silent.test", DNS_A, RDATA(""), -1 },
	{ "half.test", DNS_A, RDATA("\300\0\2\3"), 0 },
	{ "half.test", DNS_AAAA, RDATA(""), 2 },
};

static struct world {
	int fd;
	uint16_t port;
	pthread_t thread;
	atomic_int asked;
	char resolv_conf[64], hosts[64];
	struct dns *dns;
} world;

static void put_u16(struct buf *out, unsigned value)
{
	char bytes[2] = { (char)(value >> 8), (char)value };

	buf_add(out, (struct span){ bytes, 2 });
}

static void put_record(struct buf *out, unsigned type, struct span owner,
		       const char *rdata, size_t size)
{
	buf_add(out, owner);
	put_u16(out, type);
	put_u16(out, 1);
	put_u16(out, 0);
	put_u16(out, 60);
	put_u16(out, (unsigned)size);
	buf_add(out, (struct span){ rdata, size });
}

/* The question's name as text; returns the length of the wire form. */
static size_t question_name(const char *wire, size_t size, char *text)
{
	size_t at = 0, len = 0;

	while (at < size && wire[at] != 0) {
		size_t label = (unsigned char)wire[at];

		if (len > 0)
			text[len++] = '.';
		for (size_t i = 1; i <= label && at + i < size; i++)
			text[len++] = ascii_lower(wire[at + i]);
		at += label + 1;
	}
	text[len] = '\0';
	return at + 1;
}

static void answers_add(struct buf *out, const char *name, unsigned type,
			unsigned *count, int *rcode, bool *known)
{
	for (size_t i = 0; i < ARRAY_LEN(zone); i++) {
		if (strcmp(zone[i].name, name) != 0)
			continue;
		*known = true;
		if (zone[i].type == DNS_CNAME && type != DNS_CNAME) {
			put_record(out, DNS_CNAME, SPAN_OF("\300\014"),
				   zone[i].rdata, zone[i].size);
			(*count)++;
			put_record(out, DNS_A,
				   (struct span){ zone[i].rdata, zone[i].size },
				   "\300\0\2\2", 4);
			(*count)++;
		} else if (zone[i].type == type) {
			*rcode = zone[i].rcode;
			if (zone[i].rcode != 0)
				return;
			put_record(out, type, SPAN_OF("\300\014"),
				   zone[i].rdata, zone[i].size);
			(*count)++;
		}
	}
}

/* false: keep silent. */
static bool reply_make(struct buf *out, const char *query, size_t size)
{
	static const char soa[] =
		"\0\0\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1";
	char name[256];
	size_t name_size = question_name(query + 12, size - 12, name);
	unsigned type = (unsigned char)query[12 + name_size + 1];
	unsigned count = 0;
	bool known = false;
	struct buf answers;
	int rcode = 0;

	buf_init(&answers, out->mem, 4096);
	answers_add(&answers, name, type, &count, &rcode, &known);
	if (rcode < 0)
		return false;
	if (!known)
		rcode = 3;
	buf_add(out, (struct span){ query, 2 });
	put_u16(out, 0x8180u | (unsigned)rcode);
	put_u16(out, 1);
	put_u16(out, count);
	put_u16(out, count == 0);
	put_u16(out, 0);
	buf_add(out, (struct span){ query + 12, name_size + 4 });
	buf_add(out, buf_span(&answers));
	if (count == 0)
		put_record(out, DNS_SOA, SPAN_OF("\4test\0"), soa,
			   sizeof(soa) - 1);
	return true;
}

static void *server_main(void *arg)
{
	for (;;) {
		SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
		struct net_address peer;
		socklen_t peer_size = sizeof(peer);
		char query[512];
		ssize_t size = recvfrom(world.fd, query, sizeof(query), 0,
					&peer.sa, &peer_size);
		struct buf out;

		if (size <= 16)
			return NULL;
		atomic_fetch_add(&world.asked, 1);
		buf_init(&out, tmp, 4096);
		if (reply_make(&out, query, (size_t)size))
			sendto(world.fd, out.data, out.len, 0, &peer.sa,
			       peer_size);
	}
}

static void file_make(char path[64], const char *text)
{
	int fd;

	snprintf(path, 64, "/tmp/postern-test-dns-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static int setup(void **state)
{
	struct dns_config config = { .timeout_ms = 3000 };
	struct net_address address;
	char text[64];

	assert_true(net_address_parse(SPAN_OF("127.0.0.1"), &address));
	world.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(
		bind(world.fd, &address.sa, net_address_size(&address)), 0);
	assert_true(net_address_local(world.fd, &address));
	world.port = net_address_port(&address);
	snprintf(text, sizeof(text), "# c\nnameserver 127.0.0.1@%u\n",
		 world.port);
	file_make(world.resolv_conf, text);
	file_make(world.hosts, "127.0.0.1 localhost # loop\n"
			       "192.0.2.7\tSeven.test seven\n"
			       "2001:db8::7 seven.test\n"
			       "192.0.2.7 later.test\nrubbish\n");
	config.resolv_conf_path = world.resolv_conf;
	config.hosts_path = world.hosts;
	assert_int_equal(pthread_create(&world.thread, NULL, server_main, NULL),
			 0);
	return dns_open(NULL, &config, &world.dns, NULL) == RC_OK ? 0 : -1;
}

static int teardown(void **state)
{
	struct net_address self;

	talloc_free(world.dns);
	assert_true(net_address_local(world.fd, &self));
	sendto(world.fd, "x", 1, 0, &self.sa, net_address_size(&self));
	pthread_join(world.thread, NULL);
	close(world.fd);
	unlink(world.resolv_conf);
	unlink(world.hosts);
	return 0;
}

static void hosts_and_numbers_never_leave_the_process(void **state)
{
	static const struct {
		const char *why, *name;
		int families;
		enum rc rc;
		size_t count;
		const char *canonical, *first;
	} cases[] = {
		{ "a number", "192.0.2.9", DNS_BOTH, RC_OK, 1, "192.0.2.9",
		  "192.0.2.9" },
		{ "of the wrong family", "192.0.2.9", DNS_IPV6, RC_NONE, 0,
		  NULL, NULL },
		{ "two families", "seven.test", DNS_BOTH, RC_OK, 2,
		  "Seven.test", "192.0.2.7" },
		{ "case and a final dot", "SEVEN.test.", DNS_IPV6, RC_OK, 1,
		  "seven.test", "2001:db8::7" },
		{ "an alias", "seven", DNS_BOTH, RC_OK, 1, "Seven.test",
		  "192.0.2.7" },
		{ "localhost", "localhost", DNS_IPV4, RC_OK, 1, "localhost",
		  "127.0.0.1" },
		{ "localhost though not in the file", "localhost", DNS_IPV6,
		  RC_OK, 1, "localhost", "::1" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
		char text[NET_ADDRESS_TEXT_MAX];
		struct dns_host *host;
		struct fault fault;

		print_message("  %s\n", cases[i].why);
		assert_int_equal(
			dns_host_addresses(tmp, world.dns, cases[i].name,
					   cases[i].families, &host, &fault),
			cases[i].rc);
		if (cases[i].rc != RC_OK)
			continue;
		assert_int_equal(host->count, cases[i].count);
		assert_string_equal(net_address_text(&host->addresses[0], text),
				    cases[i].first);
		if (cases[i].families != DNS_IPV6)
			assert_string_equal(host->name, cases[i].canonical);
	}
	assert_int_equal(atomic_load(&world.asked), 0);
}

static void an_address_has_the_first_name_of_the_file(void **state)
{
	static const char *const cases[][2] = {
		{ "192.0.2.7", "Seven.test" }, { "2001:db8::7", "seven.test" },
		{ "127.0.0.1", "localhost" },  { "::1", "localhost" },
		{ "10.2.3.4", "host.test" },   /* DNS, a private zone */
		{ "127.0.0.9", "local.test" }, /* DNS, though loopback */
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
		struct net_address address;
		struct fault fault = { 0 };
		const char *name;

		print_message("  %s\n", cases[i][0]);
		assert_true(
			net_address_parse(span_from(cases[i][0]), &address));
		assert_int_equal(dns_address_name(tmp, world.dns, &address,
						  &name, &fault),
				 RC_OK);
		assert_string_equal(name, cases[i][1]);
	}
}

static void a_changed_hosts_file_is_read_again(void **state)
{
	struct timespec times[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct dns_host *host;
	int fd = open(world.hosts, O_WRONLY | O_APPEND);

	assert_int_equal(write(fd, "192.0.2.8 new.test\n", 19), 19);
	futimens(fd, times);
	close(fd);
	for (int i = 0; i < 300; i++) {
		if (dns_host_addresses(tmp, world.dns, "new.test", DNS_IPV4,
				       &host, NULL) == RC_OK)
			return;
		usleep(10 * 1000);
	}
	fail_msg("new.test was never seen");
}

static void records_come_as_the_zone_has_them(void **state)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct dns_answer *answer;
	struct fault fault = { 0 };

	assert_int_equal(
		dns_query(tmp, world.dns, "two.test", DNS_MX, &answer, &fault),
		RC_OK);
	assert_int_equal(answer->count, 2);
	for (size_t i = 0; i < 2; i++) {
		bool is_a = answer->records[i].preference == 10;

		assert_string_equal(answer->records[i].name,
				    is_a ? "a.mx.test" : "b.mx.test");
		assert_int_equal(answer->records[i].ttl_s, 60);
	}
	assert_int_equal(
		dns_query(tmp, world.dns, "null.test", DNS_MX, &answer, &fault),
		RC_OK);
	assert_string_equal(answer->records[0].name, "");
	assert_int_equal(dns_query(tmp, world.dns, "text.test", DNS_TXT,
				   &answer, &fault),
			 RC_OK);
	assert_true(span_is(answer->records[0].data, "hello world"));
	assert_int_equal(dns_query(tmp, world.dns, "_25._tcp.a.mx.test",
				   DNS_TLSA, &answer, &fault),
			 RC_OK);
	assert_int_equal(answer->records[0].data.len, 7);
	assert_int_equal(
		dns_query(tmp, world.dns, "alias.test", DNS_A, &answer, &fault),
		RC_OK);
	assert_string_equal(answer->name, "b.mx.test");
}

static void none_and_not_now_are_kept_apart(void **state)
{
	static const struct {
		const char *why, *name;
		enum dns_type type;
		enum rc rc;
		enum dns_outcome outcome;
		const char *text;
	} cases[] = {
		{ "no such name", "none.test", DNS_A, RC_NONE, DNS_NO_NAME,
		  "Host or domain name not found. Name service error for "
		  "name=none.test type=A: Host not found" },
		{ "no such record", "two.test", DNS_A, RC_NONE, DNS_NO_DATA,
		  "Host or domain name not found. Name service error for "
		  "name=two.test type=A: Host found but no data record of "
		  "requested type" },
		{ "the server fails", "fail.test", DNS_A, RC_TEMP, 0,
		  "Host or domain name not found. Name service error for "
		  "name=fail.test type=A: Host not found, try again" },
		{ "the server is silent", "silent.test", DNS_A, RC_TEMP, 0,
		  "Host or domain name not found. Name service error for "
		  "name=silent.test type=A: Host not found, try again" },
		{ "the record is rubbish", "bad.test", DNS_MX, RC_TEMP, 0,
		  NULL },
		{ "a label that is too long",
		  "a234567890123456789012345678901234567890123456789012345678"
		  "901234.test",
		  DNS_A, RC_NONE, DNS_NO_NAME, NULL },
		{ "an empty label", "a..test", DNS_A, RC_NONE, DNS_NO_NAME,
		  NULL },
		{ "no name", "", DNS_A, RC_NONE, DNS_NO_NAME, NULL },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
		struct dns_answer *answer;
		struct fault fault = { 0 };

		print_message("  %s\n", cases[i].why);
		assert_int_equal(dns_query(tmp, world.dns, cases[i].name,
					   cases[i].type, &answer, &fault),
				 cases[i].rc);
		if (cases[i].rc == RC_NONE)
			assert_int_equal(answer->outcome, cases[i].outcome);
		if (cases[i].text != NULL)
			assert_string_equal(fault.text, cases[i].text);
	}
}

static void one_family_is_enough_when_the_other_fails(void **state)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct dns_host *host;
	struct fault fault;

	assert_int_equal(dns_host_addresses(tmp, world.dns, "half.test",
					    DNS_BOTH, &host, &fault),
			 RC_OK);
	assert_int_equal(host->count, 1);
	assert_int_equal(dns_host_addresses(tmp, world.dns, "a.mx.test",
					    DNS_BOTH, &host, &fault),
			 RC_OK);
	assert_int_equal(host->count, 2);
	assert_int_equal(dns_host_addresses(tmp, world.dns, "none.test",
					    DNS_BOTH, &host, &fault),
			 RC_NONE);
	assert_int_equal(dns_host_addresses(tmp, world.dns, "fail.test",
					    DNS_IPV4, &host, &fault),
			 RC_TEMP);
}

static void an_answer_is_asked_for_once(void **state)
{
	static const struct {
		const char *name;
		enum dns_type type;
		enum rc rc;
		int more; /* questions the server gets the second time */
	} cases[] = {
		{ "b.mx.test", DNS_A, RC_OK, 0 },
		{ "B.mx.TEST", DNS_A, RC_OK, 0 },
		{ "two.test", DNS_MX, RC_OK, 0 },
		{ "none.test", DNS_A, RC_NONE, 0 },
		{ "two.test", DNS_A, RC_NONE, 0 },
		{ "fail2.test", DNS_A, RC_TEMP, 1 },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
		struct dns_answer *first = NULL, *second = NULL;
		struct fault fault;
		int asked;

		print_message("  %s\n", cases[i].name);
		assert_int_equal(dns_query(tmp, world.dns, cases[i].name,
					   cases[i].type, &first, &fault),
				 cases[i].rc);
		asked = atomic_load(&world.asked);
		assert_int_equal(dns_query(tmp, world.dns, cases[i].name,
					   cases[i].type, &second, &fault),
				 cases[i].rc);
		if (cases[i].more == 0)
			assert_int_equal(atomic_load(&world.asked), asked);
		if (first == NULL)
			continue;
		assert_int_equal(second->count, first->count);
		assert_int_equal(second->outcome, first->outcome);
		for (size_t n = 0; n < first->count; n++)
			if (first->records[n].name != NULL)
				assert_string_equal(second->records[n].name,
						    first->records[n].name);
	}
}

static int confined_run(void)
{
	struct dns_config config = { .timeout_ms = 3000,
				     .resolv_conf_path = world.resolv_conf,
				     .hosts_path = world.hosts };
	struct dns_answer *answer;
	struct dns_host *host;
	struct dns *dns;

	if (dns_open(NULL, &config, &dns, NULL) != RC_OK)
		return 1;
	if (chroot("/proc/self/fdinfo") != 0) /* as good as empty */
		return 2;
	if (dns_host_addresses(dns, dns, "seven.test", DNS_BOTH, &host, NULL) !=
	    RC_OK)
		return 3;
	if (dns_query(dns, dns, "two.test", DNS_MX, &answer, NULL) != RC_OK)
		return 4;
	talloc_free(dns);
	return 0;
}

static void it_works_after_a_chroot(void **state)
{
	int status;
	pid_t pid;

#ifdef __SANITIZE_THREAD__
	skip(); /* it allows no threads after this fork */
#endif
	if (geteuid() != 0)
		skip();
	pid = fork();
	if (pid == 0)
		_exit(confined_run());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void *asker_main(void *arg)
{
	for (int i = 0; i < 50; i++) {
		SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
		struct dns_answer *answer;

		assert_int_equal(dns_query(tmp, world.dns,
					   i % 2 ? "a.mx.test" : "b.mx.test",
					   DNS_A, &answer, NULL),
				 RC_OK);
		assert_int_equal(answer->count, 1);
	}
	return NULL;
}

static void threads_share_a_resolver(void **state)
{
	pthread_t threads[8];

	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, asker_main, NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		pthread_join(threads[i], NULL);
}

static void validation_begins_at_an_anchor(void **state)
{
	SCRATCH TALLOC_CTX *tmp = talloc_new(NULL);
	struct dns_config config = { .timeout_ms = 3000,
				     .dnssec = true,
				     .resolv_conf_path = world.resolv_conf,
				     .trust_anchor_path = "/nonexistent" };
	struct dns_answer *answer;
	struct fault fault = { 0 };
	struct dns *dns;
	char path[64];

	assert_int_equal(dns_open(tmp, &config, &dns, &fault), RC_CONF);
	assert_string_equal(fault.text, "DNSSEC needs the root trust anchor "
					"/nonexistent (dns-root-data)");
	/* Of a zone that has an anchor, an answer without a signature is no
	 * answer; of one that has none, it is not secure. */
	file_make(path, "; an anchor\n"
			"two.test. IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C"
			"65D08458E880409BBC683457104237C7F8EC8D ; old\n");
	config.trust_anchor_path = path;
	assert_int_equal(dns_open(tmp, &config, &dns, &fault), RC_OK);
	assert_int_equal(
		dns_query(tmp, dns, "two.test", DNS_MX, &answer, &fault),
		RC_TEMP);
	assert_int_equal(
		dns_query(tmp, dns, "a.mx.test", DNS_A, &answer, &fault),
		RC_OK);
	assert_false(answer->secure);
	unlink(path);
}

static void a_host_name_has_sound_labels(void **state)
{
	static const struct {
		const char *name;
		bool valid;
	} cases[] = {
		{ "a", true },
		{ "mx.example.test", true },
		{ "mx.example.test.", true },
		{ "under_score.test", true },
		{ "3com.test", true },
		{ "", false },
		{ ".", false },
		{ "a..b", false },
		{ "-a.test", false },
		{ "a-.test", false },
		{ "1.2.3.4", false },
		{ "sp ace.test", false },
		{ "a\\.test", false },
		{ ".a", false },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		print_message("  \"%s\"\n", cases[i].name);
		assert_int_equal(dns_name_is_valid(span_from(cases[i].name)),
				 cases[i].valid);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hosts_and_numbers_never_leave_the_process),
		cmocka_unit_test(an_address_has_the_first_name_of_the_file),
		cmocka_unit_test(a_changed_hosts_file_is_read_again),
		cmocka_unit_test(records_come_as_the_zone_has_them),
		cmocka_unit_test(none_and_not_now_are_kept_apart),
		cmocka_unit_test(one_family_is_enough_when_the_other_fails),
		cmocka_unit_test(an_answer_is_asked_for_once),
		cmocka_unit_test(it_works_after_a_chroot),
		cmocka_unit_test(threads_share_a_resolver),
		cmocka_unit_test(validation_begins_at_an_anchor),
		cmocka_unit_test(a_host_name_has_sound_labels),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
