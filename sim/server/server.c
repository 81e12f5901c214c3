/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The life of a server and its loop.
 *
 * The loop is made for the data path: it calls the model's poll again and again and looks at the
 * sockets, which costs a system call, only once in a while. When there was nothing to do for some
 * time it goes from spinning to sleeping. Doorbells are shared memory that nobody wakes us for, so
 * a sleep is short as long as there is a client. There is no sched_yield() in between: on a busy
 * machine it gives away whole time slices, where who sleeps gets the core back at once.
 */
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/base.h"
#include "server/server.h"

/* About how long the model is polled between two looks at the sockets, at most. A look takes about
 * half of a microsecond. How many polls that makes is found out on the way, since reading the clock
 * after each would cost more than a poll: they begin with one after each message, for a client that
 * goes on talking, and double. That was found out with less to do, it may be: so after so much work
 * the clock is read. */
#define LOOK_NS UINT64_C(100000)
#define MAX_POLLS 32768u
#define CLOCK_WORK 64u

#define DEFAULT_SPIN_US 50u
#define MIN_SLEEP_NS UINT64_C(50000)
#define MAX_SLEEP_NS UINT64_C(1000000)
/* Without a client there are no doorbells, only sockets and the flag of sim_server_stop(). */
#define NO_CLIENT_SLEEP_NS UINT64_C(100000000)

static void window_goes(void *ctx, uint64_t iova, uint64_t bytes)
{
	struct sim_server *server = ctx;

	server->ops->dma_unmap(server->model, iova, bytes);
}

int sim_server_create(const struct sim_pci *pci, const struct sim_model_ops *ops, void *model,
		      const struct sim_server_options *options, struct sim_server **server,
		      struct weir_error *err)
{
	struct sim_server *made;
	int rc = pci_check(pci, err);

	if (rc)
		return rc;
	made = calloc(1, sizeof(*made));
	if (!made)
		return weir_error_set(err, -ENOMEM, "no memory for a server");
	made->ops = ops;
	made->model = model;
	made->pci = *pci;
	if (options)
		made->options = *options;
	if (!made->options.spin_us)
		made->options.spin_us = DEFAULT_SPIN_US;
	made->listener.fd = -1;
	made->polls = 1;
	made->dma.no_mmap = made->options.no_mmap_dma;
	made->dma.unmap = window_goes;
	made->dma.ctx = made;
	config_space_init(&made->config, pci);
	irqs_init(&made->irqs, &made->config, pci->nr_vectors);
	rc = session_init(&made->session);
	if (rc) {
		free(made);
		return weir_error_set(err, rc, "no memory for a session");
	}
	*server = made;
	return 0;
}

static void close_turned_away(struct turned_away *waiting)
{
	weir_wire_close(waiting->wire);
	waiting->wire = NULL;
}

void sim_server_destroy(struct sim_server *server)
{
	if (!server)
		return;
	session_end(server);
	for (int i = 0; i < MAX_TURNED_AWAY; i++)
		close_turned_away(&server->turned_away[i]);
	listener_close(&server->listener);
	session_destroy(&server->session);
	free(server);
}

int sim_server_listen(struct sim_server *server, const char *path, struct weir_error *err)
{
	if (server->listener.fd >= 0)
		return weir_error_set(err, -EBUSY, "%s: the server listens on %s already", path,
				      server->listener.path);
	return listener_open(&server->listener, path, err);
}

int sim_server_connect(struct sim_server *server, struct wire *wire)
{
	if (atomic_load(&server->unplugged))
		return -ENODEV;
	if (server->session.wire)
		return -EBUSY;
	session_start(server, wire);
	return 0;
}

void sim_server_stop(struct sim_server *server)
{
	atomic_store(&server->stop, true);
}

void sim_server_unplug(struct sim_server *server)
{
	atomic_store(&server->unplugged, true);
}

void sim_server_look(struct sim_server *server)
{
	server->session.attention = true;
}

bool sim_bus_master(const struct sim_server *server)
{
	return config_space_bus_master(&server->config);
}

void sim_irq_raise(struct sim_server *server, unsigned int vector)
{
	irqs_raise(&server->irqs, vector);
}

/* As a client of VFIO sees it: the kernel saves the configuration before a reset and restores it
 * afterwards, and interrupts stay bound. */
void server_reset(struct sim_server *server)
{
	irqs_reset(&server->irqs);
	server->ops->reset(server->model);
}

/* There is a client already: the newcomer is told so when it says hello. */
static void turn_away(struct sim_server *server, struct wire *wire)
{
	struct turned_away *place = &server->turned_away[0];

	for (int i = 0; i < MAX_TURNED_AWAY; i++) {
		struct turned_away *other = &server->turned_away[i];

		if (!other->wire || (place->wire && other->deadline < place->deadline))
			place = other;
	}
	close_turned_away(place);
	place->wire = wire;
	place->deadline = weir_now_ns() + CLIENT_TIMEOUT_MS * UINT64_C(1000000);
}

