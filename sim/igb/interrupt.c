/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Interrupts (datasheet §7.3, §8.8).
 *
 * With GPIE.Multiple_MSIX, EICR has a bit for each vector, IVAR says which one a queue's cause sets
 * and IVAR_MISC which one ICR's causes do. Without it EICR has a bit for each of 16 groups of
 * queues and one for ICR, and everything goes to vector 0.
 *
 * A message goes out when a bit becomes set that EIMS lets through, once until it is cleared: by a
 * read or write of EICR, or at once when EIAC has it. EITR holds messages of its vector back.
 */
#include <string.h>

#include "igb/device.h"

static bool per_vector(const struct sim_igb *igb)
{
	return igb->regs[IGB_GPIE / 4] & IGB_GPIE_MULTIPLE_MSIX;
}

/* The EICR bit that an IVAR entry stands for; 0: it is not valid. */
static uint32_t ivar_bit(const struct sim_igb *igb, uint32_t entry)
{
	uint32_t vector = entry & IGB_IVAR_VECTOR;

	if (!(entry & IGB_IVAR_VALID))
		return 0;
	if (per_vector(igb))
		return vector < IGB_VECTORS ? 1u << vector : 0;
	return 1u << (vector & 0xf);
}

void igb_cause_queue(struct sim_igb *igb, bool transmits, unsigned int queue)
{
	/* IVAR n: receive n, transmit n, receive n + 8, transmit n + 8. */
	uint32_t ivar = *igb_reg(igb, IGB_IVAR + 4 * (queue % 8));
	uint32_t entry = ivar >> ((queue / 8 * 2 + transmits) * 8);

	igb->eicr |= ivar_bit(igb, entry);
	if (!per_vector(igb))
		igb_cause_other(igb, transmits ? IGB_ICR_TXDW : IGB_ICR_RXDW);
}

void igb_cause_other(struct sim_igb *igb, uint32_t icr)
{
	igb->icr |= icr;
	if (!(icr & igb->ims))
		return;
	igb->icr |= IGB_ICR_ASSERTED;
	if (per_vector(igb))
		igb->eicr |= ivar_bit(igb, *igb_reg(igb, IGB_IVAR_MISC) >> 8);
	else
		igb->eicr |= IGB_EICR_OTHER;
}

static void send_vector(struct sim_igb *igb, unsigned int vector, uint32_t bits)
{
	uint32_t eitr = *igb_reg(igb, IGB_EITR + 4 * vector);
	uint64_t interval = eitr >> IGB_EITR_INTERVAL_SHIFT & IGB_EITR_INTERVAL_MASK;

	if (interval) {
		uint64_t now = weir_now_ns();

		if (now < igb->quiet_until[vector])
			return;
		igb->quiet_until[vector] = now + interval * 1000;
	}
	igb->sent |= bits;
	if (*igb_reg(igb, IGB_GPIE) & IGB_GPIE_EIAME)
		igb->eims &= ~(bits & *igb_reg(igb, IGB_EIAM));
	igb->eicr &= ~(bits & *igb_reg(igb, IGB_EIAC));
	igb->sent &= igb->eicr;
	igb_count(igb, IGB_IAC, 1);
	if (likely(!igb->faulty) || !igb_fault_interrupt(igb))
		sim_irq_raise(igb->server, vector);
}

void igb_interrupts_send(struct sim_igb *igb)
{
	/* The bit of all other causes needs no mask of its own but IMS. It is left over when the
	 * mode was changed, and no vector then. */
	uint32_t due = igb->eicr & (per_vector(igb) ? igb->eims & IGB_EICR_VECTORS
						    : igb->eims | IGB_EICR_OTHER);

	igb->sent &= due;
	due &= ~igb->sent;
	if (likely(!due))
		return;
	if (!per_vector(igb)) {
		send_vector(igb, 0, due);
		return;
	}
	while (due) {
		unsigned int vector = (unsigned int)__builtin_ctz(due);

		due &= due - 1;
		send_vector(igb, vector, 1u << vector);
	}
}

void igb_interrupts_reset(struct sim_igb *igb)
{
	igb->icr = igb->ims = igb->eicr = igb->eims = 0;
	igb->sent = 0;
	memset(igb->quiet_until, 0, sizeof(igb->quiet_until));
}

/* Reading ICR clears it, unless a driver that has not masked its causes only looks (§7.3.4). */
static uint32_t read_icr(struct sim_igb *igb)
{
	uint32_t value = igb->icr;

	if (*igb_reg(igb, IGB_GPIE) & IGB_GPIE_NSICR || !igb->ims || value & IGB_ICR_ASSERTED) {
		igb->icr = 0;
		igb->eicr &= ~IGB_EICR_OTHER;
	}
	if (value & IGB_ICR_ASSERTED && *igb_reg(igb, IGB_CTRL_EXT) & IGB_CTRL_EXT_IAME)
		igb->ims &= ~*igb_reg(igb, IGB_IAM);
	return value;
}

static void clear_icr(struct sim_igb *igb, uint32_t bits)
{
	igb->icr &= ~bits;
	if (!(igb->icr & igb->ims)) {
		igb->icr &= ~IGB_ICR_ASSERTED;
		igb->eicr &= ~IGB_EICR_OTHER;
	}
	if (*igb_reg(igb, IGB_CTRL_EXT) & IGB_CTRL_EXT_IAME)
		igb->ims &= ~*igb_reg(igb, IGB_IAM);
}

/* What EIAM names is masked when EICR is read, unless that happens with each message. */
static void mask_extended(struct sim_igb *igb)
{
	if (!(*igb_reg(igb, IGB_GPIE) & IGB_GPIE_EIAME))
		igb->eims &= ~*igb_reg(igb, IGB_EIAM);
}

bool igb_interrupt_read(struct sim_igb *igb, uint32_t offset, uint32_t *value)
{
	switch (offset) {
	case IGB_ICR:
		*value = read_icr(igb);
		return true;
	case IGB_IMS:
	case IGB_IMC:
		*value = igb->ims;
		return true;
	case IGB_EICR:
		*value = igb->eicr;
		igb->eicr = 0;
		mask_extended(igb);
		return true;
	case IGB_EIMS:
	case IGB_EIMC:
		*value = igb->eims;
		return true;
	case IGB_ICS:
	case IGB_EICS:
		*value = 0;
		return true;
	default:
		return false;
	}
}

bool igb_interrupt_write(struct sim_igb *igb, uint32_t offset, uint32_t value)
{
	switch (offset) {
	case IGB_ICR:
		clear_icr(igb, value);
		return true;
	case IGB_ICS:
		igb_cause_other(igb, value & ~IGB_ICR_ASSERTED);
		return true;
	case IGB_IMS:
		igb->ims |= value & ~IGB_ICR_ASSERTED;
		/* What is pending already counts from here on. */
		igb_cause_other(igb, igb->icr & igb->ims);
		return true;
	case IGB_IMC:
		igb->ims &= ~value;
		return true;
	case IGB_EICR:
		igb->eicr &= ~value;
		return true;
	case IGB_EICS:
		igb->eicr |= value & (per_vector(igb) ? IGB_EICR_VECTORS : IGB_EICR_QUEUES);
		/* Software's cause is one more message, even where one was sent before. */
		igb->sent &= ~value;
		return true;
	case IGB_EIMS:
		igb->eims |= value;
		return true;
	case IGB_EIMC:
		igb->eims &= ~value;
		return true;
	default:
		return false;
	}
}
