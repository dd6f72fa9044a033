# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# What the lab's scripts share: where the cache is, how they speak, and the lock
# that keeps two of them from preparing the same thing at once.  Sourced, never run.

# shellcheck disable=SC2034 # used by those who source this

# Everything downloaded or built lives here, outside the source tree.
lab_cache=${XDG_CACHE_HOME:-${HOME:?is not set}/.cache}/cvmm/lab
lab_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
lab_me=tests/lab/${0##*/}

say()
{
	printf '%s: %s\n' "$lab_me" "$*" >&2
}

die()
{
	say "$@"
	exit 1
}

# need COMMAND...: every command is there, or one line says how to get it.
need()
{
	local command

	for command; do
		command -v "$command" > /dev/null ||
			die "'$command' is not installed; run tests/setup lab"
	done
}

# lab_lock NAME: hold a lock until this process ends.
lab_lock()
{
	local lock

	mkdir -p "$lab_cache/lock" || die "cannot write to the cache $lab_cache"
	exec {lock}> "$lab_cache/lock/$1"
	flock -n "$lock" && return
	say "waiting for another run to finish with $1"
	flock "$lock"
}
