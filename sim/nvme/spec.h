/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Numbers and layouts of the NVM Express Base Specification 2.0 ("base"), the NVM Command Set
 * Specification 1.0 ("nvm") and the PCIe Transport Specification 1.0 ("pcie"), as a controller
 * needs them. Written apart from the driver's, so that a mistake in one shows against the other.
 * Little endian, as the host is.
 */
#ifndef WEIR_SIM_NVME_SPEC_H
#define WEIR_SIM_NVME_SPEC_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define NVME_CLASS_CODE 0x010802u /* pcie §3.8.1: mass storage, NVM, NVM Express I/O controller */
#define NVME_VERSION_2_0 0x00020000u

/* Controller properties, base §3.1.3. */
enum nvme_property {
	NVME_CAP = 0x00,
	NVME_VS = 0x08,
	NVME_INTMS = 0x0c,
	NVME_INTMC = 0x10,
	NVME_CC = 0x14,
	NVME_CSTS = 0x1c,
	NVME_AQA = 0x24,
	NVME_ASQ = 0x28,
	NVME_ACQ = 0x30,
	NVME_CMBLOC = 0x38,
	NVME_CMBSZ = 0x3c,
	NVME_CMBMSC = 0x50,
	NVME_CMBSTS = 0x58,
	NVME_CRTO = 0x68,
	NVME_PROPERTIES_END = 0x70, /* all of them that this controller has lie below */
	NVME_DOORBELLS = 0x1000, /* pcie §3.1.2 */
};

/* CAP, base §3.1.3.1. */
#define NVME_CAP_CQR (UINT64_C(1) << 16)
#define NVME_CAP_TO_SHIFT 24
#define NVME_CAP_DSTRD_SHIFT 32
#define NVME_CAP_CSS_NVM (UINT64_C(1) << 37)
#define NVME_CAP_MPSMIN_SHIFT 48
#define NVME_CAP_MPSMAX_SHIFT 52
#define NVME_CAP_CMBS (UINT64_C(1) << 57)
#define NVME_CAP_CRWMS (UINT64_C(1) << 59)

/* CC, base §3.1.3.5. */
#define NVME_CC_EN 0x1u
#define NVME_CC_CSS(cc) ((cc) >> 4 & 0x7)
#define NVME_CC_MPS(cc) ((cc) >> 7 & 0xf)
#define NVME_CC_AMS(cc) ((cc) >> 11 & 0x7)
#define NVME_CC_SHN(cc) ((cc) >> 14 & 0x3)
#define NVME_CC_IOSQES(cc) ((cc) >> 16 & 0xf)
#define NVME_CC_IOCQES(cc) ((cc) >> 20 & 0xf)
#define NVME_CC_WRITABLE 0x00fffff1u
#define NVME_SQES 6 /* 64 bytes, as a power of two */
#define NVME_CQES 4 /* 16 bytes */

/* CSTS, base §3.1.3.6. */
#define NVME_CSTS_RDY 0x1u
#define NVME_CSTS_CFS 0x2u
#define NVME_CSTS_SHST_MASK 0xcu
#define NVME_CSTS_SHST_COMPLETE 0x8u

/* CMBLOC, CMBSZ, CMBMSC, CMBSTS, base §3.1.3.11 to 3.1.3.17. */
#define NVME_CMBLOC_MIXED 0xf8u /* CQMMS, CQPDS, CDPMLS, CDPCILS, CDMMMS: anything may be mixed */
#define NVME_CMBSZ_ALL 0x1fu /* SQS, CQS, LISTS, RDS, WDS; SZU 0: 4 KiB */
#define NVME_CMBSZ_SZ_SHIFT 12
#define NVME_CMBMSC_CRE 0x1u
#define NVME_CMBMSC_CMSE 0x2u
#define NVME_CMBMSC_CBA (~UINT64_C(0xfff))
#define NVME_CMBSTS_CBAI 0x1u

/* Submission queue entry, base §4.1. */
struct nvme_sqe {
	uint8_t opcode;
	uint8_t flags;
	uint16_t cid;
	uint32_t nsid;
	uint32_t cdw2;
	uint32_t cdw3;
	uint64_t mptr;
	uint64_t prp1;
	uint64_t prp2;
	uint32_t cdw10;
	uint32_t cdw11;
	uint32_t cdw12;
	uint32_t cdw13;
	uint32_t cdw14;
	uint32_t cdw15;
};
static_assert(sizeof(struct nvme_sqe) == 64, "submission queue entry");
static_assert(offsetof(struct nvme_sqe, prp1) == 24, "data pointer");

