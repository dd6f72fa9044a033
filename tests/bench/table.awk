# SPDX-License-Identifier: Apache-2.0
#
# Measurements of tests/bench/session, and "size stripped cvmm bytes=N", to the table
# of what cvmm must reach: medians, ratios, bounds.

{
	for (i = 4; i <= NF; i++) {
		split($i, pair, "=")
		key = $1 " " $2 " " $3 " " pair[1]
		value[key, ++count[key]] = pair[2]
	}
}

# The median; -1 if it was not measured.
function median(key,    n, i, j, v, tmp) {
	n = count[key]
	if (!n)
		return -1
	for (i = 1; i <= n; i++)
		v[i] = value[key, i] + 0
	for (i = 2; i <= n; i++)
		for (j = i; j > 1 && v[j - 1] > v[j]; j--) {
			tmp = v[j]; v[j] = v[j - 1]; v[j - 1] = tmp
		}
	return n % 2 ? v[(n + 1) / 2] : (v[n / 2] + v[n / 2 + 1]) / 2
}

function highest(key,    i, max) {
	max = -1
	for (i = 1; i <= count[key]; i++)
		if (value[key, i] + 0 > max)
			max = value[key, i] + 0
	return max
}

# The contestant with the lowest median.
function fastest(prefix, names,    n, i, v, list, best) {
	best = ""
	n = split(names, list, " ")
	for (i = 1; i <= n; i++) {
		v = median(prefix " " list[i] " us")
		if (v >= 0 && (best == "" || v < median(prefix " " best " us")))
			best = list[i]
	}
	return best
}

function show(us) {
	if (us < 0)
		return "-"
	return us < 100000 ? sprintf("%.2f ms", us / 1e3) : sprintf("%.0f ms", us / 1e3)
}

function line(what, ours, peer, ratio, bound, verdict) {
	printf "%-46s %11s  %-24s %6s %8s  %s\n", what, ours, peer, ratio, bound, verdict
}

# Ours against a peer's, which are o and p if >= 0; bound 0 is for information.
function judge(what, o, p, ours, peer, op, bound,    limit, ratio) {
	limit = bound ? sprintf("%s %.2f", op, bound) : ""
	if (o < 0 || p <= 0) {
		line(what, ours, peer, "-", limit, bound ? "not measured" : "")
		return
	}
	ratio = o / p
	line(what, ours, peer, sprintf("%.3f", ratio), limit, !bound ? "" : \
	     (op == "<=" ? ratio <= bound : ratio >= bound) ? "met" : "MISSED")
}

# A time against a peer's.
function against(what, ours, peer, bound,    o, p, prefix) {
	o = median(ours " us")
	p = median(peer " us")
	split(peer, prefix, " ")
	judge(what, o, p, show(o), prefix[3] " " show(p), "<=", bound)
}

# Any figure of a run of tests/bench/virtio.
function figure(what, run, key, format, op, bound,    o, p) {
	o = median("lab " run " cvmm " key)
	p = median("lab " run " qemu " key)
	judge(what, o, p, o < 0 ? "-" : sprintf(format, o), \
	      "qemu " (p < 0 ? "-" : sprintf(format, p)), op, bound)
	if (count["lab " run " old " key])
		judge("  cvmm against CVMM_BENCH_OLD", o, median("lab " run " old " key), \
		      sprintf(format, o), sprintf("old " format, median("lab " run " old " key)), "", 0)
}

function disk(run, what) {
	what = "lab: " what
	figure(what, "disk-" run, "rate", "%d /s", ">=", 1.1)
	figure("  time of the VMM for each", "disk-" run, "cpu_us", "%.1f us", "<=", 0.8)
	figure("  exits for each", "disk-" run, "exits", "%.2f", "", 0)
}

function disks(kind,    n) {
	for (n = 1; n <= 4; n += 3) {
		disk(kind "-" n "-randread", kind " disk, 4K random read, " n " x depth 32")
		disk(kind "-" n "-randwrite", kind " disk, 4K random write, " n " x depth 32")
	}
	disk(kind "-1-read", kind " disk, 1 MiB sequential read")
	disk(kind "-1-write", kind " disk, 1 MiB sequential write")
}

function net(run, what) {
	what = "lab: " what
	figure(what, run, "rate", "%d MB/s", ">=", 1.0)
	figure("  time of the VMM for a MB", run, "cpu_us", "%d us", "", 0)
}

function virtio() {
	disks("direct")
	disks("cached")
	net("tap-there", "TCP to the host over a tap")
	net("tap-back", "TCP from the host")
	net("vhost-there", "TCP to the host, vhost")
	net("vhost-back", "TCP from the host, vhost")
	line("lab: a request through the virtqueue", \
	     sprintf("%d ns", median("lab virtqueue cvmm ns")), "", "", "", "")
}

function at_most(what, kib, bound) {
	line(what, kib < 0 ? "-" : sprintf("%d KiB", kib), "", "", "<= " bound, \
	     kib < 0 ? "not measured" : kib <= bound ? "met" : "MISSED")
}

function startup(where,    p) {
	p = where " first-run "
	against(where ": to first KVM_RUN, 512 MiB", p "cvmm-512M", p "floor-512M", 1.5)
	against(where ": to first KVM_RUN, 192 GiB", p "cvmm-192G", p "cvmm-512M", 1.1)
	against(where ": the same against the floor", p "cvmm-192G", p "floor-192G", 0)
	against(where ": the floor itself, 192 GiB", p "floor-192G", p "floor-512M", 0)
}

