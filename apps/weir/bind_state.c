/* SPDX-License-Identifier: BSD-3-Clause */
#include "bind.h"
#include "tree.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static void state_path(char *path, size_t bytes, const char *address)
{
	snprintf(path, bytes, BIND_STATE_FOLDER "/%s.json", address);
}

int bind_state_save(const char *root, const struct pci_function *function)
{
	/* One for vfio-pci came from a rule of ours, and would keep the old driver away. */
	bool ours = pci_driver_is_vfio(function->override);
	json_t *object = json_pack("{s:s, s:s}", "driver", function->driver, "override",
				   ours ? "" : function->override);
	char *text = object ? json_dumps(object, 0) : NULL;
	char path[128];
	int rc = -ENOMEM;

	state_path(path, sizeof(path), function->address);
	if (text)
		rc = tree_put_file(root, text, path);
	free(text);
	json_decref(object);
	return rc;
}

/* A driver's name goes into paths. */
static bool take_name(const json_t *object, const char *member, char *name, size_t bytes)
{
	const char *text = json_string_value(json_object_get(object, member));

	if (!text || strlen(text) >= bytes || strpbrk(text, "/\n") || text[0] == '.')
		return false;
	strcpy(name, text);
	return true;
}

bool bind_state_load(const char *root, const char *address, struct bind_state *state)
{
	char path[128], *text;
	json_t *object;
	bool found;

	*state = (struct bind_state){ 0 };
	state_path(path, sizeof(path), address);
	text = tree_file(root, path);
	object = text ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;
	free(text);
	found = take_name(object, "driver", state->driver, sizeof(state->driver)) &&
		take_name(object, "override", state->override, sizeof(state->override));
	json_decref(object);
	if (!found)
		*state = (struct bind_state){ 0 };
	return found;
}

int bind_state_forget(const char *root, const char *address)
{
	char path[128];

	state_path(path, sizeof(path), address);
	return tree_remove_file(root, path);
}
