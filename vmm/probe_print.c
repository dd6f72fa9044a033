/* SPDX-License-Identifier: Apache-2.0 */
/* Prints what probe.c gathered. */
#include "vmm/figures.h"
#include "vmm/kvm/vm.h"
#include "vmm/probe.h"

struct bit {
	unsigned int value;
	const char *name;
};
static const struct bit memfd_flags[] = {
	{ GUEST_MEMFD_FLAG_MMAP, "mmap" },
	{ GUEST_MEMFD_FLAG_INIT_SHARED, "init_shared" },
	{ 0, NULL },
};
static const struct bit attributes[] = {
	{ KVM_MEMORY_ATTRIBUTE_PRIVATE, "private" },
	{ 0, NULL },
};

static void print_bits(FILE *out, const struct bit *bits, unsigned int value)
{
	const char *separator = "";

	for (; bits->name; bits++)
		if (value & bits->value) {
			fprintf(out, "%s%s", separator, bits->name);
			separator = ", ";
		}
	fputs(*separator ? "" : "none", out);
}

static void print_type(const struct probe_type *t, FILE *out)
{
	fprintf(out, "  %-10s%-5s%s\n", t->name,
		t->launchable  ? "yes"
		: t->available ? "host"
			       : "no",
		t->launchable ? t->help : t->reason);
	if (!t->available)
		return;
	fprintf(out, "%17sguest_memfd flags: ", "");
	print_bits(out, memfd_flags, t->memfd_flags);
	fputs("; memory attributes: ", out);
	print_bits(out, attributes, t->attributes);
	fputc('\n', out);
}

void probe_print(const struct probe *p, FILE *out)
{
	fprintf(out, "cvmm %s, Linux %s, modules:", p->version, p->kernel);
	for (unsigned int i = 0; i < p->nr_modules; i++)
		fprintf(out, " %s", p->modules[i]);
	fputs(p->nr_modules ? "\n" : " no kvm\n", out);
	if (!p->kvm)
		fprintf(out, "KVM: no: %s\n", p->kvm_reason);
	else
		fprintf(out, "KVM: API %d, VM types %#x\n", p->api_version,
			p->vm_types);
	fputs("\nVM types (vm.cvm)\n", out);
	for (unsigned int i = 0; i < p->nr_types; i++)
		print_type(&p->types[i], out);
	if (!p->kvm)
		return;
	fprintf(out, "\nguest_memfd: %s\n",
		p->guest_memfd ? "yes" : "no, set memory.backing = memfd");
	fprintf(out, "pre-faulting of memory: %s\n",
		p->pre_fault ? "yes" : "no");
	fprintf(out, "TSC deadline timer: %s\n",
		p->tsc_deadline ? "yes" : "no");
	fprintf(out, "vCPUs: KVM %d at most, %d recommended; cvmm %d\n",
		p->max_vcpus, p->nr_vcpus, VM_MAX_VCPUS);
	fprintf(out, "memslots: %d\n", p->nr_memslots);
}

/* --- JSON (RFC 8259) --- */

static void json_reason(FILE *out, const char *reason)
{
	if (*reason)
		json_string(out, reason);
	else
		fputs("null", out);
}

static void json_bits(FILE *out, const struct bit *bits, unsigned int value)
{
	const char *separator = "";

	fputc('[', out);
	for (; bits->name; bits++)
		if (value & bits->value) {
			fputs(separator, out);
			json_string(out, bits->name);
			separator = ", ";
		}
	fputc(']', out);
}

static const char *json_bool(bool value)
{
	return value ? "true" : "false";
}

static void json_type(const struct probe_type *t, FILE *out)
{
	fputs("    { \"name\": ", out);
	json_string(out, t->name);
	fputs(", \"description\": ", out);
	json_string(out, t->help);
	fprintf(out, ",\n      \"available\": %s, \"launchable\": %s,\n",
		json_bool(t->available), json_bool(t->launchable));
	fputs("      \"reason\": ", out);
	json_reason(out, t->reason);
	fputs(",\n      \"guest_memfd_flags\": ", out);
	json_bits(out, memfd_flags, t->memfd_flags);
	fputs(", \"memory_attributes\": ", out);
	json_bits(out, attributes, t->attributes);
	fputs(" }", out);
}

static void json_modules(const struct probe *p, FILE *out)
{
	fputs("  \"modules\": [", out);
	for (unsigned int i = 0; i < p->nr_modules; i++) {
		fputs(i ? ", " : "", out);
		json_string(out, p->modules[i]);
	}
	fputs("],\n", out);
}

void probe_print_json(const struct probe *p, FILE *out)
{
	fputs("{\n  \"cvmm\": ", out);
	json_string(out, p->version);
	fputs(",\n  \"kernel\": ", out);
	json_string(out, p->kernel);
	fputs(",\n", out);
	json_modules(p, out);
	fprintf(out, "  \"kvm\": { \"available\": %s, \"reason\": ",
		json_bool(p->kvm));
	json_reason(out, p->kvm_reason);
	fprintf(out, ", \"api_version\": %d },\n  \"types\": [\n",
		p->api_version);
	for (unsigned int i = 0; i < p->nr_types; i++) {
		fputs(i ? ",\n" : "", out);
		json_type(&p->types[i], out);
	}
	fprintf(out,
		"\n  ],\n  \"vm_types\": %d,\n  \"guest_memfd\": %s,\n"
		"  \"pre_fault_memory\": %s,\n  \"tsc_deadline_timer\": %s,\n",
		p->vm_types, json_bool(p->guest_memfd), json_bool(p->pre_fault),
		json_bool(p->tsc_deadline));
	fprintf(out,
		"  \"limits\": { \"vcpus\": %d, \"vcpus_recommended\": %d, "
		"\"vcpus_cvmm\": %d, \"memslots\": %d }\n}\n",
		p->max_vcpus, p->nr_vcpus, VM_MAX_VCPUS, p->nr_memslots);
}
