# SPDX-License-Identifier: Apache-2.0
# The rules of docs/ARCHITECTURE.md that a pattern can see, for C files named on
# the command line relative to the root of the tree.  Each complaint says why.
# Status 1 if there was one.  POSIX awk.

function complain(text) {
	printf "%s:%d: %s\n", FILENAME, FNR, text
	bad = 1
}

# The part of the tree a file belongs to: "vmm/kvm", "devices", ...
function part_of(path, dir) {
	if (path ~ /^vmm\/(base|kvm|cvm|measure)\//) {
		split(path, dir, "/")
		return "vmm/" dir[2]
	}
	return substr(path, 1, index(path, "/") - 1)
}

function start_file() {
	part = part_of(FILENAME)
	test = part == "tests"
	in_comment = includes = body = 0
	own = FILENAME
	sub(/\.c$/, ".h", own)
	has_own = own != FILENAME && (getline junk <own) >= 0
	close(own)
	short = own
	sub(/^tests\//, "", short) # tests may leave it out
}

# Takes comments and the contents of strings out of a line.
function code_of(line, out, c, two) {
	out = ""
	while (line != "") {
		two = substr(line, 1, 2)
		c = substr(line, 1, 1)
		if (in_comment) {
			if (two == "*/") {
				in_comment = 0
				line = substr(line, 3)
				continue
			}
		} else if (two == "/*") {
			in_comment = 1
		} else if (two == "//") {
			break
		} else if (match(line, /^"([^"\\]|\\.)*"/) ||
			   match(line, /^'([^'\\]|\\.)+'/)) {
			out = out c c
			line = substr(line, RLENGTH + 1)
			continue
		} else {
			out = out c
		}
		line = substr(line, 2)
	}
	return out
}

# What each part may include besides itself, and why not more.
function check_include(to, target) {
	target = part_of(to)
	if (to == "vmm/config.h" && !test && part != "vmm")
		complain("includes vmm/config.h: what the user asked for is " \
			"for machine.c and the commands; take the values you " \
			"need as parameters")
	if (test || part == "vmm" || target == part)
		return
	if (part == "vmm/base") {
		complain("includes " to ": vmm/base is what all else stands " \
			"on, so it includes only itself")
	} else if (part == "vmm/kvm") {
		if (target == "vmm/base" ||
		    (FILENAME ~ /^vmm\/kvm\/(vm|x86)\.c$/ &&
		     (to == "vmm/cvm/cvm.h" || to == "boot/image.h")))
			return
		complain("includes " to ": vmm/kvm knows vmm/base; only " \
			"vm.c and x86.c know that there are a launch list " \
			"(boot/image.h) and technologies (vmm/cvm/cvm.h)")
	} else if (part == "vmm/cvm" || part == "vmm/measure") {
		if (target == "vmm/base" || target == "vmm/kvm" ||
		    to == "boot/image.h")
			return
		complain("includes " to ": a technology sees KVM and the " \
			"launch list (boot/image.h), not who fills it")
	} else if (part == "devices") {
		if (target == "vmm/base")
			return
		complain("includes " to ": a device knows guest memory, the " \
			"bus and eventfds, never KVM: vmm/base only")
	} else if (part == "boot" || part == "firmware") {
		if (target == "vmm/base" || target == "boot" ||
		    target == "firmware")
			return
		complain("includes " to ": boot and firmware turn files into " \
			"a launch list and know no KVM: vmm/base, boot, firmware")
	}
}

function check_code(code) {
	# A function pointer of that name is fine.
	if (!test && code ~ /(^|[^_.>A-Za-z0-9])ioctl[ \t]*\(/ &&
	    FILENAME !~ /^(vmm\/(kvm\/kvm|terminal)|devices\/(tap|vhost|disk_block))\.c$/)
		complain("ioctl(): the kernel is asked through struct " \
			"kvm_sys, or a test could not be the kernel: add " \
			"a function to vmm/kvm/kvm.c; what makes a device " \
			"of the host's is named here")
	if (!test && FILENAME != "vmm/main.c" &&
	    code ~ /(^|[^_.>A-Za-z0-9])(exit|quick_exit|abort|errx?|perror)[ \t]*\(/)
		complain("ends the process or prints: return -errno and " \
			"err_set(); only main() prints and exits")
	if (!test && code ~ /(^|[^_.>A-Za-z0-9])_exit[ \t]*\(/ &&
	    FILENAME !~ /^(vmm\/(main|testvm|base\/child)|devices\/passt)\.c$/)
		complain("_exit(): for the child of a fork in testvm.c, " \
			"child.c and passt.c only")
	# snprintf is none of them.
	if (!test && part != "vmm/cvm" && part != "firmware" &&
	    part != "vmm/measure" && FILENAME != "vmm/kvm/abi.h" &&
	    tolower(code) ~ /(tdx|snp)([^a-z]|$)/)
		complain("names a technology: that is for vmm/cvm and " \
			"firmware; ask struct cvm_ops")
}

function check_text(line, wide) {
	wide = line
	while (match(wide, /\t/))
		wide = substr(wide, 1, RSTART - 1) \
			substr("        ", 1, 8 - (RSTART - 1) % 8) \
			substr(wide, RSTART + 1)
	if (length(wide) > 80 && FILENAME !~ /^tests\/golden\//)
		complain("longer than 80 columns, tabs counting 8")
	if (line ~ /[ \t]$/)
		complain("white space at the end of the line")
	if (line ~ /(TODO|FIXME)/ && line !~ /(TODO|FIXME)\(#[0-9]+\)/)
		complain("TODO without an issue: write TODO(#12)")
	if (line ~ /(^|[^A-Z])XXX([^A-Z]|$)/)
		complain("XXX: open an issue and write TODO(#12)")
}

FNR == 1 {
	start_file()
	if ($0 !~ /SPDX-License-Identifier: Apache-2\.0/)
		complain("the first line must be the SPDX licence line")
}

FNR == 501 {
	complain("more than 500 lines: split the file by subject")
}

{
	check_text($0)
	code = code_of($0)
}

/^#include "/ {
	split($0, quoted, "\"")
	if (++includes == 1 && has_own && quoted[2] != own &&
	    quoted[2] != short)
		complain("includes " quoted[2] " before its own header, " \
			"which then is not seen to compile alone")
	check_include(quoted[2])
}

/^#include </ && !includes++ && has_own {
	complain("its own header comes first, before " $2)
}

!/^#include/ { check_code(code) }

/^{/ { body = FNR }

/^}/ && body {
	if (FNR - body - 1 > 60)
		complain("a function of " FNR - body - 1 " lines: 60 at most; " \
			"what it does has parts with names")
	body = 0
}

END { exit bad }
