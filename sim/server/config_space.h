/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The PCI Express configuration space of an emulated function: a type 0 header and three
 * capabilities (power management, MSI-X when there are vectors, PCI Express endpoint).
 *
 * Every byte has a mask of the bits that a write changes and one of those that writing 1 clears, so
 * an access of any width and alignment is a loop over bytes, and sizing a BAR needs no case of its
 * own.
 */
#ifndef WEIR_SIM_CONFIG_SPACE_H
#define WEIR_SIM_CONFIG_SPACE_H

#include "server/sim.h"

#define CONFIG_SPACE_BYTES 4096u

/* Where the capabilities are. */
#define CONFIG_PM 0x40
#define CONFIG_MSIX 0x50
#define CONFIG_EXPRESS 0x60

struct config_space {
	uint8_t bytes[CONFIG_SPACE_BYTES];
	uint8_t writable[CONFIG_SPACE_BYTES];
	uint8_t clears[CONFIG_SPACE_BYTES]; /* writing 1 clears */
};

/* What a write asks for besides the new values. */
enum config_event {
	CONFIG_EVENT_RESET = 1, /* Initiate Function Level Reset was set */
	CONFIG_EVENT_MSIX = 2, /* MSI-X Message Control was written */
};

/* All registers as after power on. */
void config_space_init(struct config_space *config, const struct sim_pci *pci);

/* The caller has checked that [offset, offset + bytes) lies inside. */
void config_space_read(const struct config_space *config, uint64_t offset, void *data,
		       size_t bytes);
/* Returns a set of enum config_event. */
unsigned int config_space_write(struct config_space *config, uint64_t offset, const void *data,
				size_t bytes);

/* Whether the function may start DMA: Bus Master Enable, in power state D0. */
bool config_space_bus_master(const struct config_space *config);

/* MSI-X Message Control (PCI 3.0 §6.8.2.3). */
bool config_space_msix_enabled(const struct config_space *config);
bool config_space_msix_masked(const struct config_space *config);
void config_space_msix_enable(struct config_space *config, bool enable);

#endif
