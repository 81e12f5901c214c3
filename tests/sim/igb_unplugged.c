/* SPDX-License-Identifier: BSD-3-Clause */
/* igb_unplugged SOCKET: serves an emulated network port whose cable is pulled out. */
#include <stdio.h>

#include "igb/sim_igb.h"
#include "stop.h"

static void stop_server(void *ctx)
{
	sim_server_stop(ctx);
}

int main(int argc, char **argv)
{
	struct sim_igb_options options = { 0 };
	struct sim_server *server;
	struct sim_cable *cable;
	struct sim_igb *igb;
	struct weir_error err;
	int rc;

	if (argc != 2)
		return 2;
	rc = sim_cable_null(&cable, &err);
	if (!rc) {
		rc = sim_igb_create(&options, cable, &igb, &err);
		if (rc)
			sim_cable_destroy(cable);
	}
	if (rc)
		goto fail;
	server = sim_igb_server(igb);
	stop_on_signals(stop_server, server);
	sim_igb_set_link(igb, false);
	rc = sim_server_listen(server, argv[1], &err);
	if (!rc) {
		printf("ready: vfio-user:%s\n", argv[1]);
		fflush(stdout);
		rc = sim_server_run(server, &err);
	}
	sim_igb_destroy(igb);
	if (!rc)
		return 0;
fail:
	fprintf(stderr, "igb_unplugged: %s\n", err.text);
	return 1;
}
