/* SPDX-License-Identifier: BSD-3-Clause */
/* Registers and descriptors of the Intel 82576, as far as they are emulated (82576 datasheet,
 * chapters 7 and 8). Little-endian. */
#ifndef WEIR_SIM_IGB_SPEC_H
#define WEIR_SIM_IGB_SPEC_H

#include <stdint.h>

#define IGB_VENDOR_ID 0x8086
#define IGB_DEVICE_ID 0x10c9
#define IGB_CLASS_CODE 0x020000
#define IGB_BAR_BYTES 0x20000u
#define IGB_MSIX_BAR_BYTES 0x4000u
#define IGB_MSIX_PBA 0x2000u
#define IGB_QUEUES 16u
#define IGB_VECTORS 25u
#define IGB_DESC_BYTES 16u
#define IGB_MAX_RING_BYTES 0x80000u
/* The largest frame with its checksum, and what the wire adds to one without. */
#define IGB_MAX_FRAME 9728u
#define IGB_FCS_BYTES 4u
#define IGB_MIN_FRAME 60u /* without the FCS */

/* General registers. */
#define IGB_CTRL 0x0000u
#define IGB_CTRL_ALIAS 0x0004u
#define IGB_STATUS 0x0008u
#define IGB_EECD 0x0010u
#define IGB_EERD 0x0014u
#define IGB_CTRL_EXT 0x0018u
#define IGB_MDIC 0x0020u
#define IGB_VET 0x0038u
#define IGB_EEMNGCTL 0x1010u
#define IGB_SWSM 0x5b50u
#define IGB_SW_FW_SYNC 0x5b5cu

#define IGB_CTRL_FD (1u << 0)
#define IGB_CTRL_MASTER_DISABLE (1u << 2)
#define IGB_CTRL_SLU (1u << 6)
#define IGB_CTRL_SPEED_1000 (2u << 8)
#define IGB_CTRL_RST (1u << 26)
#define IGB_CTRL_VME (1u << 30)
#define IGB_CTRL_PHY_RST (1u << 31)

#define IGB_STATUS_FD (1u << 0)
#define IGB_STATUS_LU (1u << 1)
#define IGB_STATUS_SPEED_1000 (2u << 6)
#define IGB_STATUS_ASDV_1000 (2u << 8)
#define IGB_STATUS_PHYRA (1u << 10)
#define IGB_STATUS_MASTER (1u << 19)
#define IGB_STATUS_RESET_DONE (1u << 21)

#define IGB_CTRL_EXT_EIAME (1u << 24)
#define IGB_CTRL_EXT_IAME (1u << 27)
#define IGB_CTRL_EXT_DRV_LOAD (1u << 28)

#define IGB_EECD_REQUEST (1u << 6)
#define IGB_EECD_GRANT (1u << 7)
#define IGB_EECD_PRESENT (1u << 8)
#define IGB_EECD_AUTO_READ (1u << 9)
#define IGB_EECD_SIZE_SHIFT 11
#define IGB_EERD_START (1u << 0)
#define IGB_EERD_DONE (1u << 1)
#define IGB_EEMNGCTL_CFG_DONE (1u << 18)

#define IGB_MDIC_REGISTER_SHIFT 16
#define IGB_MDIC_ADDRESS_SHIFT 21
#define IGB_MDIC_WRITE (1u << 26)
#define IGB_MDIC_READ (2u << 26)
#define IGB_MDIC_READY (1u << 28)
#define IGB_MDIC_INTERRUPT (1u << 29)
#define IGB_MDIC_ERROR (1u << 30)

#define IGB_SWSM_SMBI (1u << 0)

/* Interrupts, §8.8. */
#define IGB_ICR 0x1500u
#define IGB_ICS 0x1504u
#define IGB_IMS 0x1508u
#define IGB_IMC 0x150cu
#define IGB_IAM 0x1510u
#define IGB_GPIE 0x1514u
#define IGB_EICS 0x1520u
#define IGB_EIMS 0x1524u
#define IGB_EIMC 0x1528u
#define IGB_EIAC 0x152cu
#define IGB_EIAM 0x1530u
#define IGB_EICR 0x1580u
#define IGB_EITR 0x1680u
#define IGB_IVAR 0x1700u
#define IGB_IVAR_MISC 0x1740u
/* The same ones where older controllers have them. */
#define IGB_ICR_ALIAS 0x00c0u
#define IGB_ICS_ALIAS 0x00c8u
#define IGB_IMS_ALIAS 0x00d0u
#define IGB_IMC_ALIAS 0x00d8u
#define IGB_IAM_ALIAS 0x00e0u

