/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * fuzz_address.c - addresses in words and in bytes, and how a channel shows them.
 *
 * bind(), connect(), sendto() and getaddrinfo() are replaced here, so nothing is looked up by
 * name and no packet is sent; the replacements remember what they were given.  That is
 * compared with what inet_pton() makes of the same words, with asyncore_addr(), and the
 * repr with one that is put together here.
 */

#include "fuzz.h"

#include <asyncore.h>

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

/* --- what the kernel is asked ------------------------------------------------------- */

static struct {
	unsigned calls;
	struct sockaddr_storage addr;
	socklen_t len;
	int error;	/* what the next one says */
} kernel;

static int asked(const struct sockaddr *addr, socklen_t len)
{
	must(addr != NULL && len >= sizeof addr->sa_family && len <= sizeof kernel.addr);
	kernel.calls++;
	memset(&kernel.addr, 0, sizeof kernel.addr);
	memcpy(&kernel.addr, addr, len);
	kernel.len = len;
	errno = kernel.error;
	return kernel.error != 0 ? -1 : 0;
}

int bind(int fd, __CONST_SOCKADDR_ARG addr, socklen_t len)
{
	(void)fd;
	return asked(addr.__sockaddr__, len);
}

int connect(int fd, __CONST_SOCKADDR_ARG addr, socklen_t len)
{
	(void)fd;
	return asked(addr.__sockaddr__, len);
}

ssize_t sendto(int fd, const void *data, size_t n, int flags, __CONST_SOCKADDR_ARG addr,
	       socklen_t len)
{
	(void)fd, (void)data, (void)flags;
	return asked(addr.__sockaddr__, len) < 0 ? -1 : (ssize_t)n;
}

int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
		struct addrinfo **found)
{
	static int (*real)(const char *, const char *, const struct addrinfo *,
			   struct addrinfo **);
	struct addrinfo numeric = *hints;

