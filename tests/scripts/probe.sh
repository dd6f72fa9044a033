#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What `cvmm probe --json` prints is JSON with the keys that vmm/probe.h
# promises, here and where there is no /dev/kvm, and the status agrees.
set -uo pipefail
cvmm=$(readlink -f "${1:?usage: probe.sh BUILD-DIR}/cvmm")

check='
def text_or_null: . == null or type == "string";
(.cvmm | type == "string") and (.kernel | type == "string") and
(.modules | type == "array") and
(.kvm | (.available | type == "boolean") and (.reason | text_or_null)) and
([.types[].name] == ["none", "emulated", "sw", "snp", "tdx"]) and
all(.types[]; (.description | type == "string") and
	(.available | type == "boolean") and
	(.launchable | type == "boolean") and (.reason | text_or_null) and
	(.launchable == (.reason == null)) and
	(.guest_memfd_flags | type == "array") and
	(.memory_attributes | type == "array")) and
(.vm_types | type == "number") and (.guest_memfd | type == "boolean") and
(.pre_fault_memory | type == "boolean") and
(.tsc_deadline_timer | type == "boolean") and
all(.limits | .vcpus, .vcpus_recommended, .vcpus_cvmm, .memslots;
	type == "number")'
passed=0 failed=0

# verdict STATUS JSON: the keys are there and the status is that of "none".
verdict() {
	if jq -e "$check" <<<"$2" >/dev/null &&
		[ "$(jq '.types[0].launchable' <<<"$2")" = \
			"$([ "$1" = 0 ] && echo true || echo false)" ]; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		printf 'probe: status %s does not go with, or keys are missing in:\n%s\n' "$1" "$2"
	fi
}

out=$("$cvmm" probe --json)
verdict $? "$out"
# A mount of our own over /dev hides the device from this one process.
if unshare -m true 2>/dev/null; then
	out=$(unshare -m sh -c 'mount -t tmpfs none /dev && exec "$0" probe --json' "$cvmm")
	rc=$?
	verdict $rc "$out"
	if [ $rc != 1 ] || [ "$(jq .kvm.available <<<"$out")" != false ]; then
		failed=$((failed + 1))
		echo "probe: without /dev/kvm the status is $rc"
	fi
fi
echo "probe: $passed passed, $failed failed"
[ $failed = 0 ]
