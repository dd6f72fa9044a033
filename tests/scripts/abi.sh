#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Compares every constant and struct of vmm/kvm/abi.h with the newest kernel
# headers that Debian has.  A change to a copy of abi.h must be noticed, too.
# Status 77: the headers are not to be had.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
work=$(readlink -f "${1:?usage: abi.sh BUILD-DIR}")/abi
cc=${CC:-gcc}

if ! dirs=$(tests/lab/fetch libc-dev 2>&1); then
	echo "abi: skipped: no newer kernel headers: ${dirs##*$'\n'}"
	exit 77
fi
mapfile -t include < <(grep '^/' <<<"$dirs" | sed 's/^/-isystem/')
rm -rf "$work"
mkdir -p "$work"

# Prints "const NAME", "struct NAME" and "member STRUCT NAME" for an abi.h.
names() {
	awk '
		/^#define (KVM|GUEST)_/ { print "const", $2 }
		/^struct kvm_/ { s = $2; print "struct", s }
		/^};/ { s = "" }
		s && match($0, /[a-z0-9_]+(\[[0-9]+\])?;/) {
			m = substr($0, RSTART)
			sub(/(\[[0-9]+\])?;.*/, "", m)
			print "member", s, m
		}' "$1"
}

# compare DIR: the abi.h under DIR agrees with the kernel's.
compare() {
	names "$1/vmm/kvm/abi.h" >"$work/names"
	awk '
		$1 == "const" {
			printf "enum { kernel_%s = %s };\n#undef %s\n", $2, $2, $2
		}
		$1 == "struct" { late = late "#define " $2 " ours_" $2 "\n" }
		END { printf "%s", late }
	' "$work/names" >"$work/abi_keep.h"
	awk -v q='"' '
		function same(a, b, what) {
			printf "_Static_assert(%s == %s, %s%s%s);\n", a, b, q, what, q
		}
		$1 == "const" { same($2, "kernel_" $2, $2) }
		# The ioctl numbers above hold the size of our struct.
		$1 == "struct" { later[++n] = $0 }
		$1 == "member" { later[++n] = $0 }
		END {
			for (i = 1; i <= n; i++) {
				split(later[i], w, " ")
				k = "struct " w[2]
				o = "struct ours_" w[2]
				if (w[1] == "struct") {
					print "#undef " w[2]
					same("sizeof(" k ")", "sizeof(" o ")", w[2])
					continue
				}
				m = w[3]
				same("offsetof(" k ", " m ")", "offsetof(" o ", " m ")",
					w[2] "." m)
				same("sizeof(((" k " *)0)->" m ")",
					"sizeof(((" o " *)0)->" m ")", w[2] "." m)
			}
		}' "$work/names" >"$work/abi_compare.h"
	"$cc" -std=gnu17 -Wall -Werror -fsyntax-only -I"$work" -I"$1" -I. \
		"${include[@]}" tests/abi/check.c 2>"$work/log"
}

# must_notice SED-EXPRESSION: a changed abi.h does not pass.
must_notice() {
	mkdir -p "$work/changed/vmm/kvm"
	sed "$1" vmm/kvm/abi.h >"$work/changed/vmm/kvm/abi.h"
	if compare "$work/changed" ||
		! grep -q 'static assertion failed' "$work/log"; then
		echo "abi: this change of abi.h went unnoticed: $1"
		failed=1
	fi
}

failed=0
must_notice 's/KVM_CAP_GUEST_MEMFD_FLAGS 244/KVM_CAP_GUEST_MEMFD_FLAGS 245/'
must_notice 's/__u64 pad2\[14\]/__u64 pad2[13]/'
must_notice 's/#define ABI_RUN_UNION 32/#define ABI_RUN_UNION 40/'
must_notice 's/__u32 slot;/__u64 slot;/'
if ! compare .; then
	cat "$work/log"
	failed=1
fi
count() { grep -c "^$1 " "$work/names"; }
echo "abi: $(count const) values and $(count struct) structs with" \
	"$(count member) members compared with $(basename \
	"$(readlink -f "${include[0]#-isystem}/../..")")"
[ $failed = 0 ]