#define NVME_SQE_FUSE(flags) ((flags)&0x3)
#define NVME_SQE_RESERVED(flags) ((flags) >> 2 & 0xf)
#define NVME_SQE_PSDT(flags) ((flags) >> 6)
#define NVME_PSDT_PRP 0
#define NVME_PSDT_SGL 1 /* metadata pointer is an address */
#define NVME_PSDT_SGL_METADATA 2 /* metadata pointer points to an SGL segment */

/* Completion queue entry, base §4.2. */
struct nvme_cqe {
	uint32_t dw0;
	uint32_t dw1;
	uint16_t sq_head;
	uint16_t sq_id;
	uint16_t cid;
	uint16_t status; /* phase in bit 0 */
};
static_assert(sizeof(struct nvme_cqe) == 16, "completion queue entry");

/* SGL descriptor, base §4.1.2.1. */
struct nvme_sgl {
	uint64_t address;
	uint32_t bytes;
	uint8_t reserved[3];
	uint8_t type; /* type in 7:4, subtype in 3:0 */
};
static_assert(sizeof(struct nvme_sgl) == 16, "SGL descriptor");
#define NVME_SGL_DATA_BLOCK 0x00
#define NVME_SGL_SEGMENT 0x20
#define NVME_SGL_LAST_SEGMENT 0x30

/* Status without the phase: code in 7:0, type in 10:8, base §4.2.3. */
enum nvme_status {
	NVME_SUCCESS = 0x000,
	NVME_INVALID_OPCODE = 0x001,
	NVME_INVALID_FIELD = 0x002,
	NVME_DATA_TRANSFER_ERROR = 0x004,
	NVME_ABORT_REQUESTED = 0x007,
	NVME_INVALID_NAMESPACE = 0x00b,
	NVME_COMMAND_SEQUENCE = 0x00c,
	NVME_SGL_SEGMENT_INVALID = 0x00d,
	NVME_SGL_COUNT_INVALID = 0x00e,
	NVME_SGL_LENGTH_INVALID = 0x00f,
	NVME_SGL_TYPE_INVALID = 0x011,
	NVME_INVALID_PRP_OFFSET = 0x013,
	NVME_WRITE_PROTECTED = 0x020,
	NVME_LBA_OUT_OF_RANGE = 0x080,
	NVME_CQ_INVALID = 0x100,
	NVME_QID_INVALID = 0x101,
	NVME_QUEUE_SIZE_INVALID = 0x102,
	NVME_EVENT_LIMIT = 0x105,
	NVME_VECTOR_INVALID = 0x108,
	NVME_LOG_PAGE_INVALID = 0x109,
	NVME_QUEUE_DELETION_INVALID = 0x10c,
	NVME_FEATURE_NOT_SAVEABLE = 0x10d,
	NVME_WRITE_FAULT = 0x280,
	NVME_READ_ERROR = 0x281,
	NVME_COMPARE_FAILURE = 0x285,
};
#define NVME_DNR 0x4000u /* do not retry */

#define NVME_NSID_ALL 0xffffffffu

/* Admin opcodes, base §5. */
enum nvme_admin_opcode {
	NVME_ADMIN_DELETE_SQ = 0x00,
	NVME_ADMIN_CREATE_SQ = 0x01,
	NVME_ADMIN_GET_LOG_PAGE = 0x02,
	NVME_ADMIN_DELETE_CQ = 0x04,
	NVME_ADMIN_CREATE_CQ = 0x05,
	NVME_ADMIN_IDENTIFY = 0x06,
	NVME_ADMIN_ABORT = 0x08,
	NVME_ADMIN_SET_FEATURES = 0x09,
	NVME_ADMIN_GET_FEATURES = 0x0a,
	NVME_ADMIN_ASYNC_EVENT = 0x0c,
	NVME_ADMIN_DOORBELL_BUFFER = 0x7c,
};

/* I/O opcodes, nvm §3. */
enum nvme_io_opcode {
	NVME_IO_FLUSH = 0x00,
	NVME_IO_WRITE = 0x01,
	NVME_IO_READ = 0x02,
	NVME_IO_COMPARE = 0x05,
	NVME_IO_WRITE_ZEROES = 0x08,
	NVME_IO_DATASET_MANAGEMENT = 0x09,
	NVME_IO_VERIFY = 0x0c,
};

