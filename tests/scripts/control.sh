#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# `cvmm stat` and `cvmm stop` with VMs that run, have gone, and share a name.  Status 77:
# no VM can run here.
set -uo pipefail
cvmm=$(readlink -f "${1:?usage: control.sh BUILD-DIR}/cvmm")
work=$(mktemp -d)
trap 'kill -9 $(jobs -p) 2> /dev/null; rm -rf "$work"' EXIT
name=control-$$
passed=0 failed=0

if ! "$cvmm" run --quiet >/dev/null 2>"$work/why" </dev/null; then
	echo "control: skipped: no VM runs here: $(tail -n 1 "$work/why")"
	exit 77
fi
if [ "$(id -u)" != 0 ]; then
	mkdir "$work/run"
	export XDG_RUNTIME_DIR=$work/run
fi

# start: a VM that stays for long, in $vm; it answers.
start() {
	"$cvmm" run --name $name -m 64M -p guest.hold=60 >"$work/out" 2>"$work/err" </dev/null &
	vm=$!
	for _ in $(seq 100); do
		"$cvmm" stat $name >/dev/null 2>&1 && return
		sleep 0.05
	done
}

# verdict WHAT STATUS: 0 is good.
verdict() {
	if [ "$2" = 0 ]; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "control: $1: wrong; the VM said: $(cat "$work/err")"
	fi
}

start
for _ in $(seq 100); do # until the guest has checked what it checks
	grep -q '^guest: ' "$work/out" && break
	sleep 0.05
done
"$cvmm" stat $name --json | jq -e --arg name $name --argjson pid $vm '
	.name == $name and .pid == $pid and .memory.ram == 67108864 and
	.memory.shared > 0 and .memory.double_backed == 0 and
	.exits.pio > 0 and .window.mode == "off" and .window.huge == 0 and (.conversions.to_private.bytes == 0) and
	(.devices | type == "object")' >/dev/null
verdict 'stat --json' $?
"$cvmm" stat $name | grep -q '^memory.ram 67108864$'
verdict stat $?

# Another one of that name is NAME-PID.
first=$vm
"$cvmm" run --name $name -m 64M -p guest.hold=60 >/dev/null 2>&1 </dev/null &
second=$!
for _ in $(seq 100); do
	"$cvmm" stat $name-$second >/dev/null 2>&1 && break
	sleep 0.05
done
[ "$("$cvmm" stat $name-$second | sed -n 's/^pid //p')" = $second ] && "$cvmm" stop $name-$second
verdict 'a second of that name' $?

"$cvmm" stop $name && wait $first
[ $? = 143 ] && grep -q "stopped by 'cvmm stop'" "$work/err"
verdict stop $?
"$cvmm" stat $name 2>"$work/err"
[ $? = 1 ] && grep -q "^cvmm: no VM called '$name' runs here" "$work/err"
verdict 'stat of one that has gone' $?

# One that was killed leaves a socket, which is in nobody's way.
start
kill -9 $vm
wait $vm 2>/dev/null
start
"$cvmm" stop $name
verdict 'after a kill' $?
echo "control: $passed passed, $failed failed"
[ $failed = 0 ]