#define IGB_ICR_TXDW (1u << 0)
#define IGB_ICR_LSC (1u << 2)
#define IGB_ICR_RXDMT0 (1u << 4)
#define IGB_ICR_RXO (1u << 6)
#define IGB_ICR_RXDW (1u << 7)
#define IGB_ICR_FATAL (1u << 22)
#define IGB_ICR_DOUTSYNC (1u << 28)
#define IGB_ICR_ASSERTED (1u << 31)

#define IGB_GPIE_NSICR (1u << 0)
#define IGB_GPIE_MULTIPLE_MSIX (1u << 4)
#define IGB_GPIE_EIAME (1u << 30)

#define IGB_EICR_OTHER (1u << 31)
#define IGB_EICR_QUEUES 0xffffu
#define IGB_EICR_VECTORS ((1u << IGB_VECTORS) - 1)

#define IGB_EITR_INTERVAL_SHIFT 2
#define IGB_EITR_INTERVAL_MASK 0x1fffu /* microseconds */

#define IGB_IVAR_VALID 0x80u
#define IGB_IVAR_VECTOR 0x1fu

/* Receive, §8.10. */
#define IGB_RCTL 0x0100u
#define IGB_RXPBS 0x2404u
#define IGB_RXCSUM 0x5000u
#define IGB_RLPML 0x5004u
#define IGB_MTA 0x5200u
#define IGB_RAL 0x5400u /* entries 0 to 15 */
#define IGB_RAL_HIGH 0x54e0u /* entries 16 to 23 */
#define IGB_PSRTYPE 0x5480u
#define IGB_VFTA 0x5600u
#define IGB_MRQC 0x5818u
#define IGB_RETA 0x5c00u
#define IGB_RSSRK 0x5c80u

#define IGB_RCTL_RXEN (1u << 1)
#define IGB_RCTL_SBP (1u << 2)
#define IGB_RCTL_UPE (1u << 3)
#define IGB_RCTL_MPE (1u << 4)
#define IGB_RCTL_LPE (1u << 5)
#define IGB_RCTL_LOOPBACK (3u << 6)
#define IGB_RCTL_LOOPBACK_MAC (1u << 6)
#define IGB_RCTL_MO_SHIFT 12
#define IGB_RCTL_BAM (1u << 15)
#define IGB_RCTL_BSIZE_SHIFT 16
#define IGB_RCTL_VFE (1u << 18)
#define IGB_RCTL_CFIEN (1u << 19)
#define IGB_RCTL_CFI (1u << 20)
#define IGB_RCTL_SECRC (1u << 26)

#define IGB_RAH_VALID (1u << 31)
#define IGB_RAL_ENTRIES 24u
#define IGB_MTA_ENTRIES 128u

#define IGB_RXCSUM_IPOFLD (1u << 8)
#define IGB_RXCSUM_TUOFLD (1u << 9)
#define IGB_RXCSUM_CRCOFL (1u << 11)
#define IGB_RXCSUM_PCSD (1u << 13)

#define IGB_MRQC_MODE 7u
#define IGB_MRQC_RSS 2u
#define IGB_MRQC_DEFAULT_QUEUE_SHIFT 3
#define IGB_MRQC_TCP_IPV4 (1u << 16)
#define IGB_MRQC_IPV4 (1u << 17)
#define IGB_MRQC_TCP_IPV6_EX (1u << 18)
#define IGB_MRQC_IPV6_EX (1u << 19)
#define IGB_MRQC_IPV6 (1u << 20)
#define IGB_MRQC_TCP_IPV6 (1u << 21)
#define IGB_MRQC_UDP_IPV4 (1u << 22)
#define IGB_MRQC_UDP_IPV6 (1u << 23)
#define IGB_MRQC_UDP_IPV6_EX (1u << 24)
#define IGB_RSS_KEY_BYTES 40u
#define IGB_RETA_ENTRIES 128u

/* Transmit, §8.12. */
#define IGB_TCTL 0x0400u
#define IGB_DTXTCPFLGL 0x359cu
#define IGB_DTXTCPFLGH 0x35a0u
#define IGB_TCTL_EN (1u << 1)
#define IGB_TCTL_PSP (1u << 3)

