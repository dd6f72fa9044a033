#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Stands in for "cvmm run" where the test runner is tested: called as
#   fake_run.sh FILE.ini -v
# it does what the lines of FILE.ini that begin with "#sh " say.
[ "$2" = -v ] || exit 99
eval "$(sed -n 's/^#sh //p' "$1")"
