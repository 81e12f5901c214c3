/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Numbers and layouts of the NVM Express Base Specification 2.0 ("base"), the NVM Command Set
 * Specification 1.0 ("nvm") and the PCIe Transport Specification 1.0 ("pcie"). Little endian, as
 * the host is.
 */
#ifndef WEIR_NVME_SPEC_H
#define WEIR_NVME_SPEC_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

/* Controller properties, base §3.1.3. */
enum {
	NVME_REG_CAP = 0x00,
	NVME_REG_VS = 0x08,
	NVME_REG_CC = 0x14,
	NVME_REG_CSTS = 0x1c,
	NVME_REG_AQA = 0x24,
	NVME_REG_ASQ = 0x28,
	NVME_REG_ACQ = 0x30,
	NVME_REG_CMBLOC = 0x38,
	NVME_REG_CMBSZ = 0x3c,
	NVME_REG_CMBMSC = 0x50,
	NVME_REG_DOORBELLS = 0x1000, /* pcie §3.1.2 */
};

#define NVME_CAP_MQES(cap) ((uint32_t)(cap)&0xffff)
#define NVME_CAP_TO(cap) ((uint32_t)((cap) >> 24) & 0xff) /* 500 ms */
#define NVME_CAP_DSTRD(cap) ((uint32_t)((cap) >> 32) & 0xf)
#define NVME_CAP_CSS(cap) ((uint32_t)((cap) >> 37) & 0xff)
#define NVME_CAP_MPSMIN(cap) ((uint32_t)((cap) >> 48) & 0xf)
#define NVME_CAP_MPSMAX(cap) ((uint32_t)((cap) >> 52) & 0xf)
#define NVME_CAP_CMBS(cap) ((uint32_t)((cap) >> 57) & 0x1)
#define NVME_CAP_CSS_NVM 0x1u

#define NVME_CC_EN 0x1u
#define NVME_CC_MPS(mps) ((uint32_t)(mps) << 7)
#define NVME_CC_SHN_MASK (0x3u << 14)
#define NVME_CC_SHN_NORMAL (0x1u << 14)
#define NVME_CC_IOSQES (6u << 16) /* 64-byte entries */
#define NVME_CC_IOCQES (4u << 20) /* 16-byte entries */

#define NVME_CSTS_RDY 0x1u
#define NVME_CSTS_CFS 0x2u
#define NVME_CSTS_SHST_MASK 0xcu
#define NVME_CSTS_SHST_COMPLETE 0x8u

#define NVME_CMBLOC_BIR(reg) ((reg)&0x7)
#define NVME_CMBLOC_OFST(reg) ((reg) >> 12)
#define NVME_CMBSZ_SQS 0x01u
#define NVME_CMBSZ_RDS 0x08u
#define NVME_CMBSZ_WDS 0x10u
#define NVME_CMBSZ_SZU(reg) ((reg) >> 8 & 0xf) /* 4 KiB << 4 * SZU */
#define NVME_CMBSZ_SZ(reg) ((reg) >> 12)
#define NVME_CMBMSC_CRE 0x1u
#define NVME_CMBMSC_CMSE 0x2u

/* Admin opcodes, base §5. */
enum {
	NVME_ADMIN_DELETE_SQ = 0x00,
	NVME_ADMIN_CREATE_SQ = 0x01,
	NVME_ADMIN_GET_LOG_PAGE = 0x02,
	NVME_ADMIN_DELETE_CQ = 0x04,
	NVME_ADMIN_CREATE_CQ = 0x05,
	NVME_ADMIN_IDENTIFY = 0x06,
	NVME_ADMIN_ABORT = 0x08,
	NVME_ADMIN_SET_FEATURES = 0x09,
	NVME_ADMIN_ASYNC_EVENT = 0x0c,
	NVME_ADMIN_NS_MANAGEMENT = 0x0d,
	NVME_ADMIN_NS_ATTACHMENT = 0x15,
	NVME_ADMIN_DOORBELL_BUFFER = 0x7c,
	NVME_ADMIN_FORMAT = 0x80,
};

#define NVME_QUEUE_CONTIGUOUS 0x1u
#define NVME_CQ_INTERRUPTS 0x2u

#define NVME_CNS_NAMESPACE 0x00
#define NVME_CNS_CONTROLLER 0x01
#define NVME_CNS_ACTIVE 0x02

#define NVME_FEATURE_QUEUES 0x07
#define NVME_FEATURE_ASYNC_EVENTS 0x0b

#define NVME_LOG_CHANGED_NAMESPACES 0x04

/* Asynchronous event dword 0, base §5.2.1. */
#define NVME_EVENT_TYPE(dw0) ((dw0)&0x7)
#define NVME_EVENT_INFO(dw0) ((dw0) >> 8 & 0xff)
#define NVME_EVENT_LOG(dw0) ((dw0) >> 16 & 0xff)
#define NVME_EVENT_NOTICE 2
#define NVME_NOTICE_NAMESPACES 0
#define NVME_ASYNC_NAMESPACES (1u << 8)

