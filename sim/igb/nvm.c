/* SPDX-License-Identifier: BSD-3-Clause */
/* The EEPROM: the address, what drivers look up, and a checksum that is right (datasheet, chapter
 * 6). */
#include "igb/device.h"

#define WORD_MAC 0x00
#define WORD_SUBSYSTEM_ID 0x0b
#define WORD_SUBSYSTEM_VENDOR 0x0c
#define WORD_DEVICE_ID 0x0d
#define WORD_VENDOR_ID 0x0e
#define WORD_ALTERNATE_MAC 0x37 /* 0xffff: there is none */
#define WORD_CHECKSUM 0x3f
#define CHECKSUM 0xbaba

void igb_nvm_init(struct sim_igb *igb)
{
	const uint8_t *mac = igb->options.mac;
	uint16_t *nvm = igb->nvm, sum = 0;

	for (unsigned int i = 0; i < 3; i++)
		nvm[WORD_MAC + i] = (uint16_t)(mac[2 * i] | mac[2 * i + 1] << 8);
	nvm[WORD_SUBSYSTEM_ID] = 0;
	nvm[WORD_SUBSYSTEM_VENDOR] = IGB_VENDOR_ID;
	nvm[WORD_DEVICE_ID] = IGB_DEVICE_ID;
	nvm[WORD_VENDOR_ID] = IGB_VENDOR_ID;
	nvm[WORD_ALTERNATE_MAC] = 0xffff;
	for (unsigned int i = 0; i < WORD_CHECKSUM; i++)
		sum = (uint16_t)(sum + nvm[i]);
	nvm[WORD_CHECKSUM] = (uint16_t)(CHECKSUM - sum);
}

uint32_t igb_nvm_read(const struct sim_igb *igb, uint32_t eerd)
{
	uint32_t word = (eerd & 0xffff) >> 2;
	uint32_t value = word < DEV_NVM_WORDS ? igb->nvm[word] : 0xffff;

	return (eerd & 0xfffc) | IGB_EERD_DONE | value << 16;
}
