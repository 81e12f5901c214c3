/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * weir bind and weir unbind: PCI functions go from their driver to vfio-pci and back.
 *
 * What the old driver was is kept in a file for each function below BIND_STATE_FOLDER, which is in
 * memory like the binding itself. All files are below a root folder, and what the kernel does with
 * a write comes through `struct bind_kernel`, so that a test can be the kernel.
 */
#ifndef WEIR_APPS_BIND_H
#define WEIR_APPS_BIND_H

#include "pci_function.h"

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>
#include <weir/error.h>

#define BIND_STATE_FOLDER "/run/weir/bind"

/* What is asked of the kernel and its helpers. Each returns 0 or a negative errno. */
struct bind_kernel {
	void *ctx;
	/* Writes to a file of /sys. */
	int (*write)(void *ctx, const char *root, const char *path, const char *text);
	/* Loads a module. */
	int (*load)(void *ctx, const char *module);
	/* Waits until udev has done with the nodes; they are its own until then. */
	int (*settle)(void *ctx);
};

/* The kernel of this machine. */
extern const struct bind_kernel bind_this_kernel;

/* Who gets the nodes. */
struct bind_access {
	uid_t uid; /* (uid_t)-1: as it is */
	gid_t gid; /* (gid_t)-1: as it is */
	mode_t mode; /* 0: all as it is */
	char option[96]; /* as on the command line: "--user ann" */
};

struct bind {
	const char *root;
	const struct bind_kernel *kernel;
	FILE *out; /* what is done */
	bool dry_run; /* only says what would be done */
	bool persist; /* at every boot as well; for unbind: no more */
	bool boot; /* run by a rule for one function: others of its group have their own rules */
	struct bind_access access;
};

/* For --user and --group; either may be NULL. -ENOENT: there is none of that name. */
int bind_find_access(const char *user, const char *group, struct bind_access *access,
		     struct weir_error *err);

/*
 * Binds all functions or, with an error, none: those that were bound already have their old driver
 * back then.
 */
int bind_functions(const struct bind *bind, char *const *addresses, struct weir_error *err);

/* Gives functions back to the drivers that they had. Ends at the first that fails. */
int unbind_functions(const struct bind *bind, char *const *addresses, struct weir_error *err);

/* Gives access to the nodes of the functions that are bound; leaves others alone. */
int bind_nodes(const struct bind *bind, char *const *addresses, struct weir_error *err);

/* bind_driver.c: one function. */

/* From any driver to vfio-pci. On failure it has the old one again. */
int bind_driver_take(const struct bind *bind, const struct pci_function *function,
		     struct weir_error *err);
/* From vfio-pci to what the state says it had, else to what the kernel chooses. */
int bind_driver_give_back(const struct bind *bind, const char *address, struct weir_error *err);

/* bind_state.c: what a function had before. */
struct bind_state {
	char driver[64];
	char override[64];
};

/* Returns 0 or a negative errno. */
int bind_state_save(const char *root, const struct pci_function *function);
/* false: there is none, or it makes no sense. */
bool bind_state_load(const char *root, const char *address, struct bind_state *state);
int bind_state_forget(const char *root, const char *address);

/* bind_access.c */
int bind_give_access(const struct bind *bind, const struct pci_function *function,
		     struct weir_error *err);

/* bind_persist.c: the files for the next boots. */
int bind_persist(const struct bind *bind, const struct pci_function *function,
		 struct weir_error *err);
int bind_unpersist(const struct bind *bind, const char *address, struct weir_error *err);
bool bind_is_persistent(const char *root, const char *address);

#endif
