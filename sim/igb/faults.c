/* SPDX-License-Identifier: BSD-3-Clause */
/* What goes wrong on purpose: how it is asked for, and how it is done. */
#include "server/faults.h"
#include "igb/device.h"

#define FLAP_US 1000u
#define ETHERNET_BYTES 14u
#define WRONG_LENGTH 0xfff0u

#define FAULT(name, member, type) \
	{ \
		name, offsetof(struct sim_igb_options, faults.member), type \
	}

static const struct sim_fault fault_names[] = {
	FAULT("crc-every", crc_every, SIM_FAULT_U64),
	FAULT("garble-every", garble_every, SIM_FAULT_U64),
	FAULT("length-every", length_every, SIM_FAULT_U64),
	FAULT("header-every", header_every, SIM_FAULT_U64),
	FAULT("status-every", status_every, SIM_FAULT_U64),
	FAULT("types-every", types_every, SIM_FAULT_U64),
	FAULT("endless-every", endless_every, SIM_FAULT_U64),
	FAULT("skip-every", skip_every, SIM_FAULT_U64),
	FAULT("unreported-every", unreported_every, SIM_FAULT_U64),
	FAULT("stuck-after", stuck_after, SIM_FAULT_U64),
	FAULT("interrupt-every", interrupt_every, SIM_FAULT_U64),
	FAULT("flap-every", flap_every, SIM_FAULT_U64),
	FAULT("flap-us", flap_us, SIM_FAULT_U32),
	FAULT("unplug-after", unplug_after, SIM_FAULT_U64),
	FAULT("stuck-reset", stuck_reset, SIM_FAULT_FLAG),
	FAULT("stuck-eeprom", stuck_eeprom, SIM_FAULT_FLAG),
	FAULT("no-link", no_link, SIM_FAULT_FLAG),
	SIM_SERVER_FAULTS(offsetof(struct sim_igb_options, server)),
};

int sim_igb_parse_faults(const char *spec, struct sim_igb_options *options, struct weir_error *err)
{
	return sim_faults_parse(spec, fault_names, ARRAY_SIZE(fault_names), options, err);
}

/* Those that the data path has to look at. */
static bool any(const struct sim_igb_faults *faults)
{
	return faults->crc_every || faults->garble_every || faults->length_every ||
	       faults->header_every || faults->status_every || faults->types_every ||
	       faults->endless_every || faults->skip_every || faults->unreported_every ||
	       faults->stuck_after || faults->interrupt_every || faults->flap_every ||
	       faults->unplug_after;
}

void igb_faults_open(struct sim_igb *igb)
{
	igb->faulty = any(&igb->options.faults);
	igb->fault.random = UINT64_C(0x9e3779b97f4a7c15);
	if (!igb->options.faults.flap_us)
		igb->options.faults.flap_us = FLAP_US;
	if (igb->options.faults.no_link)
		igb->plugged = false;
}

static bool due(uint64_t every, uint64_t count)
{
	return every && count % every == 0;
}

/* xorshift64: the same garbage each time. */
static uint64_t garbage(struct sim_igb *igb)
{
	uint64_t value = igb->fault.random;

	value ^= value << 13;
	value ^= value >> 7;
	value ^= value << 17;
	return igb->fault.random = value;
}

/* A frame went by, in either direction. */
static void count_frame(struct sim_igb *igb)
{
	uint64_t count = ++igb->fault.frames;

	if (due(igb->options.faults.flap_every, count) && igb->plugged) {
		igb->fault.plug_at = weir_now_ns() + igb->options.faults.flap_us * UINT64_C(1000);
		sim_igb_set_link(igb, false);
	}
	if (count == igb->options.faults.unplug_after)
		sim_server_unplug(igb->server);
}

void igb_fault_turn(struct sim_igb *igb)
{
	if (!igb->fault.plug_at || weir_now_ns() < igb->fault.plug_at)
		return;
	igb->fault.plug_at = 0;
	sim_igb_set_link(igb, true);
}

void igb_fault_arrived(struct sim_igb *igb, struct cable_frame *frame)
{
	uint64_t count = ++igb->fault.arrived;

	if (due(igb->options.faults.crc_every, count))
		frame->flags |= CABLE_BAD_FCS;
	if (due(igb->options.faults.garble_every, count)) {
		for (uint32_t i = ETHERNET_BYTES; i < frame->bytes; i++)
			frame->data[i] = (uint8_t)garbage(igb);
	}
	count_frame(igb);
}

bool igb_fault_skips(struct sim_igb *igb)
{
	return due(igb->options.faults.skip_every, igb->fault.delivered + 1);
}

void igb_fault_written(struct sim_igb *igb, const struct dev_rx_queue *queue, uint64_t desc[2])
{
	const struct sim_igb_faults *faults = &igb->options.faults;
	uint64_t count = ++igb->fault.delivered;

	if (due(faults->length_every, count))
		desc[1] |= (uint64_t)WRONG_LENGTH << 32;
	if (due(faults->header_every, count) && queue->type != IGB_DESC_LEGACY)
		desc[0] |= IGB_RX_SPH | (uint64_t)IGB_RX_HEADER_MASK << IGB_RX_HEADER_SHIFT;
	if (due(faults->status_every, count))
		desc[1] = (desc[1] & ~(uint64_t)UINT32_MAX) | (uint32_t)garbage(igb) | IGB_RX_DD;
	if (due(faults->types_every, count) && queue->type != IGB_DESC_LEGACY)
		desc[0] ^= garbage(igb) & (UINT64_C(0xffffffff00000000) | IGB_RX_TYPES);
	if (due(faults->endless_every, count))
		desc[1] &= ~(uint64_t)IGB_RX_EOP;
}

bool igb_fault_stuck(const struct sim_igb *igb)
{
	uint64_t after = igb->options.faults.stuck_after;

	return after && igb->fault.sent >= after;
}

bool igb_fault_sent(struct sim_igb *igb)
{
	uint64_t count = ++igb->fault.sent;

	count_frame(igb);
	return due(igb->options.faults.unreported_every, count);
}

bool igb_fault_interrupt(struct sim_igb *igb)
{
	return due(igb->options.faults.interrupt_every, ++igb->fault.interrupts);
}
