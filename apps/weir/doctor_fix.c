/* SPDX-License-Identifier: BSD-3-Clause */
#include "doctor.h"

#include <errno.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Fixes say "weir": this one, not another that PATH finds. */
static void put_own_folder_first(void)
{
	char program[PATH_MAX], *slash, *path;
	const char *before = getenv("PATH");
	ssize_t length = readlink("/proc/self/exe", program, sizeof(program) - 1);

	if (length <= 0)
		return;
	program[length] = '\0';
	slash = strrchr(program, '/');
	if (!slash)
		return;
	*slash = '\0';
	if (asprintf(&path, "%s:/usr/sbin:/sbin:%s", program, before ? before : "/usr/bin:/bin") <
	    0)
		return;
	setenv("PATH", path, 1);
	free(path);
}

/* Returns the shell's status. What the line prints goes to standard error: standard output is for
 * the findings. */
static int run_line(const char *line)
{
	char *const argv[] = { (char *)"sh", (char *)"-c", (char *)line, NULL };
	posix_spawn_file_actions_t actions;
	int status = 0, rc;
	pid_t pid;

	if (posix_spawn_file_actions_init(&actions))
		return 127;
	posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
	rc = posix_spawn(&pid, "/bin/sh", &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (rc)
		return 127;
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return 127;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static bool is_done(const json_t *done, const char *fix)
{
	const json_t *each;
	size_t i;

	json_array_foreach(done, i, each)
	{
		if (!strcmp(json_string_value(json_object_get(each, "fix")), fix))
			return true;
	}
	return false;
}

void doctor_fix(const json_t *findings, json_t *done)
{
	const json_t *finding;
	size_t i;

	put_own_folder_first();
	json_array_foreach(findings, i, finding)
	{
		const char *id = json_string_value(json_object_get(finding, "id"));
		const char *fix = json_string_value(json_object_get(finding, "fix"));

		if (!*fix || is_done(done, fix))
			continue;
		json_array_append_new(done, json_pack("{s:s, s:s, s:i}", "id", id, "fix", fix,
						      "status", run_line(fix)));
	}
}