static void serve_turned_away(struct turned_away *waiting)
{
	struct wire_message message;
	int rc;

	if (!waiting->wire)
		return;
	rc = weir_wire_receive(waiting->wire, &message, 0, NULL);
	if (rc == -EAGAIN && weir_now_ns() < waiting->deadline)
		return;
	if (!rc) {
		reply_error(waiting->wire, &message.header, -EBUSY);
		weir_wire_message_release(&message);
	}
	close_turned_away(waiting);
}

static void accept_client(struct sim_server *server)
{
	int fd = accept4(server->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct wire *wire;

	if (fd < 0)
		return;
	if (weir_wire_from_socket(fd, &wire)) {
		close(fd);
		return;
	}
	if (server->session.wire)
		turn_away(server, wire);
	else
		session_start(server, wire);
}

/* Sockets of one server: its listener, its client, those that are turned away. */
#define SOCKETS (2 + MAX_TURNED_AWAY)

static void list_sockets(const struct sim_server *server, struct pollfd *fds)
{
	const struct session *session = &server->session;

	fds[0] = (struct pollfd){ .fd = server->listener.fd, .events = POLLIN };
	fds[1] = (struct pollfd){ .fd = session->wire ? weir_wire_fd(session->wire) : -1,
				  .events = POLLIN };
	for (int i = 0; i < MAX_TURNED_AWAY; i++) {
		struct wire *wire = server->turned_away[i].wire;

		fds[2 + i] = (struct pollfd){ .fd = wire ? weir_wire_fd(wire) : -1,
					      .events = POLLIN };
	}
}

/* Waits for the sockets, at most so long; 0: only looks. */
static void wait_for_sockets(struct sim_server *const servers[], unsigned int nr,
			     uint64_t timeout_ns)
{
	const struct timespec timeout = { .tv_sec = 0, .tv_nsec = (long)timeout_ns };
	struct pollfd fds[SIM_MAX_TOGETHER * SOCKETS];

	for (unsigned int i = 0; i < nr; i++)
		list_sockets(servers[i], &fds[i * SOCKETS]);
	if (ppoll(fds, nr * SOCKETS, &timeout, NULL) <= 0)
		return;
	for (unsigned int i = 0; i < nr; i++) {
		if (fds[i * SOCKETS + 1].revents)
			servers[i]->session.attention = true;
		if (fds[i * SOCKETS].revents)
			accept_client(servers[i]);
	}
}

/* In memory there is nothing to look at. */
static bool has_sockets(const struct sim_server *server)
{
	const struct wire *wire = server->session.wire;

	return server->listener.fd >= 0 || !wire || weir_wire_fd(wire) >= 0;
}

static void pull_out(struct sim_server *server)
{
	if (server->session.wire)
		server->session.broken = -ENODEV;
	for (int i = 0; i < MAX_TURNED_AWAY; i++)
		close_turned_away(&server->turned_away[i]);
	listener_close(&server->listener);
}

/* Everything but the data path, when the sockets were looked at. Returns how many messages were
 * handled. */
static unsigned int serve(struct sim_server *server)
{
	struct session *session = &server->session;
	unsigned int handled = 0;

	for (int i = 0; i < MAX_TURNED_AWAY; i++)
		serve_turned_away(&server->turned_away[i]);
	if (atomic_load(&server->unplugged))
		pull_out(server);
	if (session->wire)
		handled = session_serve(server);
	if (handled)
		server->polls = 1;
	if (session->broken)
		session_end(server);
	return handled;
}

/* How many polls may come before the next look, which `took` says something about. */
static void adjust_polls(struct sim_server *server, uint64_t took)
{
	if (took > 2 * LOOK_NS && server->polls > 1)
		server->polls /= 2;
	else if (took < LOOK_NS / 2 && server->polls < MAX_POLLS && !server->resting)
		server->polls *= 2;
}

/* Whether polls that found work took long. `seen`: the work when the clock was read last. */
static bool took_long(uint64_t start, unsigned int work, unsigned int *seen)
{
	if (likely(work - *seen < CLOCK_WORK))
		return false;
	*seen = work;
	return weir_now_ns() - start > LOOK_NS;
}

static unsigned int poll_model(struct sim_server *server)
{
	unsigned int (*poll_once)(void *) = server->ops->poll;
	const bool *attention = &server->session.attention;
	void *model = server->model;
	unsigned int polls = server->resting ? 1 : server->polls;
	uint64_t start = weir_now_ns();
	unsigned int work = 0, seen = 0;

	do {
		work += poll_once(model);
	} while (--polls && !*attention && !took_long(start, work, &seen));
	adjust_polls(server, weir_now_ns() - start);
	return work;
}

/* The same for several: each in turn, so that what one has for the other does not lie around. */
static void poll_models(struct sim_server *const servers[], unsigned int nr, unsigned int *work)
{
	uint64_t start = weir_now_ns(), took;
	unsigned int polls = MAX_POLLS, all = 0, seen = 0;
	bool resting = true, attention = false;

	for (unsigned int i = 0; i < nr; i++) {
		if (!servers[i]->session.agreed || servers[i]->resting)
			continue;
		resting = false;
		if (servers[i]->polls < polls)
			polls = servers[i]->polls;
	}
	if (resting)
		polls = 1;
	do {
		for (unsigned int i = 0; i < nr; i++) {
			unsigned int done = 0;

			if (servers[i]->session.agreed)
				done = servers[i]->ops->poll(servers[i]->model);
			work[i] += done;
			all += done;
			attention |= servers[i]->session.attention;
		}
	} while (--polls && !attention && !took_long(start, all, &seen));
	took = weir_now_ns() - start;
	for (unsigned int i = 0; i < nr; i++)
		adjust_polls(servers[i], took);
}

/* How long the next look may wait: an eighth of the time that nothing has happened, so that whoever
 * comes back waits little longer than he was away. */
static uint64_t idle_policy(struct sim_server *server, bool busy)
{
	uint64_t now, idle;

	server->resting = false;
	if (busy) {
		server->idle_since = 0;
		return 0;
	}
	if (!server->session.agreed)
		return NO_CLIENT_SLEEP_NS;
	now = weir_now_ns();
	if (!server->idle_since)
		server->idle_since = now;
	idle = now - server->idle_since;
	if (idle < server->options.spin_us * UINT64_C(1000))
		return 0;
	server->resting = true;
	if (idle / 8 > MAX_SLEEP_NS)
		return MAX_SLEEP_NS;
	return idle / 8 < MIN_SLEEP_NS ? MIN_SLEEP_NS : idle / 8;
}

/* Messages and work. Returns how long all of them allow to wait for more. */
static uint64_t take_turns(struct sim_server *const servers[], unsigned int nr)
{
	unsigned int work[SIM_MAX_TOGETHER];
	uint64_t allowed = NO_CLIENT_SLEEP_NS;
	bool agreed = false;

	for (unsigned int i = 0; i < nr; i++) {
		work[i] = serve(servers[i]);
		agreed |= servers[i]->session.agreed;
	}
	if (nr > 1 && agreed)
		poll_models(servers, nr, work);
	else if (agreed)
		work[0] += poll_model(servers[0]);
	for (unsigned int i = 0; i < nr; i++) {
		uint64_t wait_ns = idle_policy(servers[i], work[i] > 0);

		if (wait_ns < allowed)
			allowed = wait_ns;
	}
	return allowed;
}

/* Waits until something comes for one of them. */
static void wait_for_any(struct sim_server *const servers[], unsigned int nr, uint64_t wait_ns)
{
	bool sockets = false;

	for (unsigned int i = 0; i < nr; i++) {
		sockets |= has_sockets(servers[i]);
		if (servers[i]->session.attention)
			wait_ns = 0;
	}
	if (sockets || wait_ns)
		wait_for_sockets(servers, nr, wait_ns);
}

bool server_stopping(const struct sim_server *server)
{
	bool stopping = atomic_load_explicit(&server->stop, memory_order_relaxed);

	for (unsigned int i = 0; i < server->nr_together; i++)
		stopping |= atomic_load_explicit(&server->together[i]->stop, memory_order_relaxed);
	return stopping;
}

static void set_together(struct sim_server *const servers[], unsigned int nr,
			 struct sim_server *const together[], unsigned int nr_together)
{
	for (unsigned int i = 0; i < nr; i++) {
		servers[i]->together = together;
		servers[i]->nr_together = nr_together;
	}
}

int sim_servers_run(struct sim_server *const servers[], unsigned int nr, struct weir_error *err)
{
	uint64_t wait_ns = 0;

	if (!nr || nr > SIM_MAX_TOGETHER)
		return weir_error_set(err, -EINVAL, "%u servers: 1 to %u run together", nr,
				      SIM_MAX_TOGETHER);
	for (unsigned int i = 0; i < nr; i++) {
		if (servers[i]->listener.fd < 0 && !servers[i]->session.wire)
			return weir_error_set(err, -EINVAL, "%s: the server listens nowhere",
					      servers[i]->ops->name);
	}
	set_together(servers, nr, servers, nr);
	while (!server_stopping(servers[0])) {
		wait_for_any(servers, nr, wait_ns);
		wait_ns = take_turns(servers, nr);
	}
	set_together(servers, nr, NULL, 0);
	return 0;
}

int sim_server_run(struct sim_server *server, struct weir_error *err)
{
	return sim_servers_run(&server, 1, err);
}

unsigned int sim_server_turn(struct sim_server *server)
{
	unsigned int work;

	/* An in-memory client that waits inside a DMA request of ours. */
	if (server->in_turn)
		return 0;
	server->in_turn = true;
	wait_for_any(&server, 1, 0);
	work = serve(server);
	if (server->session.agreed)
		work += server->ops->poll(server->model);
	server->in_turn = false;
	return work;
}
