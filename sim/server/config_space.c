/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/config_space.h"

#include <linux/pci_regs.h>
#include <string.h>

/* Little-endian, whatever the host is. */
static void put(uint8_t *bytes, unsigned int offset, uint64_t value, unsigned int width)
{
	for (unsigned int i = 0; i < width; i++)
		bytes[offset + i] = (uint8_t)(value >> (8 * i));
}

static uint16_t get16(const struct config_space *config, unsigned int offset)
{
	return (uint16_t)(config->bytes[offset] | config->bytes[offset + 1] << 8);
}

/* PCI 3.0 §6.2. */
static void init_header(struct config_space *config, const struct sim_pci *pci)
{
	put(config->bytes, PCI_VENDOR_ID, pci->vendor_id, 2);
	put(config->bytes, PCI_DEVICE_ID, pci->device_id, 2);
	put(config->writable, PCI_COMMAND,
	    PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_PARITY | PCI_COMMAND_SERR |
		    PCI_COMMAND_INTX_DISABLE,
	    2);
	put(config->bytes, PCI_STATUS, PCI_STATUS_CAP_LIST, 2);
	put(config->clears, PCI_STATUS,
	    PCI_STATUS_PARITY | PCI_STATUS_SIG_TARGET_ABORT | PCI_STATUS_REC_TARGET_ABORT |
		    PCI_STATUS_REC_MASTER_ABORT | PCI_STATUS_SIG_SYSTEM_ERROR |
		    PCI_STATUS_DETECTED_PARITY,
	    2);
	put(config->bytes, PCI_REVISION_ID, pci->revision, 1);
	put(config->bytes, PCI_CLASS_PROG, pci->class_code, 3);
	put(config->writable, PCI_CACHE_LINE_SIZE, 0xff, 1);
	put(config->bytes, PCI_SUBSYSTEM_VENDOR_ID, pci->subsystem_vendor_id, 2);
	put(config->bytes, PCI_SUBSYSTEM_ID, pci->subsystem_id, 2);
	put(config->bytes, PCI_CAPABILITY_LIST, CONFIG_PM, 1);
	put(config->writable, PCI_INTERRUPT_LINE, 0xff, 1);
}

/* PCI 3.0 §6.2.5.1: the address bits below the size are fixed at 0, which is what sizing reads. */
static void init_bars(struct config_space *config, const struct sim_pci *pci)
{
	for (unsigned int i = 0; i < SIM_NR_BARS; i++) {
		const struct sim_bar *bar = &pci->bars[i];
		unsigned int width = bar->is64 ? 8 : 4;
		unsigned int flags = PCI_BASE_ADDRESS_SPACE_MEMORY;

		if (!bar->bytes)
			continue;
		if (bar->is64)
			flags |= PCI_BASE_ADDRESS_MEM_TYPE_64;
		if (bar->prefetchable)
			flags |= PCI_BASE_ADDRESS_MEM_PREFETCH;
		put(config->bytes, PCI_BASE_ADDRESS_0 + 4 * i, flags, 4);
		put(config->writable, PCI_BASE_ADDRESS_0 + 4 * i, ~(bar->bytes - 1), width);
	}
}

/* PCI Power Management 1.2 §3.2: D0 and D3hot, without a reset in between. */
static void init_power_management(struct config_space *config, unsigned int next)
{
	put(config->bytes, CONFIG_PM, PCI_CAP_ID_PM | next << 8, 2);
	put(config->bytes, CONFIG_PM + PCI_PM_PMC, 3, 2);
	put(config->bytes, CONFIG_PM + PCI_PM_CTRL, PCI_PM_CTRL_NO_SOFT_RESET, 2);
	put(config->writable, CONFIG_PM + PCI_PM_CTRL, PCI_PM_CTRL_STATE_MASK, 2);
}

/* PCI 3.0 §6.8.2. */
static void init_msix(struct config_space *config, const struct sim_pci *pci, unsigned int next)
{
	put(config->bytes, CONFIG_MSIX, PCI_CAP_ID_MSIX | next << 8, 2);
	put(config->bytes, CONFIG_MSIX + PCI_MSIX_FLAGS, pci->nr_vectors - 1, 2);
	put(config->writable, CONFIG_MSIX + PCI_MSIX_FLAGS,
	    PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL, 2);
	put(config->bytes, CONFIG_MSIX + PCI_MSIX_TABLE, pci->msix_table | pci->msix_bar, 4);
	put(config->bytes, CONFIG_MSIX + PCI_MSIX_PBA, pci->msix_pba | pci->msix_bar, 4);
}