	if (real == NULL)
		*(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
	must(real != NULL);
	numeric.ai_flags |= AI_NUMERICHOST | AI_NUMERICSERV;
	return real(host, service, &numeric, found);
}

/* --- the repr, put together here ---------------------------------------------------- */

static size_t show_byte(char *to, unsigned char byte, char quote)
{
	static const char hex[] = "0123456789abcdef";

	to[0] = '\\';
	if (byte == '\t' || byte == '\n' || byte == '\r') {
		to[1] = byte == '\t' ? 't' : byte == '\n' ? 'n' : 'r';
		return 2;
	}
	if (byte == '\\' || byte == quote) {
		to[1] = (char)byte;
		return 2;
	}
	if (byte < 32 || byte > 126) {
		to[1] = 'x';
		to[2] = hex[byte >> 4];
		to[3] = hex[byte & 15];
		return 4;
	}
	to[0] = (char)byte;
	return 1;
}

static void show_path(char *to, const unsigned char *path, size_t len)
{
	char quote = '\'';
	size_t i;

	if (len > 0 && path[0] != 0)
		for (i = 0; i < len; i++)
			if (path[i] == 0)
				len = i;
	if (len > 0 && memchr(path, '\'', len) != NULL && memchr(path, '"', len) == NULL)
		quote = '"';
	*to++ = ' ';
	*to++ = quote;
	for (i = 0; i < len; i++)
		to += show_byte(to, path[i], quote);
	*to++ = quote;
	*to = '\0';
}

static void show_addr(char *to, const unsigned char *bytes, size_t len)
{
	/* What is missing of the address is 0. */
	unsigned char all[sizeof(struct sockaddr_storage)] = { 0 };
	char host[INET6_ADDRSTRLEN];
	uint16_t family, port;
	uint32_t flow, scope;

	*to = '\0';
	if (len == 0)
		return;
	memcpy(all, bytes, len);
	memcpy(&family, all, sizeof family);
	port = (uint16_t)(all[2] << 8 | all[3]);
	if (family == AF_INET) {
		sprintf(to, " %u.%u.%u.%u:%u", all[4], all[5], all[6], all[7], port);
	} else if (family == AF_INET6) {
		flow = (uint32_t)all[4] << 24 | (uint32_t)all[5] << 16 | (uint32_t)all[6] << 8 |
		       all[7];
		memcpy(&scope, all + 24, sizeof scope);
		must(inet_ntop(AF_INET6, all + 8, host, sizeof host) != NULL);
		sprintf(to, " ('%s', %u, %u, %u)", host, port, flow, scope);
	} else if (family == AF_UNIX) {
		len = len > 2 ? len - 2 : 0;
		show_path(to, all + 2, len > 108 ? 0 : len);
	} else {
		sprintf(to, " (family %d)", family);
	}
}

static void check_repr(struct asyncore_dispatcher *d, size_t size)
{
	char want[1024], addr[512], *have = malloc(size > 0 ? size : 1);
	socklen_t len;
	const struct sockaddr *now = asyncore_addr(d, &len);
	const char *status = "";
	int n, r;

	must(have != NULL && (now != NULL) == (len > 0));
	show_addr(addr, (const unsigned char *)now, len);
	if (asyncore_accepting(d) && len > 0)
		status = " listening";
	else if (asyncore_connected(d))
		status = " connected";
	n = sprintf(want, "<fuzzed%s%s at %p>", status, addr, (void *)d);
	r = asyncore_repr(d, size > 0 ? have : NULL, size);
	must(r == n);
	if (size > 0) {
		size_t shown = (size_t)n < size ? (size_t)n : size - 1;

		must(memcmp(have, want, shown) == 0 && have[shown] == '\0');
	}
	free(have);
}

/* --- the script --------------------------------------------------------------------- */

/* Bytes of the script in a block of just their size; with a NUL behind them, words. */
static void *take(struct script *s, size_t len, bool words)
{
	char *block = malloc(len + words + (len + words == 0));
	size_t i;

	must(block != NULL);
	for (i = 0; i < len; i++)
		block[i] = (char)script_next(s);
	if (words)
		block[len] = '\0';
	return block;
}

/* After one that succeeded: addr is what the kernel was given. */
static void check_addr(struct asyncore_dispatcher *d)
{
	socklen_t len;
	const struct sockaddr *addr = asyncore_addr(d, &len);

	must(addr != NULL && len == kernel.len);
	must(memcmp(addr, &kernel.addr, len) == 0);
}

/* What the call returns that the kernel answered so. */
static int result_of(bool binds)
{
	switch (kernel.error) {
	case EINPROGRESS:
	case EALREADY:
	case EISCONN:
		return binds ? -kernel.error : 0;
	default:
		return -kernel.error;
	}
}

static void use_host(struct asyncore_dispatcher *d, struct script *s, int family, bool binds)
{
	char *host = take(s, script_next(s) % 80, true);
	int port = (int)(script_next(s) << 9 | script_next(s)) - 100, r;
	const unsigned calls = kernel.calls;
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
	bool number;

	r = binds ? asyncore_bind(d, host, port) : asyncore_connect(d, host, port);
	must(r <= 0);
	if (port < 0 || port > 65535) {
		must(r == -EINVAL);
	} else if (family == AF_UNIX) {
		must(r == -EAFNOSUPPORT);
	} else {
		number = inet_pton(family, host, family == AF_INET ? (void *)&in.sin_addr
								   : (void *)&in6.sin6_addr) == 1;
		if (*host == '\0')
			number = true;	/* of every address, which is all zeroes */
		in.sin_port = in6.sin6_port = htons((uint16_t)port);
		must(!number || kernel.calls == calls + 1);
		if (number) {
			socklen_t len = family == AF_INET ? sizeof in : sizeof in6;

			must(kernel.len == len);
			must(memcmp(&kernel.addr, family == AF_INET ? (void *)&in : (void *)&in6,
				    len) == 0);
		}
		if (kernel.calls > calls) {
			must(r == result_of(binds));
			must(kernel.addr.ss_family == family);
			must(((struct sockaddr_in *)&kernel.addr)->sin_port == in.sin_port);
		} else {
			must(r < 0);
		}
	}
	if (kernel.calls == calls)
		must(r < 0);
	else if (r == 0)
		check_addr(d);
	free(host);
}

static void use_path(struct asyncore_dispatcher *d, struct script *s, int family, bool binds)
{
	char *path = take(s, script_next(s) % 130, true);
	const unsigned calls = kernel.calls;
	const struct sockaddr_un *un = (void *)&kernel.addr;
	size_t len = strlen(path);
	int r = binds ? asyncore_bind_path(d, path) : asyncore_connect_path(d, path);

	must(r <= 0);
	if (len == 0 || len >= sizeof un->sun_path || family != AF_UNIX) {
		must(r == (len == 0 ? -EINVAL : len >= sizeof un->sun_path ? -ENAMETOOLONG
									   : -EAFNOSUPPORT));
		must(kernel.calls == calls);
	} else {
		must(kernel.calls == calls + 1 && r == result_of(binds));
		must(un->sun_family == AF_UNIX && strcmp(un->sun_path, path) == 0);
		must(kernel.len == offsetof(struct sockaddr_un, sun_path) + len + 1);
		if (r == 0)
			check_addr(d);
	}
	free(path);
}

static void use_sockaddr(struct asyncore_dispatcher *d, struct script *s, int family,
			 unsigned how)
{
	size_t len = script_next(s) % 140;
	void *addr = take(s, len, false);
	const unsigned calls = kernel.calls;
	sa_family_t its = AF_UNSPEC;
	socklen_t before, after;
	int r;

	/* Half of them of the right family, or none would be. */
	if (len >= sizeof its && script_next(s) & 1)
		memcpy(addr, &(sa_family_t){ (sa_family_t)family }, sizeof its);
	if (len >= sizeof its)
		memcpy(&its, addr, sizeof its);
	asyncore_addr(d, &before);
	switch (how) {
	case 0:
		r = asyncore_bind_sockaddr(d, addr, (socklen_t)len);
		break;
	case 1:
		r = asyncore_connect_sockaddr(d, addr, (socklen_t)len);
		break;
	case 2:
		r = asyncore_sendto(d, "x", 1, addr, (socklen_t)len);
		break;
	default:
		r = asyncore_set_addr(d, addr, (socklen_t)len);
		if (len == 1 || len > sizeof(struct sockaddr_storage)) {
			must(r == -EINVAL);
			asyncore_addr(d, &after);
			must(after == before);
		} else {
			const struct sockaddr *now = asyncore_addr(d, &after);

			must(r == 0 && after == len);
			must((now == NULL) == (len == 0));
			must(len == 0 || memcmp(now, addr, len) == 0);
			/* Its own, too. */
			must(asyncore_set_addr(d, now, after) == 0);
			now = asyncore_addr(d, &after);
			must(after == len && (len == 0 || memcmp(now, addr, len) == 0));
		}
		free(addr);
		return;
	}
	if (len < sizeof its || len > sizeof(struct sockaddr_storage)) {
		must(r == -EINVAL && kernel.calls == calls);
	} else if (its != family) {
		must(r == -EAFNOSUPPORT && kernel.calls == calls);
	} else {
		must(kernel.calls == calls + 1 && kernel.len == len);
		must(memcmp(&kernel.addr, addr, len) == 0);
		must(r == (how == 2 ? kernel.error != 0 ? -kernel.error : 1
				    : result_of(how == 0)));
		if (r == 0)
			check_addr(d);
	}
	free(addr);
}

static int ignore_log(struct asyncore_dispatcher *d, const char *message, const char *kind)
{
	must(d != NULL && message != NULL && kind != NULL);
	return 0;
}

/* There is no peer, whatever the replacement of connect() says. */
static int believe(struct asyncore_dispatcher *d)
{
	must(asyncore_connecting(d));
	return 0;
}

static const struct asyncore_dispatcher_type type = {
	.base = &asyncore_dispatcher_type,
	.name = "fuzzed",
	.handle_connect_event = believe,
	.log_info = ignore_log,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const int families[] = { AF_INET, AF_INET6, AF_UNIX };
	static const int errors[] = { 0, EINPROGRESS, 0, EALREADY, EISCONN, EADDRINUSE,
				      ECONNREFUSED, EAFNOSUPPORT };
	static bool warm;
	struct script script = { data, 0, size };
	struct asyncore_dispatcher d;
	unsigned what;
	uint64_t before;
	int family;

	if (size < 2 || size > 4096)
		return 0;
	if (!warm)
		must(asyncore_socket_map() != NULL);
	warm = true;
	before = descriptors();
	family = families[script_next(&script) % 3];
	must(asyncore_dispatcher_init(&d, &type, -1, NULL) == 0);
	must(asyncore_create_socket(&d, family, SOCK_STREAM) == 0);
	while (!script_ends(&script)) {
		what = script_next(&script);
		kernel.error = errors[what >> 5];
		switch (what & 15) {
		case 0: case 1: case 2: case 3:
			use_host(&d, &script, family, what & 1);
			break;
		case 4: case 5:
			use_path(&d, &script, family, what & 1);
			break;
		case 6: case 7: case 8:
			use_sockaddr(&d, &script, family, (what & 15) - 6);
			break;
		case 9: case 10:
			use_sockaddr(&d, &script, family, 3);
			break;
		case 11:
			must(asyncore_set_connected(&d, what & 16) == 0);
			break;
		case 12:
			must(asyncore_set_accepting(&d, what & 16) == 0);
			break;
		case 13:
			check_repr(&d, script_next(&script));
			break;
		case 14:
			check_repr(&d, 1024);
			break;
		default:
			must(asyncore_close(&d) == 0);
			family = families[script_next(&script) % 3];
			must(asyncore_create_socket(&d, family, SOCK_STREAM) == 0);
			break;
		}
		must(asyncore_socket(&d) >= 0);
	}
	check_repr(&d, 1024);
	must(asyncore_close(&d) == 0);
	must(asyncore_close_all(NULL, false) == 0);
	must(d.channel == NULL);
	must(descriptors() == before);
	return 0;
}
