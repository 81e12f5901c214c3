/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One function from driver to driver. driver_override keeps every other driver away, also one that
 * is loaded later, and makes vfio-pci take the function without being told its ids, which would
 * hand it all devices of that kind.
 */
#include "bind.h"
#include "fail.h"
#include "tree.h"

#include <errno.h>
#include <string.h>

static int put(const struct bind *bind, const char *path, const char *text, struct weir_error *err)
{
	int rc = bind->kernel->write(bind->kernel->ctx, bind->root, path, text);

	return rc ? fail(err, rc, "cannot write '%s' to %s: %s", text[0] == '\n' ? "" : text, path,
			 strerror(-rc))
		  : 0;
}

/* An empty override is written as an empty line. */
static int put_override(const struct bind *bind, const char *address, const char *override,
			struct weir_error *err)
{
	char path[96];

	snprintf(path, sizeof(path), PCI_DEVICES "/%s/driver_override", address);
	return put(bind, path, *override ? override : "\n", err);
}

static void read_driver(const struct bind *bind, const char *address, char *driver, size_t bytes)
{
	tree_link(bind->root, driver, bytes, PCI_DEVICES "/%s/driver", address);
}

static int leave_driver(const struct bind *bind, const char *address, struct weir_error *err)
{
	char driver[64], path[160];

	read_driver(bind, address, driver, sizeof(driver));
	if (!*driver)
		return 0;
	snprintf(path, sizeof(path), PCI_DRIVERS "/%s/unbind", driver);
	return put(bind, path, address, err);
}

static bool driver_is_there(const struct bind *bind, const char *driver)
{
	struct stat status;
	char path[128];

	snprintf(path, sizeof(path), PCI_DRIVERS "/%s", driver);
	return tree_stat(bind->root, path, &status);
}

/* Lets the driver that the function had take it again. */
static int return_to(const struct bind *bind, const char *address, const char *old,
		     struct weir_error *err)
{
	char driver[64], path[160];
	int rc;

	if (!driver_is_there(bind, old))
		bind->kernel->load(bind->kernel->ctx, old);
	/* A driver that was just loaded has taken the function by itself. */
	read_driver(bind, address, driver, sizeof(driver));
	if (!strcmp(driver, old))
		return 0;
	snprintf(path, sizeof(path), PCI_DRIVERS "/%s/bind", old);
	rc = put(bind, path, address, err);
	if (rc)
		return rc;
	read_driver(bind, address, driver, sizeof(driver));
	if (strcmp(driver, old))
		return fail(err, -EIO, "%s does not take %s back: it is bound to %s now", old,
			    address, *driver ? driver : "no driver");
	return 0;
}

/* Makes the function have the driver of `state`, or whichever the kernel finds for it when that is
 * not known. */
static int restore(const struct bind *bind, const char *address, const struct bind_state *state,
		   struct weir_error *err)
{
	char driver[64];
	int rc;

	rc = put_override(bind, address, state ? state->override : "", err);
	if (rc)
		return rc;
	read_driver(bind, address, driver, sizeof(driver));
	if (state && !strcmp(driver, state->driver))
		return 0;
	rc = leave_driver(bind, address, err);
	if (rc)
		return rc;
	if (!state)
		return put(bind, PCI_DRIVERS "_probe", address, err);
	return *state->driver ? return_to(bind, address, state->driver, err) : 0;
}

static int take(const struct bind *bind, const struct pci_function *function,
		struct weir_error *err)
{
	char driver[64];
	int rc;

	rc = put_override(bind, function->address, PCI_VFIO_DRIVER, err);
	if (!rc)
		rc = leave_driver(bind, function->address, err);
	if (!rc)
		rc = put(bind, PCI_DRIVERS "_probe", function->address, err);
	if (rc)
		return rc;
	read_driver(bind, function->address, driver, sizeof(driver));
	if (strcmp(driver, PCI_VFIO_DRIVER))
		return fail(err, -EIO,
			    "the kernel accepted everything, yet %s is bound to %s: 'dmesg' says "
			    "why " PCI_VFIO_DRIVER " refuses it",
			    function->address, *driver ? driver : "no driver");
	return 0;
}

int bind_driver_take(const struct bind *bind, const struct pci_function *function,
		     struct weir_error *err)
{
	struct bind_state before = { 0 };
	struct weir_error second;
	int rc = 0;

	/* At boot, that no driver has it yet means nothing: it is the kernel's choice later. */
	if (!bind->boot || *function->driver)
		rc = bind_state_save(bind->root, function);
	if (rc)
		return fail(err, rc, "cannot write " BIND_STATE_FOLDER "/%s.json: %s",
			    function->address, strerror(-rc));
	rc = take(bind, function, err);
	if (!rc)
		return 0;
	snprintf(before.driver, sizeof(before.driver), "%s", function->driver);
	snprintf(before.override, sizeof(before.override), "%s", function->override);
	if (restore(bind, function->address, &before, &second))
		fprintf(bind->out, "%s: cannot be restored: %s\n", function->address, second.text);
	else
		bind_state_forget(bind->root, function->address);
	return rc;
}

int bind_driver_give_back(const struct bind *bind, const char *address, struct weir_error *err)
{
	struct bind_state before;
	bool known = bind_state_load(bind->root, address, &before);
	int rc;

	rc = restore(bind, address, known ? &before : NULL, err);
	if (!rc)
		bind_state_forget(bind->root, address);
	return rc;
}