/* PCI Express Base 3.0 §7.8: an endpoint on an 8 GT/s x4 link that can be reset on its own. */
static void init_express(struct config_space *config)
{
	unsigned int link = PCI_EXP_LNKCAP_SLS_8_0GB | 4 << 4;

	put(config->bytes, CONFIG_EXPRESS, PCI_CAP_ID_EXP, 2);
	put(config->bytes, CONFIG_EXPRESS + PCI_EXP_FLAGS, 2 | PCI_EXP_TYPE_ENDPOINT << 4, 2);
	put(config->bytes, CONFIG_EXPRESS + PCI_EXP_DEVCAP,
	    PCI_EXP_DEVCAP_RBER | PCI_EXP_DEVCAP_FLR, 4);
	put(config->bytes, CONFIG_EXPRESS + PCI_EXP_DEVCTL,
	    PCI_EXP_DEVCTL_RELAX_EN | PCI_EXP_DEVCTL_NOSNOOP_EN | PCI_EXP_DEVCTL_READRQ_512B, 2);
	put(config->writable, CONFIG_EXPRESS + PCI_EXP_DEVCTL, 0x7fff, 2);
	put(config->clears, CONFIG_EXPRESS + PCI_EXP_DEVSTA,
	    PCI_EXP_DEVSTA_CED | PCI_EXP_DEVSTA_NFED | PCI_EXP_DEVSTA_FED | PCI_EXP_DEVSTA_URD, 2);
	put(config->bytes, CONFIG_EXPRESS + PCI_EXP_LNKCAP, link, 4);
	put(config->writable, CONFIG_EXPRESS + PCI_EXP_LNKCTL,
	    PCI_EXP_LNKCTL_ASPMC | PCI_EXP_LNKCTL_RCB | PCI_EXP_LNKCTL_CCC | PCI_EXP_LNKCTL_ES, 2);
	put(config->bytes, CONFIG_EXPRESS + PCI_EXP_LNKSTA, link, 2);
	put(config->bytes, CONFIG_EXPRESS + PCI_EXP_LNKCAP2,
	    PCI_EXP_LNKCAP2_SLS_2_5GB | PCI_EXP_LNKCAP2_SLS_5_0GB | PCI_EXP_LNKCAP2_SLS_8_0GB, 4);
}

void config_space_init(struct config_space *config, const struct sim_pci *pci)
{
	memset(config, 0, sizeof(*config));
	init_header(config, pci);
	init_bars(config, pci);
	init_power_management(config, pci->nr_vectors ? CONFIG_MSIX : CONFIG_EXPRESS);
	if (pci->nr_vectors)
		init_msix(config, pci, CONFIG_EXPRESS);
	init_express(config);
}

void config_space_read(const struct config_space *config, uint64_t offset, void *data, size_t bytes)
{
	memcpy(data, config->bytes + offset, bytes);
}

/* A power state that the function does not have leaves it where it is (PCI PM 1.2 §3.2.4). */
static uint8_t checked_power_state(uint8_t old, uint8_t value)
{
	uint8_t state = value & PCI_PM_CTRL_STATE_MASK;

	if (state == 0 || state == 3)
		return value;
	return (uint8_t)((value & ~PCI_PM_CTRL_STATE_MASK) | (old & PCI_PM_CTRL_STATE_MASK));
}

unsigned int config_space_write(struct config_space *config, uint64_t offset, const void *data,
				size_t bytes)
{
	const uint8_t *values = data;
	unsigned int events = 0;

	for (size_t i = 0; i < bytes; i++) {
		size_t at = offset + i;
		uint8_t old = config->bytes[at];
		uint8_t value = values[i];

		if (at == CONFIG_EXPRESS + PCI_EXP_DEVCTL + 1 &&
		    value & PCI_EXP_DEVCTL_BCR_FLR >> 8)
			events |= CONFIG_EVENT_RESET;
		if (at == CONFIG_MSIX + PCI_MSIX_FLAGS + 1)
			events |= CONFIG_EVENT_MSIX;
		if (at == CONFIG_PM + PCI_PM_CTRL)
			value = checked_power_state(old, value);
		old = (uint8_t)(old & ~(value & config->clears[at]));
		config->bytes[at] = (uint8_t)((old & ~config->writable[at]) |
					      (value & config->writable[at]));
	}
	return events;
}

bool config_space_bus_master(const struct config_space *config)
{
	return config->bytes[PCI_COMMAND] & PCI_COMMAND_MASTER &&
	       !(config->bytes[CONFIG_PM + PCI_PM_CTRL] & PCI_PM_CTRL_STATE_MASK);
}

bool config_space_msix_enabled(const struct config_space *config)
{
	return get16(config, CONFIG_MSIX + PCI_MSIX_FLAGS) & PCI_MSIX_FLAGS_ENABLE;
}

bool config_space_msix_masked(const struct config_space *config)
{
	return get16(config, CONFIG_MSIX + PCI_MSIX_FLAGS) & PCI_MSIX_FLAGS_MASKALL;
}

void config_space_msix_enable(struct config_space *config, bool enable)
{
	uint8_t bit = PCI_MSIX_FLAGS_ENABLE >> 8;
	uint8_t *control = &config->bytes[CONFIG_MSIX + PCI_MSIX_FLAGS + 1];

	*control = (uint8_t)(enable ? *control | bit : *control & ~bit);
}
