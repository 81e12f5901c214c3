/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A state is one buffer of the largest size, allocated at once and touched as it fills, because
 * takers hold pointers into it: it must never move. Records are appended at `used` and taken at
 * `taken`; descriptors likewise, in an array beside it.
 */
#include "base/state.h"

#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"

#define RECORD_ALIGN 8

struct weir_state {
	unsigned char *bytes;
	size_t used;
	size_t taken;
	int fds[WEIR_STATE_MAX_FDS];
	unsigned int nr_fds;
	unsigned int taken_fds;
};

static_assert(sizeof(struct state_record) % RECORD_ALIGN == 0, "payloads follow it aligned");
static_assert(WEIR_STATE_MAX_BYTES % RECORD_ALIGN == 0, "the last record may fill the state");

/* A record type as its four letters. */
struct type_text {
	char text[5];
};

static struct type_text type_text(uint32_t type)
{
	struct type_text name;

	for (unsigned int i = 0; i < 4; i++) {
		unsigned char letter = (unsigned char)(type >> 8 * i);

		name.text[i] = letter >= ' ' && letter <= '~' ? (char)letter : '?';
	}
	name.text[4] = '\0';
	return name;
}

static void close_all(const int *fds, unsigned int nr_fds)
{
	for (unsigned int i = 0; i < nr_fds; i++)
		close(fds[i]);
}

WEIR_EXPORT int weir_state_create(struct weir_state **state, struct weir_error *err)
{
	struct weir_state *made = calloc(1, sizeof(*made));

	if (!made)
		return weir_error_set(err, -ENOMEM, "state: no memory");
	made->bytes = malloc(WEIR_STATE_MAX_BYTES);
	if (!made->bytes) {
		free(made);
		return weir_error_set(err, -ENOMEM, "state: no memory for %u bytes",
				      WEIR_STATE_MAX_BYTES);
	}
	*state = made;
	return 0;
}

WEIR_EXPORT void weir_state_destroy(struct weir_state *state)
{
	if (!state)
		return;
	close_all(state->fds + state->taken_fds, state->nr_fds - state->taken_fds);
	free(state->bytes);
	free(state);
}

WEIR_EXPORT size_t weir_state_bytes(const struct weir_state *state)
{
	return state->used - state->taken;
}

WEIR_EXPORT unsigned int weir_state_nr_fds(const struct weir_state *state)
{
	return state->nr_fds - state->taken_fds;
}

static int duplicate_fds(struct weir_state *state, const int *fds, unsigned int nr_fds,
			 struct weir_error *err)
{
	for (unsigned int i = 0; i < nr_fds; i++) {
		int fd = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);

		if (fd < 0) {
			int code = -errno;

			close_all(state->fds + state->nr_fds, i);
			return weir_error_set(err, code, "state: descriptor %d: %s", fds[i],
					      strerror(-code));
		}
		state->fds[state->nr_fds + i] = fd;
	}
	return 0;
}

WEIR_EXPORT int weir_state_put(struct weir_state *state, uint32_t type, uint32_t version,
			       const void *payload, size_t bytes, const int *fds,
			       unsigned int nr_fds, struct weir_error *err)
{
	struct state_record record = { type, version, (uint32_t)bytes, nr_fds };
	size_t room = WEIR_STATE_MAX_BYTES - state->used;
	unsigned char *at = state->bytes + state->used;
	size_t padded;
	int rc;

	if (room < sizeof(record) || bytes > room - sizeof(record))
		return weir_error_set(
			err, -E2BIG, "state: record %s of %zu bytes after %zu is over %u",
			type_text(type).text, bytes, state->used, WEIR_STATE_MAX_BYTES);
	if (nr_fds > WEIR_STATE_MAX_FDS - state->nr_fds)
		return weir_error_set(
			err, -E2BIG, "state: record %s: %u descriptors after %u is over %u",
			type_text(type).text, nr_fds, state->nr_fds, WEIR_STATE_MAX_FDS);
	rc = duplicate_fds(state, fds, nr_fds, err);
	if (rc)
		return rc;

	padded = weir_align_up(bytes, RECORD_ALIGN);
	memcpy(at, &record, sizeof(record));
	if (bytes)
		memcpy(at + sizeof(record), payload, bytes);
	memset(at + sizeof(record) + bytes, 0, padded - bytes);
	state->used += sizeof(record) + padded;
	state->nr_fds += nr_fds;
	return 0;
}

