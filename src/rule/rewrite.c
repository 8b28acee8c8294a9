/* SPDX-License-Identifier: Apache-2.0 */
#include "rule/rewrite.h"

#include "rule/rule_priv.h"

/* "@a,@b:user@c" is user@c; the route itself is not used. */
static struct span route_strip(struct span address)
{
	ssize_t colon;

	if (address.len == 0 || address.ptr[0] != '@')
		return address;
	colon = span_find(address, ':');
	return colon < 0 ? address : span_skip(address, (size_t)colon + 1);
}

/* site!user is user@site: the first site is the next one. */
static bool bang_swap(struct span address, struct buf *out)
{
	ssize_t bang = span_find(address, '!');

	if (bang < 0)
		return false;
	buf_add(out, span_skip(address, (size_t)bang + 1));
	buf_add_char(out, '@');
	buf_add(out, span_take(address, (size_t)bang));
	return true;
}

static bool percent_swap(struct span address, struct buf *out)
{
	ssize_t percent = span_rfind(address, '%');

	if (percent < 0)
		return false;
	buf_add(out, span_take(address, (size_t)percent));
	buf_add_char(out, '@');
	buf_add(out, span_skip(address, (size_t)percent + 1));
	return true;
}

bool rewrite_route_address(const struct conf *conf, struct span address,
			   struct buf *out)
{
	if (conf->v.swap_bangpath && bang_swap(address, out))
		return true;
	return conf->v.allow_percent_hack && percent_swap(address, out);
}

static void domain_complete(struct buf *out, const char *parent)
{
	struct span text = buf_span(out);
	ssize_t at = span_rfind(text, '@');
	struct span domain;

	if (at < 0)
		return;
	domain = span_skip(text, (size_t)at + 1);
	if (domain.len == 0 || domain.ptr[0] == '[')
		return;
	if (span_find(domain, '.') < 0) {
		if (parent[0] == '\0')
			return;
		buf_add_char(out, '.');
		buf_add_text(out, parent);
	} else if (domain.len > 1 && span_ends(domain, ".") &&
		   !span_ends(domain, "..")) {
		out->len--;
		out->data[out->len] = '\0';
	}
}

char *rewrite_address(TALLOC_CTX *mem, const struct conf *conf,
		      enum rewrite_context context, struct span address)
{
	bool local = context == REWRITE_LOCAL;
	const char *origin = local ? conf->v.myorigin
				   : conf->v.remote_header_rewrite_domain;
	const char *parent = local ? conf->v.mydomain : origin;
	struct buf out;

	if (address.len == 0)
		return mem_strdup(mem, "");
	buf_init(&out, mem, address.len + strlen(origin) + strlen(parent) + 4);
	address = route_strip(address);
	if (span_is(address, "@"))
		return mem_strdup(mem, "");
	if (span_rfind(address, '@') >= 0 ||
	    !rewrite_route_address(conf, address, &out))
		buf_add(&out, address);
	if (out.len > 0 && span_rfind(buf_span(&out), '@') < 0 &&
	    conf->v.append_at_myorigin && origin[0] != '\0') {
		buf_add_char(&out, '@');
		buf_add_text(&out, origin);
	}
	domain_complete(&out, conf->v.append_dot_mydomain ? parent : "");
	return out.data == NULL ? mem_strdup(mem, "") : out.data;
}
