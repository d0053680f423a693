/* SPDX-License-Identifier: BSD-3-Clause */

/* world.c - see world.h. */

#include "inject.h"
#include "world.h"

#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>

struct world *world;

double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

bool fine(int result)
{
	if (result < 0 && result != -EAGAIN)
		world->reported++;
	return result >= 0;
}

/* --- passes ---------------------------------------------------------------------------------- */

/* More passes than any scenario takes, and more waits in which nothing happens.  (No limit of
 * time: the machine may be busy.) */
enum { MOST_PASSES = 3000, MOST_WAITS = 12 };
static const double ONE_WAIT = 0.03;

void begin_turns(struct world *w)
{
	w->passes = w->waits = 0;
	w->hits = 0x7fffffff;
}

/* The application's loop, for one wait. */
static void turn_base(struct world *w)
{
	const struct timeval wait = { 0, (suseconds_t)(ONE_WAIT * 1e6) };
	bool was = fault_pause();

	event_add(w->limit, &wait);
	if (was)
		fault_resume();
	if (event_base_loop(w->base, EVLOOP_ONCE) < 0)
		w->reported++;
	was = fault_pause();
	event_del(w->limit);
	if (was)
		fault_resume();
}

bool turn(struct world *w)
{
	const double began = now();

	if (w->reported > 0 || w->closed > 0 || w->gone > 0 || w->waits > MOST_WAITS)
		return false;
	if (w->passes++ > MOST_PASSES) {
		w->spun = true;
		return false;
	}
	if (w->base != NULL)
		turn_base(w);
	else if ((w->use_poll ? asyncore_poll2(ONE_WAIT, w->map)
			      : asyncore_poll(ONE_WAIT, w->map)) < 0)
		w->reported++;
	if (now() - began > 0.9 * ONE_WAIT && ++w->waits == MOST_WAITS / 2)
		w->hits = fault_hits;
	return true;
}

/* --- peers ----------------------------------------------------------------------------------- */

int peer_with(struct world *w, int fd)
{
	w->peer[w->npeers].fd = fd;
	return w->npeers++;
}

int unix_peer(struct world *w, int *fd)
{
	const bool was = fault_pause();
	int both[2] = { -1, -1 };

	socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, both);
	if (was)
		fault_resume();
	*fd = both[0];
	return peer_with(w, both[1]);
}

int tcp_peer(struct world *w, int *fd)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	socklen_t len = sizeof addr;
	const bool was = fault_pause();
	int one = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int other = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	bind(one, (struct sockaddr *)&addr, len);
	listen(one, 1);
	getsockname(one, (struct sockaddr *)&addr, &len);
	connect(other, (struct sockaddr *)&addr, len);
	*fd = accept4(one, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	close(one);
	if (was)
		fault_resume();
	return peer_with(w, other);
}

void peer_put(struct world *w, int peer, const void *data, size_t len)
{
	const bool was = fault_pause();

	signal(SIGPIPE, SIG_IGN);
	if (write(w->peer[peer].fd, data, len) != (ssize_t)len)
		w->gone++;	/* the channel is: who closed it has to tell */
	signal(SIGPIPE, SIG_DFL);
	if (was)
		fault_resume();
}

static void take(struct world *w, struct peer *p)
{
	const bool was = fault_pause();
	char data[65536];
	ssize_t n, i;

	(void)w;
	while (p->fd >= 0 && (n = recv(p->fd, data, sizeof data, MSG_DONTWAIT)) >= 0) {
		for (i = 0; i < n; i++, p->len++)
			if (p->len < sizeof p->got)
				p->got[p->len] = data[i];
		if (n == 0) {
			p->end = true;
			break;
		}
	}
	if (was)
		fault_resume();
}

bool peer_got(struct world *w, int peer, const void *data, size_t len)
{
	struct peer *p = &w->peer[peer];

	take(w, p);
	return p->len == len &&
	       memcmp(p->got, data, len < sizeof p->got ? len : sizeof p->got) == 0;
}

size_t peer_len(struct world *w, int peer)
{
	take(w, &w->peer[peer]);
	return w->peer[peer].len;
}

bool peer_end(struct world *w, int peer)
{
	take(w, &w->peer[peer]);
	return w->peer[peer].end;
}

void peer_close(struct world *w, int peer)
{
	const bool was = fault_pause();

	if (w->peer[peer].fd >= 0)
		close(w->peer[peer].fd);
	w->peer[peer].fd = -1;
	if (was)
		fault_resume();
}