function launch(    peer, n, all, i, micro) {
	startup("native")
	startup("lab")
	micro = "lab first-run " fastest("lab first-run", "microvm microvm-slim")
	against("lab: to first KVM_RUN, embedded guest", "lab first-run cvmm-512M", micro, 0.1)
	against("lab: the same, Debian 6.12, its own bzImage", "lab first-run cvmm-guest", micro, 0.1)
	against("lab: the same, decompressed by the host", "lab first-run cvmm-auto", micro, 0)
	against("lab: the same", "lab first-run cvmm-auto", "lab first-run kvmtool", 0)

	peer = "lab boot " fastest("lab boot", "q35 microvm microvm-slim")
	against("lab: Debian 6.12 to /init", "lab boot cvmm-auto", peer, 0.65)
	against("lab: the same, decompressed by the guest", "lab boot cvmm-guest", peer, 0)
	against("lab: the same in emulated", "lab boot cvmm-emulated", "lab boot cvmm-auto", 1.3)
	against("lab: the same with a disk and a network", "lab boot cvmm-devices", "lab boot cvmm-auto", 1.05)
	n = split("q35 microvm microvm-slim kvmtool", all, " ")
	for (i = 1; i <= n; i++)
		if ("lab boot " all[i] != peer)
			against("lab: the same", "lab boot cvmm-auto", "lab boot " all[i], 0)

	at_most("native: private memory, embedded guest, KiB", highest("native memory cvmm-512M private_kib"), 3072)
	at_most("lab: private memory, embedded guest, KiB", highest("lab memory cvmm-512M private_kib"), 3072)
	at_most("lab: private memory, Debian boot, KiB", highest("lab memory cvmm-auto private_kib"), 6144)
	at_most("lab: the same, decompressed by the guest, KiB", highest("lab memory cvmm-guest private_kib"), 6144)
	for (i = 1; i <= n; i++)
		if (count["lab memory " all[i] " private_kib"])
			line("lab: the same, " all[i], \
			     highest("lab memory " all[i] " private_kib") " KiB", "", "", "", "")
	at_most("binary, stripped, KB", int((median("size stripped cvmm bytes") + 999) / 1000), 250)
}

function show_as(format, v) {
	return v < 0 ? "-" : sprintf(format, v)
}

# A figure of one run of two contestants.
function versus(what, run, key, ours, peer, format, op, bound,    o, p) {
	o = median(run " " ours " " key)
	p = median(run " " peer " " key)
	judge(what, o, p, show_as(format, o), peer " " show_as(format, p), op, bound)
}

# A guest that believes in SEV against one that does not.
function bounced(run, what) {
	run = "lab disk-" run
	versus("lab: emulated, " what, run, "rate", "emulated", "none", "%d /s", ">=", 0.7)
	versus("  time of the VMM for each", run, "cpu_us", "emulated", "none", "%.1f us", "", 0)
	versus("  exits for each", run, "exits", "emulated", "none", "%.2f", "", 0)
}

function emulated(    n, i, kinds) {
	n = split("direct cached", kinds, " ")
	for (i = 1; i <= n; i++) {
		bounced(kinds[i] "-1-randread", kinds[i] " disk, 4K random read")
		bounced(kinds[i] "-1-randwrite", kinds[i] " disk, 4K random write")
		bounced(kinds[i] "-1-read", kinds[i] " disk, 1 MiB read")
		bounced(kinds[i] "-1-write", kinds[i] " disk, 1 MiB write")
	}
}

# How many times as much four threads convert as one; -1 if it was not measured.
function gain(to, who,    one, four) {
	one = median("full convert-2M-used-" to " " who " us")
	four = median("full convert-2M-used-4-" to " " who " us")
	return one < 0 || four <= 0 ? -1 : one / four
}

# cvmm's own share of a conversion, and what its locks leave of the kernel's.
function conversions(to,    n, i, sizes) {
	n = split("4K 4K-used 2M 2M-used 1G 1G-used", sizes, " ")
	for (i = 1; i <= n; i++)
		versus("full: to " to ", " sizes[i], "full convert-" sizes[i] "-" to, "us", \
		       "cvmm", "bare", "%.1f us", "<=", 1.1)
	judge("  four threads against one, 2M-used", gain(to, "cvmm"), gain(to, "bare"), \
	      show_as("%.2f", gain(to, "cvmm")), "bare " show_as("%.2f", gain(to, "bare")), ">=", 0.9)
}

function convert(    p) {
	p = "full first-run "
	against("full: to first KVM_RUN, sw, 192 GiB", p "sw-192G", p "sw-1G", 1.1)
	against("full: the floor itself, 192 GiB", p "floor-sw-192G", p "floor-sw-1G", 0)
	against("full: sw against the floor, 1 GiB", p "sw-1G", p "floor-sw-1G", 0)
	against("full: the same, 192 GiB", p "sw-192G", p "floor-sw-192G", 0)
	conversions("shared")
	conversions("private")
}

END {
	line("from exec, 1 vCPU, medians", "cvmm", "peer", "ratio", "bound", "")
	if (only == "" || only == "launch")
		launch()
	if (only == "" || only == "virtio")
		virtio()
	if (only == "" || only == "emulated")
		emulated()
	if (only == "" || only == "convert")
		convert()
}
