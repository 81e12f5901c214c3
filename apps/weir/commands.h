/* SPDX-License-Identifier: BSD-3-Clause */
/* The subcommands, one file each. */
#ifndef WEIR_APPS_COMMANDS_H
#define WEIR_APPS_COMMANDS_H

#include "cli.h"

extern const struct cli_command command_bind;
extern const struct cli_command command_doctor;
extern const struct cli_command command_ls;
extern const struct cli_command command_net_dump;
extern const struct cli_command command_net_fwd;
extern const struct cli_command command_net_gen;
extern const struct cli_command command_net_info;
extern const struct cli_command command_nvme_info;
extern const struct cli_command command_nvme_perf;
extern const struct cli_command command_nvme_read;
extern const struct cli_command command_nvme_write;
extern const struct cli_command command_p2p_copy;
extern const struct cli_command command_p2p_receive;
extern const struct cli_command command_p2p_send;
extern const struct cli_command command_sim_igb;
extern const struct cli_command command_sim_membar;
extern const struct cli_command command_sim_nvme;
extern const struct cli_command command_unbind;

#endif
