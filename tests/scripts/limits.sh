#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a shell may have taken away - descriptors, file sizes, standard output - ends in a
# message that says so, never in a signal.  Status 77: no VM can run here.
set -uo pipefail
cvmm=$(readlink -f "${1:?usage: limits.sh BUILD-DIR}/cvmm")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

# want STATUS MESSAGE SHELL-COMMAND: with $cvmm, which says this on a pipe.
want() {
	local said rc

	said=$(cvmm=$cvmm work=$work timeout -k 5 60 bash -c "$3" 2>&1 >/dev/null </dev/null)
	rc=$?
	[ "$rc" = "$1" ] && grep -qF -- "$2" <<<"$said" && return
	echo "limits: $3: status $rc instead of $1, or not '$2': $said"
	failed=1
}

if ! "$cvmm" run --quiet >/dev/null 2>"$work/why" </dev/null; then
	echo "limits: skipped: no VM runs here: $(tail -n 1 "$work/why")"
	exit 77
fi
want 1 'Too many open files: raise the limit (ulimit -n)' 'ulimit -n 8; exec "$cvmm" run'
want 1 'Too many open files: raise the limit (ulimit -n)' 'ulimit -n 40; exec "$cvmm" run -c 64'
want 1 'Cannot allocate memory' 'ulimit -v 300000; exec "$cvmm" run'
# What is longer than a buffer of stdio has lost the reason when it ends.
want 1 'standard output: File too large' 'ulimit -f 1; exec "$cvmm" help run >"$work/file"'
want 1 'standard output: ' 'ulimit -f 1; exec "$cvmm" help --man >"$work/file"'
want 0 'console output is lost from here on: File too large' \
	'ulimit -f 1; exec "$cvmm" run >"$work/file"'
want 1 'File too large' 'ulimit -f 1024; exec "$cvmm" run --set memory.backing=memfd'
want 0 'console output is lost from here on: No space left' 'exec "$cvmm" run >/dev/full'
want 1 'No space left on device' 'exec "$cvmm" version >/dev/full'
echo '[expect]' >"$work/x.ini"
want 1 'standard output: not all was written' 'exec "$cvmm" test "$work" >/dev/full'
want 0 'guest powered off' 'exec "$cvmm" run <&- >&-'
want 0 '' 'exec "$cvmm" run <&- >&- 2>&-'
exit $failed