struct nvme_cqe {
	uint32_t dw0;
	uint32_t dw1;
	uint16_t sq_head;
	uint16_t sq_id;
	uint16_t cid;
	uint16_t status; /* phase in bit 0 */
};
static_assert(sizeof(struct nvme_cqe) == 16, "completion queue entry, base §4.2.2");

/* Command dword 0. */
#define NVME_CID_SHIFT 16
#define NVME_CID_MASK 0xffff0000u
#define NVME_CMD_CID(cid) ((uint32_t)(cid) << NVME_CID_SHIFT)
#define NVME_CMD_SGL (0x1u << 14) /* PSDT 01b: SGL for data, contiguous metadata buffer */

/* SGL descriptors, base §4.1.2.1; the type is in the top nibble of the last byte. */
struct nvme_sgl {
	uint64_t address;
	uint32_t bytes;
	uint8_t reserved[3];
	uint8_t type;
};
static_assert(sizeof(struct nvme_sgl) == 16, "SGL descriptor");
#define NVME_SGL_DATA 0x00
#define NVME_SGL_LAST_SEGMENT 0x30

/* Identify Controller, base figure 275: what the driver uses of it. */
struct nvme_id_ctrl {
	uint16_t vid;
	uint16_t ssvid;
	char sn[20];
	char mn[40];
	char fr[8];
	uint8_t rab;
	uint8_t ieee[3];
	uint8_t cmic;
	uint8_t mdts;
	uint16_t cntlid;
	uint32_t ver;
	uint32_t rtd3r;
	uint32_t rtd3e; /* us */
	uint32_t oaes;
	uint8_t reserved96[160];
	uint16_t oacs;
	uint8_t acl;
	uint8_t aerl;
	uint8_t reserved260[256];
	uint32_t nn;
	uint16_t oncs;
	uint16_t fuses;
	uint8_t fna;
	uint8_t vwc;
	uint8_t reserved526[10];
	uint32_t sgls;
	uint8_t reserved540[228];
	char subnqn[256];
	uint8_t reserved1024[3072];
};
static_assert(sizeof(struct nvme_id_ctrl) == 4096, "Identify Controller");
static_assert(offsetof(struct nvme_id_ctrl, oacs) == 256, "OACS");
static_assert(offsetof(struct nvme_id_ctrl, nn) == 516, "NN");
static_assert(offsetof(struct nvme_id_ctrl, sgls) == 536, "SGLS");
static_assert(offsetof(struct nvme_id_ctrl, subnqn) == 768, "SUBNQN");

#define NVME_OACS_DOORBELL_BUFFER 0x100
#define NVME_ONCS_COMPARE 0x01
#define NVME_ONCS_DSM 0x04
#define NVME_ONCS_WRITE_ZEROES 0x08
#define NVME_ONCS_VERIFY 0x80
#define NVME_SGLS_SUPPORTED(sgls) (((sgls)&0x3) != 0)

/* Identify Namespace, nvm figure 97: what the driver uses of it. */
struct nvme_id_ns {
	uint64_t nsze;
	uint64_t ncap;
	uint64_t nuse;
	uint8_t nsfeat;
	uint8_t nlbaf;
	uint8_t flbas;
	uint8_t mc;
	uint8_t dpc;
	uint8_t dps;
	uint8_t nmic;
	uint8_t rescap;
	uint8_t fpi;
	uint8_t dlfeat;
	uint16_t nawun;
	uint16_t nawupf;
	uint16_t nacwu;
	uint16_t nabsn;
	uint16_t nabo;
	uint16_t nabspf;
	uint16_t noiob;
	uint8_t reserved48[51];
	uint8_t nsattr;
	uint8_t reserved100[4];
	uint8_t nguid[16];
	uint8_t eui64[8];
	struct {
		uint16_t ms;
		uint8_t lbads;
		uint8_t rp;
	} lbaf[64];
	uint8_t reserved384[3712];
};
static_assert(sizeof(struct nvme_id_ns) == 4096, "Identify Namespace");
static_assert(offsetof(struct nvme_id_ns, noiob) == 46, "NOIOB");
static_assert(offsetof(struct nvme_id_ns, nguid) == 104, "NGUID");
static_assert(offsetof(struct nvme_id_ns, lbaf) == 128, "LBAF");

#define NVME_FLBAS_INDEX(flbas) (((flbas)&0xf) | ((flbas) >> 1 & 0x30))
#define NVME_FLBAS_EXTENDED 0x10
#define NVME_NSATTR_WRITE_PROTECTED 0x01

#define NVME_NSID_ALL 0xffffffffu

#endif
