#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The manual's date is that of the source, or builds could not be reproduced, and
# what is written for it is left alone while it stays the same.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
work=$(readlink -f "${1:?usage: version.sh BUILD-DIR}")/version
failed=0

# header: has the header made as the environment says.
header() { make -s B="$work" "$work/version.h" && cat "$work/version.h"; }

# want TEXT WHAT: the header has this text.
want() {
	grep -qF "$1" "$work/version.h" && return
	echo "version: $2: want $1, got: $(cat "$work/version.h")"
	failed=1
}

rm -rf "$work"
SOURCE_DATE_EPOCH=86400 header >/dev/null
want '#define CVMM_DATE "January 2, 1970"' "SOURCE_DATE_EPOCH"
touch -d '2 hours ago' "$work/version.h"
before=$(stat -c %Y "$work/version.h")
SOURCE_DATE_EPOCH=86400 header >/dev/null
if [ "$(stat -c %Y "$work/version.h")" != "$before" ]; then
	echo "version: written again, although nothing is new"
	failed=1
fi
unset SOURCE_DATE_EPOCH
header >/dev/null
if when=$(git log -1 --format=%ct 2>/dev/null); then
	want "\"$(LC_ALL=C date -u -d "@$when" '+%B %-d, %Y')\"" "the commit"
fi
exit $failed