/* Command dword 12 of commands on a range of blocks, nvm §3.2. */
#define NVME_IO_NLB(dw12) (((dw12)&0xffff) + 1)
#define NVME_IO_DTYPE(dw12) ((dw12) >> 20 & 0xf)
#define NVME_IO_DEAC (1u << 25) /* Write Zeroes: may deallocate */
#define NVME_IO_FUA (1u << 30)
#define NVME_DSM_DEALLOCATE 0x4u /* dword 11 */

/* Dataset Management range, nvm §3.2.3. */
struct nvme_dsm_range {
	uint32_t attributes;
	uint32_t blocks;
	uint64_t lba;
};
static_assert(sizeof(struct nvme_dsm_range) == 16, "Dataset Management range");
#define NVME_DSM_MAX_RANGES 256

/* Create I/O queue, base §5.4 and §5.5, dword 11. */
#define NVME_QUEUE_CONTIGUOUS 0x1u
#define NVME_CQ_INTERRUPTS 0x2u

/* Identify, base §5.17. */
enum nvme_cns {
	NVME_CNS_NAMESPACE = 0x00,
	NVME_CNS_CONTROLLER = 0x01,
	NVME_CNS_ACTIVE = 0x02,
	NVME_CNS_DESCRIPTORS = 0x03,
	NVME_CNS_IO_NAMESPACE = 0x05,
	NVME_CNS_IO_CONTROLLER = 0x06,
};
#define NVME_IDENTIFY_BYTES 4096

/* Identify Controller, base figure 275. */
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
	uint32_t rtd3r; /* us */
	uint32_t rtd3e; /* us */
	uint32_t oaes;
	uint32_t ctratt;
	uint16_t rrls;
	uint8_t reserved102[9];
	uint8_t cntrltype;
	uint8_t fguid[16];
	uint8_t reserved128[128];
	uint16_t oacs;
	uint8_t acl;
	uint8_t aerl;
	uint8_t frmw;
	uint8_t lpa;
	uint8_t elpe;
	uint8_t npss;
	uint8_t avscc;
	uint8_t apsta;
	uint16_t wctemp; /* kelvin */
	uint16_t cctemp;
	uint8_t reserved270[242];
	uint8_t sqes;
	uint8_t cqes;
	uint16_t maxcmd;
	uint32_t nn;
	uint16_t oncs;
	uint16_t fuses;
	uint8_t fna;
	uint8_t vwc;
	uint16_t awun;
	uint16_t awupf;
	uint8_t icsvscc;
	uint8_t nwpc;
	uint16_t acwu;
	uint16_t ocfs;
	uint32_t sgls;
	uint32_t mnan;
	uint8_t reserved544[224];
	char subnqn[256];
	uint8_t reserved1024[1024];
	struct {
		uint16_t mp; /* 10 mW */
		uint8_t reserved2[30];
	} psd[32];
	uint8_t vendor[1024];
};
static_assert(sizeof(struct nvme_id_ctrl) == NVME_IDENTIFY_BYTES, "Identify Controller");
static_assert(offsetof(struct nvme_id_ctrl, cntrltype) == 111, "CNTRLTYPE");
static_assert(offsetof(struct nvme_id_ctrl, oacs) == 256, "OACS");
static_assert(offsetof(struct nvme_id_ctrl, wctemp) == 266, "WCTEMP");
static_assert(offsetof(struct nvme_id_ctrl, sqes) == 512, "SQES");
static_assert(offsetof(struct nvme_id_ctrl, vwc) == 525, "VWC");
static_assert(offsetof(struct nvme_id_ctrl, sgls) == 536, "SGLS");
static_assert(offsetof(struct nvme_id_ctrl, subnqn) == 768, "SUBNQN");
static_assert(offsetof(struct nvme_id_ctrl, psd) == 2048, "PSD");

#define NVME_OAES_NAMESPACES (1u << 8)
#define NVME_CTRATT_HOST_ID_128 0x1u
#define NVME_CNTRLTYPE_IO 1
#define NVME_OACS_DOORBELL_BUFFER 0x100u
#define NVME_FRMW_ONE_READ_ONLY 0x03
#define NVME_LPA_EXTENDED 0x04 /* NUMDU, LPOL and LPOU are looked at */
#define NVME_LPA_SUPPORTED_PAGES 0x20
#define NVME_ONCS_COMPARE 0x01u
#define NVME_ONCS_DSM 0x04u
#define NVME_ONCS_WRITE_ZEROES 0x08u
#define NVME_ONCS_FEATURE_SELECT 0x10u
#define NVME_ONCS_TIMESTAMP 0x40u
#define NVME_ONCS_VERIFY 0x80u
#define NVME_VWC_PRESENT 0x1
#define NVME_VWC_FLUSH_ALL 0x6 /* Flush takes NVME_NSID_ALL */
#define NVME_SGLS_SUPPORTED 0x1u /* of any alignment and length */

