#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A library that is missing costs the guest's time, so that is said without being
# asked for; whatever else has the guest unpack its kernel is said with -v only.
# Status 77: nothing can be hidden here.
set -uo pipefail
cvmm=$(readlink -f "${1:?usage: library.sh BUILD-DIR}/cvmm")
cd "$(dirname "$0")/../fuzz/corpus/bzimage" || exit 1

zstd=$(ldconfig -p | awk '/libzstd\.so\.1 .*x86-64/ { print $NF; exit }')
if [ -z "$zstd" ] || ! unshare -m true 2>/dev/null; then
	echo "library: skipped: no libzstd, or no right to hide it"
	exit 77
fi
failed=0

# says TEXT FILE OPTION...: with FILE empty and without /dev/kvm, run says TEXT.
says() {
	local want=$1 hide=$2 said
	shift 2
	said=$(unshare -m sh -c 'mount --bind /dev/null "$1" &&
		mount -t tmpfs none /dev && shift && exec "$@"' - \
		"$hide" "$cvmm" run "$@" 2>&1 </dev/null | sed '/dev.kvm/d')
	if [ "$said" != "$want" ]; then
		printf 'library: run %s: want "%s", got "%s"\n' "$*" "$want" "$said"
		failed=1
	fi
}

missing="the kernel unpacks itself, which is slower: libzstd.so.1 is missing (package libzstd1)"
says "cvmm: warn: vm: $missing" "$zstd" -k zstd
says '' "$zstd" -k zstd --quiet
says '' "$zstd" -k gzip
says '' "$zstd" -k unknown-payload
says '' "$zstd" -k zstd --set boot.decompress=guest
says 'cvmm: debug: vm: the kernel unpacks itself: unknown compression' "$zstd" -k unknown-payload -v
says 'cvmm: debug: vm: zstd kernel unpacked on the host, KASLR applied' /etc/hostname -k zstd -v
exit $failed