/* Queues: 64 bytes each, and the first four in a second place, 256 bytes each. */
#define IGB_RX_QUEUES 0xc000u
#define IGB_TX_QUEUES 0xe000u
#define IGB_QUEUE_STRIDE 0x40u
#define IGB_RX_QUEUES_ALIAS 0x2800u
#define IGB_TX_QUEUES_ALIAS 0x3800u
#define IGB_QUEUE_STRIDE_ALIAS 0x100u
#define IGB_QUEUES_ALIAS 4u
#define IGB_QUEUE_PAGE_BYTES 0x1000u

#define IGB_DCTL_ENABLE (1u << 25)
#define IGB_DCTL_FLUSH (1u << 26)

#define IGB_SRRCTL_PACKET_MASK 0x7fu /* KiB */
#define IGB_SRRCTL_HEADER_SHIFT 8
#define IGB_SRRCTL_HEADER_MASK 0x3fu /* 64 bytes */
#define IGB_SRRCTL_RDMTS_SHIFT 20
#define IGB_SRRCTL_RDMTS_MASK 0x1fu /* 16 descriptors */
#define IGB_SRRCTL_TYPE_SHIFT 25
#define IGB_SRRCTL_DROP (1u << 31)
enum igb_desc_type {
	IGB_DESC_LEGACY = 0,
	IGB_DESC_ONE_BUFFER = 1,
	IGB_DESC_SPLIT = 2,
	IGB_DESC_REPLICATE = 3,
	IGB_DESC_REPLICATE_LARGE = 4,
	IGB_DESC_SPLIT_ALWAYS = 5,
};

#define IGB_TDWBAL_ENABLE (1u << 0)

/* The registers of a queue. What differs between the directions has both names. */
struct igb_queue_regs {
	uint32_t base_low, base_high;
	uint32_t bytes;
	uint32_t srrctl; /* receive */
	uint32_t head;
	uint32_t dca;
	uint32_t tail;
	uint32_t reserved0;
	uint32_t reserved1, reserved2;
	uint32_t control; /* RXDCTL, TXDCTL */
	uint32_t reserved3;
	uint32_t dropped; /* receive: RQDPC */
	uint32_t reserved4;
	uint32_t write_back_low, write_back_high; /* transmit: TDWBAL, TDWBAH */
};
_Static_assert(sizeof(struct igb_queue_regs) == IGB_QUEUE_STRIDE, "as the datasheet says");

/* Statistics, §8.18: from here on, 4 bytes each, cleared when they are read. */
#define IGB_STATS 0x4000u
#define IGB_STATS_END 0x4138u
#define IGB_CRCERRS 0x4000u
#define IGB_RXERRC 0x400cu
#define IGB_MPC 0x4010u
#define IGB_RLEC 0x4040u
#define IGB_PRC64 0x405cu /* and five more, by length */
#define IGB_GPRC 0x4074u
#define IGB_BPRC 0x4078u
#define IGB_MPRC 0x407cu
#define IGB_GPTC 0x4080u
#define IGB_GORCL 0x4088u
#define IGB_GOTCL 0x4090u
#define IGB_RNBC 0x40a0u
#define IGB_RUC 0x40a4u
#define IGB_RFC 0x40a8u
#define IGB_ROC 0x40acu
#define IGB_RJC 0x40b0u
#define IGB_TORL 0x40c0u
#define IGB_TOTL 0x40c8u
#define IGB_TPR 0x40d0u
#define IGB_TPT 0x40d4u
#define IGB_PTC64 0x40d8u
#define IGB_MPTC 0x40f0u
#define IGB_BPTC 0x40f4u
#define IGB_TSCTC 0x40f8u
#define IGB_IAC 0x4100u
#define IGB_RPTHC 0x4104u
#define IGB_HGPTC 0x4118u
#define IGB_HGORCL 0x4128u
#define IGB_HGOTCL 0x4130u

/* Per queue, 0x100 bytes each. They are cleared when they are read, too. */
#define IGB_QUEUE_STATS 0x10000u
#define IGB_QUEUE_STATS_STRIDE 0x100u
#define IGB_PQGPRC 0x10u
#define IGB_PQGPTC 0x14u
#define IGB_PQGORC 0x18u
#define IGB_PQGOTC 0x34u
#define IGB_PQMPRC 0x38u