WEIR_EXPORT int weir_state_take(struct weir_state *state, uint32_t type, uint32_t version,
				const void **payload, size_t *bytes, int *fds, unsigned int max_fds,
				unsigned int *nr_fds, struct weir_error *err)
{
	struct state_record record;

	if (state->taken == state->used)
		return weir_error_set(err, -EINVAL, "state: no record is left, %s expected",
				      type_text(type).text);
	memcpy(&record, state->bytes + state->taken, sizeof(record));
	if (record.type != type)
		return weir_error_set(err, -EINVAL, "state: the next record is %s, not %s",
				      type_text(record.type).text, type_text(type).text);
	if (record.version != version)
		return weir_error_set(err, -EPROTONOSUPPORT,
				      "state: record %s has version %u, %u is known here",
				      type_text(type).text, record.version, version);
	if (record.nr_fds > max_fds)
		return weir_error_set(err, -EINVAL,
				      "state: record %s has %u descriptors, at most %u are right",
				      type_text(type).text, record.nr_fds, max_fds);

	*payload = state->bytes + state->taken + sizeof(record);
	*bytes = record.bytes;
	if (record.nr_fds)
		memcpy(fds, state->fds + state->taken_fds, record.nr_fds * sizeof(*fds));
	*nr_fds = record.nr_fds;
	state->taken += sizeof(record) + weir_align_up(record.bytes, RECORD_ALIGN);
	state->taken_fds += record.nr_fds;
	return 0;
}

const void *weir_state_raw(const struct weir_state *state, size_t *bytes, const int **fds,
			   unsigned int *nr_fds)
{
	*bytes = state->used - state->taken;
	*fds = state->fds + state->taken_fds;
	*nr_fds = state->nr_fds - state->taken_fds;
	return state->bytes + state->taken;
}

/* Walks the records: they must fill the bytes and account for every descriptor. */
static int check_records(const unsigned char *bytes, size_t nr_bytes, unsigned int nr_fds,
			 struct weir_error *err)
{
	struct state_record record;
	size_t at = 0;

	while (at < nr_bytes) {
		size_t rest = nr_bytes - at;

		if (rest < sizeof(record))
			return weir_error_set(err, -EPROTO, "state: %zu bytes at %zu are no record",
					      rest, at);
		memcpy(&record, bytes + at, sizeof(record));
		rest -= sizeof(record);
		if (weir_align_up(record.bytes, RECORD_ALIGN) > rest)
			return weir_error_set(err, -EPROTO,
					      "state: record %s at %zu claims %u bytes of %zu",
					      type_text(record.type).text, at, record.bytes, rest);
		if (record.nr_fds > nr_fds)
			return weir_error_set(
				err, -EPROTO, "state: record %s at %zu claims %u descriptors of %u",
				type_text(record.type).text, at, record.nr_fds, nr_fds);
		nr_fds -= record.nr_fds;
		at += sizeof(record) + weir_align_up(record.bytes, RECORD_ALIGN);
	}
	if (nr_fds)
		return weir_error_set(err, -EPROTO, "state: %u descriptors belong to no record",
				      nr_fds);
	return 0;
}

int weir_state_from_raw(const void *bytes, size_t nr_bytes, const int *fds, unsigned int nr_fds,
			struct weir_state **state, struct weir_error *err)
{
	struct weir_state *made;
	int rc;

	if (nr_bytes > WEIR_STATE_MAX_BYTES || nr_fds > WEIR_STATE_MAX_FDS)
		return weir_error_set(err, -EPROTO,
				      "state: %zu bytes and %u descriptors are over %u and %u",
				      nr_bytes, nr_fds, WEIR_STATE_MAX_BYTES, WEIR_STATE_MAX_FDS);
	rc = weir_state_create(&made, err);
	if (rc)
		return rc;
	/* The copy is what is checked: the caller's bytes might still change. */
	if (nr_bytes)
		memcpy(made->bytes, bytes, nr_bytes);
	rc = check_records(made->bytes, nr_bytes, nr_fds, err);
	if (rc) {
		weir_state_destroy(made);
		return rc;
	}
	made->used = nr_bytes;
	if (nr_fds)
		memcpy(made->fds, fds, nr_fds * sizeof(*fds));
	made->nr_fds = nr_fds;
	*state = made;
	return 0;
}
