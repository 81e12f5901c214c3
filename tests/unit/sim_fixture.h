/* SPDX-License-Identifier: BSD-3-Clause */
/* A test model, its server and a client of it, for tests of single commands. */
#ifndef WEIR_TESTS_SIM_FIXTURE_H
#define WEIR_TESTS_SIM_FIXTURE_H

#include "fd_count.h"
#include "sim_client.h"
#include "sim_model.h"

struct sim_fixture {
	struct sim_model model;
	struct sim_client client;
	unsigned int fds_before;
};

/* Returns 0, or nonzero for cmocka. json NULL: says nothing yet. */
static inline int sim_fixture_open(struct sim_fixture *fixture,
				   const struct sim_server_options *options, const char *json)
{
	fixture->fds_before = fd_count();
	if (sim_model_create(&fixture->model, options))
		return -1;
	return sim_client_open(&fixture->client, fixture->model.server) ||
	       (json && sim_client_hello(&fixture->client, json));
}

/* Nonzero when a descriptor leaked. */
static inline int sim_fixture_close(struct sim_fixture *fixture)
{
	if (fixture->client.wire)
		sim_client_close(&fixture->client);
	sim_model_destroy(&fixture->model);
	return fd_count() == fixture->fds_before ? 0 : -1;
}

#endif
