/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Registers and descriptors of the Intel 82576, as far as the driver uses them. Little-endian.
 * Sections are those of the 82576EB datasheet, revision 2.87.
 */
#ifndef WEIR_IGB_SPEC_H
#define WEIR_IGB_SPEC_H

#define IGB_VENDOR_INTEL 0x8086
#define IGB_DEVICE_82576 0x10c9
#define IGB_BAR_BYTES 0x20000 /* of the registers, in BAR 0 */

#define IGB_QUEUES 16u /* each way */
#define IGB_MIN_ENTRIES 32u
#define IGB_MAX_ENTRIES 4096u
#define IGB_ENTRIES_MULTIPLE 8u /* 128 bytes (§8.10.7) */
#define IGB_MAX_PACKET 9728u /* with the frame check sequence (§8.10.3) */
#define IGB_FCS_BYTES 4u
#define IGB_MIN_MTU 68u
#define IGB_MIN_PACKET 17u /* that TCTL.PSP pads; the device may hang on a shorter one */
#define IGB_MAX_FRAME 32768u /* bytes of a transmit descriptor */
#define IGB_MAX_PACKET_FRAMES 64u
#define IGB_MAX_TSO 65535u
#define IGB_MAX_IP_HEADER 511u /* IPLEN, 9 bits */
#define IGB_MAX_TSO_HEADERS 512u /* all, with a tag that is inserted */
#define IGB_TAG_BYTES 4u
#define IGB_BUFFER_UNIT 1024u
#define IGB_MAX_BUFFER 16384u
#define IGB_HEADER_UNIT 64u
#define IGB_MAX_HEADER 960u
#define IGB_UNICAST_FILTERS 24u
#define IGB_RETA_ENTRIES 128u

/* General registers (§8.2). */
#define IGB_CTRL 0x0000
#define IGB_CTRL_FD (1u << 0)
#define IGB_CTRL_MASTER_DISABLE (1u << 2)
#define IGB_CTRL_SLU (1u << 6) /* set link up */
#define IGB_CTRL_FRCSPD (1u << 11)
#define IGB_CTRL_FRCDPX (1u << 12)
#define IGB_CTRL_RST (1u << 26)
#define IGB_CTRL_RFCE (1u << 27)
#define IGB_CTRL_TFCE (1u << 28)
#define IGB_CTRL_VME (1u << 30)

#define IGB_STATUS 0x0008
#define IGB_STATUS_FD (1u << 0)
#define IGB_STATUS_LU (1u << 1)
#define IGB_STATUS_LAN_ID(status) ((status) >> 2 & 3)
#define IGB_STATUS_SPEED(status) ((status) >> 6 & 3) /* 10, 100, 1000, 1000 */
#define IGB_STATUS_MASTER (1u << 19) /* DMA requests are not all answered, or may be made */

#define IGB_EEC 0x0010
#define IGB_EEC_AUTO_RD (1u << 9) /* the EEPROM was read */
#define IGB_EERD 0x0014
#define IGB_EERD_START (1u << 0)
#define IGB_EERD_DONE (1u << 1)
#define IGB_EERD_ADDRESS(word) ((uint32_t)(word) << 2)
#define IGB_EERD_DATA(eerd) ((uint16_t)((eerd) >> 16))
#define IGB_EEPROM_PORT 0x80 /* words from one port's part to the other's */

#define IGB_CTRL_EXT 0x0018
#define IGB_CTRL_EXT_LINK_MODE (3u << 22) /* 0: the internal PHY */
#define IGB_CTRL_EXT_DRV_LOAD (1u << 28)

#define IGB_MDIC 0x0020
#define IGB_MDIC_DATA 0xffffu
#define IGB_MDIC_REGISTER(reg) ((uint32_t)(reg) << 16)
#define IGB_MDIC_PHY (1u << 21) /* the internal PHY's address */
#define IGB_MDIC_WRITE (1u << 26)
#define IGB_MDIC_READ (2u << 26)
#define IGB_MDIC_READY (1u << 28)
#define IGB_MDIC_ERROR (1u << 30)