/* Identify Namespace, nvm figure 97. */
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
	uint8_t reserved34[12];
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
static_assert(sizeof(struct nvme_id_ns) == NVME_IDENTIFY_BYTES, "Identify Namespace");
static_assert(offsetof(struct nvme_id_ns, noiob) == 46, "NOIOB");
static_assert(offsetof(struct nvme_id_ns, nsattr) == 99, "NSATTR");
static_assert(offsetof(struct nvme_id_ns, lbaf) == 128, "LBAF");

#define NVME_DLFEAT_ZEROES 0x01 /* deallocated blocks read as zeroes */
#define NVME_DLFEAT_WRITE_ZEROES 0x08 /* Write Zeroes takes DEAC */
#define NVME_NSATTR_WRITE_PROTECTED 0x01

/* Namespace identification descriptor types, base figure 277. */
#define NVME_NIDT_UUID 3
#define NVME_NIDT_COMMAND_SET 4

/* Log pages, base §5.16.1. */
enum nvme_log {
	NVME_LOG_SUPPORTED = 0x00,
	NVME_LOG_ERRORS = 0x01,
	NVME_LOG_SMART = 0x02,
	NVME_LOG_FIRMWARE = 0x03,
	NVME_LOG_CHANGED_NAMESPACES = 0x04,
};

struct nvme_error_entry {
	uint64_t count; /* 0: no entry */
	uint16_t sq_id;
	uint16_t cid;
	uint16_t status; /* as in the completion, with the phase */
	uint16_t location;
	uint64_t lba;
	uint32_t nsid;
	uint8_t vendor;
	uint8_t transport; /* 0: the error has to do with no transport */
	uint8_t reserved30[34];
};
static_assert(sizeof(struct nvme_error_entry) == 64, "error information entry");

struct nvme_smart_log {
	uint8_t critical_warning;
	uint8_t temperature[2]; /* kelvin */
	uint8_t available_spare;
	uint8_t spare_threshold;
	uint8_t percentage_used;
	uint8_t reserved6[26];
	/* 128-bit counters; the upper halves stay 0 here. Units of data are 1000 * 512 bytes. */
	uint64_t units_read[2];
	uint64_t units_written[2];
	uint64_t reads[2];
	uint64_t writes[2];
	uint64_t busy_minutes[2];
	uint64_t power_cycles[2];
	uint64_t power_on_hours[2];
	uint64_t unsafe_shutdowns[2];
	uint64_t media_errors[2];
	uint64_t error_entries[2];
	uint8_t reserved192[320];
};
static_assert(sizeof(struct nvme_smart_log) == 512, "SMART log page");
static_assert(offsetof(struct nvme_smart_log, units_read) == 32, "data units read");

struct nvme_firmware_log {
	uint8_t active;
	uint8_t reserved1[7];
	char slots[7][8];
	uint8_t reserved64[448];
};
static_assert(sizeof(struct nvme_firmware_log) == 512, "firmware slot log page");

/* Features, base §5.27.1. */
enum nvme_feature {
	NVME_FEATURE_ARBITRATION = 0x01,
	NVME_FEATURE_POWER = 0x02,
	NVME_FEATURE_TEMPERATURE = 0x04,
	NVME_FEATURE_ERROR_RECOVERY = 0x05,
	NVME_FEATURE_WRITE_CACHE = 0x06,
	NVME_FEATURE_QUEUES = 0x07,
	NVME_FEATURE_COALESCING = 0x08,
	NVME_FEATURE_VECTOR = 0x09,
	NVME_FEATURE_ATOMICITY = 0x0a,
	NVME_FEATURE_ASYNC_EVENTS = 0x0b,
	NVME_FEATURE_TIMESTAMP = 0x0e,
	NVME_FEATURE_HOST_ID = 0x81,
};

/* Asynchronous events, base §5.2.1. */
#define NVME_EVENT_ERROR 0
#define NVME_EVENT_SMART 1
#define NVME_EVENT_NOTICE 2
#define NVME_ERROR_DOORBELL_REGISTER 0
#define NVME_ERROR_DOORBELL_VALUE 1
#define NVME_SMART_TEMPERATURE 1
#define NVME_NOTICE_NAMESPACES 0
#define NVME_ASYNC_TEMPERATURE (1u << 1) /* feature bits */
#define NVME_ASYNC_NAMESPACES (1u << 8)
#define NVME_WARNING_TEMPERATURE 0x02 /* SMART critical warning */

#endif
