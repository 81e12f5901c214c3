# SPDX-License-Identifier: BSD-3-Clause
"""Debian packages, from the machine's own mirror, by a private APT that knows all the suites."""

import os
import re
import subprocess
from pathlib import Path

from cache import LabError, say

SUITES = ("bookworm", "trixie")
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def run(argv, **options):
    """Runs a program; its output is shown only when it fails."""
    done = subprocess.run(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        **options,
    )
    if done.returncode:
        raise LabError(
            f"{' '.join(map(str, argv))} failed with status {done.returncode}:\n"
            + "\n".join(done.stdout.splitlines()[-40:])
        )
    return done.stdout


def output(argv, **options):
    return subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True, **options).stdout


def install_on_host(packages):
    """Installs what the machine lacks."""

    def missing(package):
        state = subprocess.run(
            ["dpkg-query", "-W", "-f=${db:Status-Status}", package],
            capture_output=True,
            text=True,
            check=False,
        )
        return state.stdout != "installed"

    packages = [package for package in packages if missing(package)]
    if not packages:
        return
    say(f"installing {' '.join(packages)} on this machine")
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    run(["apt-get", "update"], env=environment)
    run(["apt-get", "install", "-y", "--no-install-recommends", *packages], env=environment)


def configured_targets():
    """{suite: (uri, keyring)} of the component main, as the machine's apt is configured."""
    listing = output(
        [
            "apt-get",
            "indextargets",
            "--format",
            "$(REPO_URI) $(RELEASE) $(COMPONENT) $(SIGNED_BY)",
            "Created-By: Packages",
        ]
    )
    targets = {}
    for line in listing.splitlines():
        fields = line.split()
        if len(fields) >= 3 and fields[2] == "main":
            key = fields[3] if len(fields) > 3 and os.path.isfile(fields[3]) else KEYRING
            targets.setdefault(fields[1], (fields[0].rstrip("/"), key))
    return targets


def sources(suite):
    """sources.list lines of a suite, its backports and, if the machine has them, its security."""
    targets = configured_targets()
    ours = next((name for name in ("bookworm", "trixie") if name in targets), None)
    if not ours:
        raise LabError(
            "apt on this machine has no source of Debian 12 or 13 (component main): "
            "add one to /etc/apt/sources.list"
        )
    wanted = {name: targets.get(name, targets[ours]) for name in (suite, f"{suite}-backports")}
    for name in (f"{ours}-security", f"{suite}-security"):
        if name in targets:
            wanted[f"{suite}-security"] = targets[name]
    return [f"deb [signed-by={key}] {uri} {name} main" for name, (uri, key) in wanted.items()]


def acquire_settings():
    """The machine's own way to the mirror (proxies, time-outs, checks) as configuration text."""
    return output(["apt-config", "dump", "--no-empty", "Acquire"])


class Apt:
    """APT with its own configuration, lists and packages; nothing of the machine's is changed."""

    def __init__(self, folder):
        self.folder = Path(folder)
        for name in ("lists/partial", "archives/partial", "empty"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        (self.folder / "status").touch()
        (self.folder / "sources.list").write_text(
            "".join(line + "\n" for suite in SUITES for line in sources(suite))
        )
        empty = self.folder / "empty"
        (self.folder / "apt.conf").write_text(
            acquire_settings()
            + f"""
Dir::Etc::main "/dev/null";
Dir::Etc::parts "{empty}";
Dir::Etc::sourcelist "{self.folder}/sources.list";
Dir::Etc::sourceparts "{empty}";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "{empty}";
Dir::State "{self.folder}";
Dir::State::status "{self.folder}/status";
Dir::Cache "{self.folder}";
APT::Architecture "amd64";
APT::Sandbox::User "root";
Acquire::Languages "none";
"""
        )
        self.environment = dict(os.environ, APT_CONFIG=str(self.folder / "apt.conf"), LC_ALL="C")
        run(["apt-get", "update"], env=self.environment)

    def newest(self, pattern):
        """The package name that matches in full and has the highest numbers in it."""
        names = output(["apt-cache", "pkgnames", "linux-"], env=self.environment).split()
        names = [name for name in names if re.fullmatch(pattern, name)]
        if not names:
            raise LabError(
                f"no package matches {pattern}; apt's sources are {self.folder}/sources.list"
            )
        return max(
            names,
            key=lambda name: [
                int(digits) for digits in re.findall(r"\d+", name.removesuffix("-amd64"))
            ],
        )

    def with_depends(self, names, pattern):
        """names and all they depend on, directly or not, as far as its name matches."""
        found, queue = set(), list(names)
        while queue:
            name = queue.pop()
            if name in found:
                continue
            found.add(name)
            record = output(["apt-cache", "--no-all-versions", "show", name], env=self.environment)
            depends = re.search(r"^Depends: (.*)$", record, re.MULTILINE)
            queue += (
                [n for n in re.findall(r"[a-z0-9][a-z0-9+.-]+", depends[1]) if re.match(pattern, n)]
                if depends
                else []
            )
        return sorted(found)

    def unpack(self, names, folder):
        """Downloads packages and unpacks them, unconfigured, into folder."""
        where = self.folder / "archives"
        run(["apt-get", "download", *names], cwd=where, env=self.environment)
        for package in sorted(where.glob("*.deb")):
            run(["dpkg-deb", "--extract", package, folder])
            package.unlink()