/* Registers of the PHY (§8.25; IEEE 802.3 clause 22). */
#define IGB_PHY_CONTROL 0
#define IGB_PHY_CONTROL_RESTART (1u << 9) /* of auto-negotiation */
#define IGB_PHY_CONTROL_ISOLATE (1u << 10)
#define IGB_PHY_CONTROL_POWER_DOWN (1u << 11)
#define IGB_PHY_CONTROL_AUTO (1u << 12)

#define IGB_PCS_LCTL 0x4208
#define IGB_PCS_LCTL_RESTART (1u << 17)
#define IGB_PCS_LCTL_AUTO (1u << 16)

/* Semaphores between this driver, that of the other port and the firmware (§8.16). */
#define IGB_SWSM 0x5b50
#define IGB_SWSM_SMBI (1u << 0)
#define IGB_SWSM_SWESMBI (1u << 1)
#define IGB_SW_FW_SYNC 0x5b5c
#define IGB_SW_PHY(port) (2u << (port))
#define IGB_FW_PHY(port) (IGB_SW_PHY(port) << 16)

/* Interrupts (§8.8). */
#define IGB_ICR 0x1500
#define IGB_IMS 0x1508
#define IGB_IMC 0x150c
#define IGB_INT_LINK (1u << 2)
#define IGB_GPIE 0x1514
#define IGB_GPIE_NSICR (1u << 0) /* reading ICR clears it */
#define IGB_GPIE_MSIX (1u << 4)
#define IGB_GPIE_PBA (1u << 31)
#define IGB_EIMS 0x1524
#define IGB_EIMC 0x1528
#define IGB_EIAC 0x152c
#define IGB_EITR(vector) (0x1680 + 4 * (vector))
#define IGB_IVAR(n) (0x1700 + 4 * (n))
#define IGB_IVAR_REGISTERS 8u /* each has receive queue n and, from bit 16 on, n + 8 */
#define IGB_IVAR_MISC 0x1740
#define IGB_IVAR_VALID 0x80u

/* Receiving (§8.10). */
#define IGB_RCTL 0x0100
#define IGB_RCTL_RXEN (1u << 1)
#define IGB_RCTL_UPE (1u << 3) /* all unicast */
#define IGB_RCTL_MPE (1u << 4) /* all multicast */
#define IGB_RCTL_LPE (1u << 5) /* long packets */
#define IGB_RCTL_BAM (1u << 15) /* broadcast */
#define IGB_RCTL_VFE (1u << 18) /* VLAN filter */
#define IGB_RCTL_SECRC (1u << 26) /* the frame check sequence is taken off */
#define IGB_RXCSUM 0x5000
#define IGB_RXCSUM_IP (1u << 8)
#define IGB_RXCSUM_L4 (1u << 9)
#define IGB_RXCSUM_SCTP (1u << 11)
#define IGB_RXCSUM_PCSD (1u << 13) /* the hash takes the place of the packet's checksum */
#define IGB_RLPML 0x5004 /* longest packet, with the frame check sequence */
#define IGB_MTA(n) (0x5200 + 4 * (n))
#define IGB_MTA_REGISTERS 128u
#define IGB_PSRTYPE(n) (0x5480 + 4 * (n))
#define IGB_PSRTYPE_ALL 0x0007effeu /* all kinds of headers but the Ethernet header alone */
#define IGB_RAL(n) (((n) < 16 ? 0x5400 : 0x54e0 - 16 * 8) + 8 * (n))
#define IGB_RAH(n) (IGB_RAL(n) + 4)
#define IGB_RAH_VALID (1u << 31)
#define IGB_VFTA(n) (0x5600 + 4 * (n))
#define IGB_VFTA_REGISTERS 128u
#define IGB_MRQC 0x5818
#define IGB_MRQC_RSS 2u /* up to 16 queues, by the hash */
#define IGB_RETA(n) (0x5c00 + 4 * (n))
#define IGB_RSSRK(n) (0x5c80 + 4 * (n))

