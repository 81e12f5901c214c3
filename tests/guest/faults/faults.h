/* SPDX-License-Identifier: BSD-3-Clause */
/* The faults that are tried, by what they are about. Lists end with a fault without a name. */
#ifndef WEIR_TESTS_FAULTS_FAULTS_H
#define WEIR_TESTS_FAULTS_FAULTS_H

#include "rig.h"

/* Resets in one cell of the matrix, and processes killed in one. */
#define FAULTS_ROUNDS 20

extern const struct rig_fault faults_unplug[], faults_reset[];

/* Kills a process under load, again and again; each one finds what the one before has written. */
bool faults_kill(struct rig *rig);

#endif
