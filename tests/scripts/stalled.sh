#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Whoever reads stderr may stop doing so: a VM runs to its end all the same, with
# every call to KVM traced.  Status 77: no VM can run here.
set -uo pipefail
cvmm=$(readlink -f "${1:?usage: stalled.sh BUILD-DIR}/cvmm")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if ! "$cvmm" run --quiet >/dev/null 2>"$work/why" </dev/null; then
	echo "stalled: skipped: no VM runs here: $(tail -n 1 "$work/why")"
	exit 77
fi
mkfifo "$work/fifo"
exec 3<>"$work/fifo" # holds it open and reads nothing
start=$SECONDS
timeout -k 5 60 "$cvmm" run -v --trace-kvm >"$work/console" 2>&3 </dev/null
rc=$?
if [ $rc != 0 ] || ! grep -q '^guest: .* 0 failed' "$work/console"; then
	echo "stalled: status $rc after $((SECONDS - start)) s, with a stderr that nobody reads"
	tail -n 3 "$work/console"
	exit 1
fi