#define IGB_RX_QUEUE(n) (0xc000 + 0x40 * (n))
#define IGB_TX_QUEUE(n) (0xe000 + 0x40 * (n))
/* Behind either. */
#define IGB_BASE_LOW 0x00
#define IGB_BASE_HIGH 0x04
#define IGB_LENGTH 0x08 /* bytes */
#define IGB_SRRCTL 0x0c
#define IGB_HEAD 0x10
#define IGB_TAIL 0x18
#define IGB_DCTL 0x28 /* RXDCTL, TXDCTL */
#define IGB_RQDPC 0x30 /* packets dropped by the queue, 32 bits; cleared when it is read */

#define IGB_SRRCTL_ONE_BUFFER (1u << 25)
#define IGB_SRRCTL_SPLIT_ALWAYS (5u << 25)
#define IGB_SRRCTL_HEADER(bytes) ((bytes) / IGB_HEADER_UNIT << 8)
#define IGB_SRRCTL_DROP (1u << 31)
#define IGB_DCTL_ENABLE (1u << 25)
/* Descriptors are fetched when 8 or fewer are left in the device and 8 are there (§7.1.4.3,
 * §7.2.2.7). Received ones are written back one by one: nothing makes the device write back fewer
 * than it was told to wait for when no interrupt does. Sent ones are when they were told to report.
 */
#define IGB_RXDCTL_THRESHOLDS (8u | 8u << 8 | 1u << 16)
#define IGB_TXDCTL_THRESHOLDS (8u | 1u << 8)

/* Transmitting (§8.12). */
#define IGB_TCTL 0x0400
#define IGB_TCTL_EN (1u << 1)
#define IGB_TCTL_PSP (1u << 3) /* short packets are padded */
#define IGB_TCTL_CT (15u << 4) /* collisions: tries, and distance */
#define IGB_TCTL_COLD (64u << 12)
#define IGB_TCTL_RTLC (1u << 24)

/* A receive descriptor (§7.1.5): what the driver writes is two addresses. What the device writes:
 * the first word, */
#define IGB_RXD_TYPES 0x7ffu /* RSS type and packet type, as weir_frame_flags has them */
#define IGB_RXD_HEADER(word) ((uint32_t)(word) >> 21 & 0x3ff)
/* and the second: status and errors, length in bits 47:32, VLAN tag in bits 63:48. */
#define IGB_RXD_DD (1u << 0)
#define IGB_RXD_EOP (1u << 1)
#define IGB_RXD_HBO (1u << 23) /* the header buffer was too short */

/* Transmit descriptors (§7.2.2): a data descriptor has the address, and then */
#define IGB_TXD_DATA (3u << 20)
#define IGB_TXD_CONTEXT (2u << 20)
#define IGB_TXD_EOP (1u << 24)
#define IGB_TXD_IFCS (1u << 25)
#define IGB_TXD_RS (1u << 27)
#define IGB_TXD_DEXT (1u << 29)
#define IGB_TXD_VLE (1u << 30)
#define IGB_TXD_TSE (1u << 31)
#define IGB_TXD_IXSM (UINT64_C(1) << 40)
#define IGB_TXD_TXSM (UINT64_C(1) << 41)
#define IGB_TXD_PAYLEN 46 /* shift */
#define IGB_TXD_DD (UINT64_C(1) << 32) /* written by the device */
/* A context descriptor (§7.2.2.2), in two words of 64 bits. */
#define IGB_CTX_MACLEN 9 /* shifts in the first */
#define IGB_CTX_VLAN 16
#define IGB_CTX_IPV4 (1u << 10) /* in the second */
#define IGB_CTX_UDP (0u << 11)
#define IGB_CTX_TCP (1u << 11)
#define IGB_CTX_SCTP (2u << 11)
#define IGB_CTX_L4LEN (32 + 8)
#define IGB_CTX_MSS (32 + 16)

#endif
