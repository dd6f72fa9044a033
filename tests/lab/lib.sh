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

# lab_prune DIR: forget what nobody has used for a month.  Not sooner: several working
# trees share the cache, each with its own versions.
lab_prune()
{
	find "$1" -mindepth 1 -maxdepth 1 -mtime +30 -exec rm -rf {} +
}

# module_order DIR NAME...: the files of these modules and of what they depend on, in
# the order to load them, relative to DIR; built-in ones need no file.
module_order()
{
	local order

	order=$(awk -v names="${*:2}" '
	function key(file) { sub(/.*\//, "", file); sub(/\.ko.*/, "", file)
			     gsub(/-/, "_", file); return file }
	FILENAME ~ /builtin$/ { builtin[key($1)] = 1; next }
	{ file[key($1)] = substr($1, 1, length($1) - 1); deps[key($1)] = $0 }
	END {
		n = split(names, name, " ")
		for (i = 1; i <= n; i++) {
			k = key(name[i])
			if (k in file) {
				for (j = split(deps[k], dep, " "); j > 1; j--)
					if (!seen[dep[j]]++) print dep[j]
				if (!seen[file[k]]++) print file[k]
			} else if (!(k in builtin)) {
				print "no module " name[i]; exit 1
			}
		}
	}' "$1/modules.builtin" "$1/modules.dep") || die "kernel ${1##*/}: ${order##*$'\n'}"
	echo "$order"
}

# add_modules DIR ROOT NAME...: put modules into an initrd, decompressed, and their
# names in load order into ROOT/modules.
add_modules()
{
	local dir=$1 root=$2 order file

	order=$(module_order "$dir" "${@:3}")
	: > "$root/modules"
	[ -n "$order" ] || return 0
	mkdir -p "$root/lib"
	for file in $order; do
		case $file in
		*.xz) xz -dc "$dir/$file" > "$root/lib/$(basename "$file" .xz)" ;;
		*.zst) zstd -qdc "$dir/$file" > "$root/lib/$(basename "$file" .zst)" ;;
		*) cp "$dir/$file" "$root/lib/" ;;
		esac
		file=${file##*/}
		echo "/lib/${file%.ko*}.ko" >> "$root/modules"
	done
}

# add_busybox ROOT: busybox under all its names; it must need no libraries.
add_busybox()
{
	local binary name

	binary=$(command -v busybox) || die "busybox is not installed; run tests/setup lab"
	mkdir -p "$1/bin" "$1/sbin"
	cp "$binary" "$1/bin/busybox"
	chmod 755 "$1/bin/busybox"
	for name in $("$binary" --list); do
		[ "$name" = busybox ] || ln -s busybox "$1/bin/$name"
	done
}

# add_program ROOT NAME: a program of this machine with the libraries it links with.
add_program()
{
	local binary file

	binary=$(type -P "$2") || die "'$2' is not installed; run tests/setup lab"
	install -m 755 "$binary" "$1/bin/$2"
	for file in $(ldd "$binary" | grep -o '/[^ ]*'); do
		install -D -m 755 "$file" "$1$file"
	done
}

# pack_initrd ROOT: the directory as a cpio archive on stdout, the same bytes for the
# same contents.
pack_initrd()
{
	find "$1" -mindepth 1 -exec touch -h -d @0 {} +
	(cd "$1" && find . -mindepth 1 -printf '%P\n' | LC_ALL=C sort |
		cpio -o --quiet -H newc --owner=0:0 --reproducible)
}