/* The PHY: IEEE 802.3 clause 22 registers, and those of the 82576's own. */
#define IGB_PHY_ADDRESS 1u
#define IGB_PHY_ID1 0x02a8u
#define IGB_PHY_ID2 0x0390u

/* Advanced receive descriptor: what the driver writes, and what comes back. §7.1.5. */
struct igb_rx_desc {
	union {
		struct {
			uint64_t packet, header;
		} read;
		struct {
			uint64_t info; /* types, header length, hash */
			uint64_t status; /* status and errors, length, VLAN tag */
		} write_back;
	};
};
_Static_assert(sizeof(struct igb_rx_desc) == IGB_DESC_BYTES, "as the datasheet says");

#define IGB_RX_TYPES 0x1ffffu /* RSS type and packet type */
#define IGB_RX_TYPE_IPV4 (1u << 4)
#define IGB_RX_TYPE_IPV4_OPTIONS (1u << 5)
#define IGB_RX_TYPE_IPV6 (1u << 6)
#define IGB_RX_TYPE_IPV6_EXTENSIONS (1u << 7)
#define IGB_RX_TYPE_TCP (1u << 8)
#define IGB_RX_TYPE_UDP (1u << 9)
#define IGB_RX_TYPE_SCTP (1u << 10)
#define IGB_RX_HEADER_SHIFT 21
#define IGB_RX_HEADER_MASK 0x3ffu
#define IGB_RX_SPH (1u << 31)

#define IGB_RX_DD (1u << 0)
#define IGB_RX_EOP (1u << 1)
#define IGB_RX_VP (1u << 3)
#define IGB_RX_UDPCS (1u << 4)
#define IGB_RX_L4CS (1u << 5)
#define IGB_RX_IPCS (1u << 6)
#define IGB_RX_PIF (1u << 7)
#define IGB_RX_HBO (1u << 23)
#define IGB_RX_L4E (1u << 29)
#define IGB_RX_IPE (1u << 30)
#define IGB_RX_RXE (1u << 31)

enum igb_rss_type {
	IGB_RSS_NONE = 0,
	IGB_RSS_TCP_IPV4 = 1,
	IGB_RSS_IPV4 = 2,
	IGB_RSS_TCP_IPV6 = 3,
	IGB_RSS_IPV6_EX = 4,
	IGB_RSS_IPV6 = 5,
	IGB_RSS_TCP_IPV6_EX = 6,
	IGB_RSS_UDP_IPV4 = 7,
	IGB_RSS_UDP_IPV6 = 8,
	IGB_RSS_UDP_IPV6_EX = 9,
};

/* Transmit descriptors: data and context. §7.2.2. */
struct igb_tx_desc {
	uint64_t address;
	uint32_t command; /* length, type, command */
	uint32_t options; /* status, context, checksums, payload */
};
_Static_assert(sizeof(struct igb_tx_desc) == IGB_DESC_BYTES, "as the datasheet says");

#define IGB_TX_LENGTH 0xffffu
#define IGB_TX_TYPE_SHIFT 20
#define IGB_TX_TYPE_CONTEXT 2u
#define IGB_TX_TYPE_DATA 3u
#define IGB_TX_EOP (1u << 24)
#define IGB_TX_IFCS (1u << 25)
#define IGB_TX_LEGACY_IC (1u << 26)
#define IGB_TX_RS (1u << 27)
#define IGB_TX_DEXT (1u << 29)
#define IGB_TX_VLE (1u << 30)
#define IGB_TX_TSE (1u << 31)
#define IGB_TX_DD (1u << 0)
#define IGB_TX_CONTEXT_SHIFT 4
#define IGB_TX_IXSM (1u << 8)
#define IGB_TX_TXSM (1u << 9)
#define IGB_TX_PAYLOAD_SHIFT 14

/* A context, as it lies in the words of its descriptor. */
#define IGB_CONTEXT_IPV4 (1u << 10)
#define IGB_CONTEXT_L4_SHIFT 11
enum igb_l4 {
	IGB_L4_UDP = 0,
	IGB_L4_TCP = 1,
	IGB_L4_SCTP = 2,
};
#define IGB_CONTEXTS 2u /* of each queue */

#endif
