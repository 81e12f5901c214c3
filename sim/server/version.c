/* SPDX-License-Identifier: BSD-3-Clause */
/* The handshake: "VFIO_USER_VERSION". */
#include <jansson.h>
#include <string.h>

#include "base/base.h"
#include "server/server.h"

/* A proposal is a line of JSON; more is not worth parsing. */
#define MAX_JSON_BYTES 4096u

/* Takes a number that may be absent. */
static int take_number(const json_t *capabilities, const char *name, json_int_t *value)
{
	const json_t *number = json_object_get(capabilities, name);

	if (!number)
		return 0;
	if (!json_is_integer(number) || json_integer_value(number) < 0)
		return -EINVAL;
	*value = json_integer_value(number);
	return 0;
}

static int take_capabilities(struct session *session, const json_t *capabilities, bool *multi)
{
	json_int_t transfer = VFIO_USER_DEFAULT_MAX_TRANSFER;
	json_int_t fds = VFIO_USER_DEFAULT_MAX_FDS;

	if (capabilities && !json_is_object(capabilities))
		return -EINVAL;
	if (take_number(capabilities, "max_data_xfer_size", &transfer) ||
	    take_number(capabilities, "max_msg_fds", &fds) || !transfer)
		return -EINVAL;
	if (transfer > VFIO_USER_DEFAULT_MAX_TRANSFER)
		transfer = VFIO_USER_DEFAULT_MAX_TRANSFER;
	session->max_transfer = (uint32_t)transfer;
	session->max_fds = fds > WIRE_MAX_FDS ? WIRE_MAX_FDS : (uint32_t)fds;
	*multi = json_is_true(json_object_get(capabilities, "write_multiple"));
	return 0;
}

/* The text is optional; with it comes a terminating NUL. */
static int take_text(struct session *session, const char *text, size_t bytes, bool *multi)
{
	json_t *json;
	int rc;

	if (!bytes)
		return take_capabilities(session, NULL, multi);
	if (bytes > MAX_JSON_BYTES || text[bytes - 1])
		return -EINVAL;
	json = json_loads(text, 0, NULL);
	if (!json_is_object(json))
		rc = -EINVAL;
	else
		rc = take_capabilities(session, json_object_get(json, "capabilities"), multi);
	json_decref(json);
	return rc;
}

static int write_answer(struct request *request, uint16_t minor, bool multi)
{
	struct vfio_user_version version = { .major = VFIO_USER_MAJOR, .minor = minor };
	char *text = NULL;
	json_t *json;
	int rc = -ENOMEM;

	json = json_pack("{s:{s:i,s:i,s:i,s:i}}", "capabilities", "max_msg_fds", WIRE_MAX_FDS,
			 "max_data_xfer_size", (int)VFIO_USER_DEFAULT_MAX_TRANSFER, "max_dma_maps",
			 (int)DMA_MAX_WINDOWS, "pgsizes", (int)DMA_PAGE_BYTES);
	if (!json)
		return -ENOMEM;
	if (multi && json_object_set_new(json_object_get(json, "capabilities"), "write_multiple",
					 json_true()))
		goto free_json;
	text = json_dumps(json, JSON_COMPACT);
	if (!text)
		goto free_json;
	memcpy(request->reply, &version, sizeof(version));
	memcpy(request->reply + sizeof(version), text, strlen(text) + 1);
	request->reply_bytes = sizeof(version) + strlen(text) + 1;
	rc = 0;

free_json:
	free(text);
	json_decref(json);
	return rc;
}

int version_negotiate(struct sim_server *server, struct request *request)
{
	struct vfio_user_version version;
	bool multi;
	int rc;

	if (request->bytes < sizeof(version))
		return -EINVAL;
	memcpy(&version, request->payload, sizeof(version));
	if (version.major != VFIO_USER_MAJOR)
		return -EPROTONOSUPPORT;
	rc = take_text(&server->session, (const char *)request->payload + sizeof(version),
		       request->bytes - sizeof(version), &multi);
	if (rc)
		return rc;
	if (version.minor > VFIO_USER_MINOR)
		version.minor = VFIO_USER_MINOR;
	rc = write_answer(request, version.minor, multi);
	if (!rc)
		server->session.agreed = true;
	return rc;
}
