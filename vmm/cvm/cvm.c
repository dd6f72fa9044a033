/* SPDX-License-Identifier: Apache-2.0 */
/* The list of technologies, and what their probes share. */
#include "vmm/cvm/cvm.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vmm/base/err.h"

static const struct cvm_ops *const technologies[] = {
	&cvm_none, &cvm_emulated, &cvm_sw, &cvm_snp, &cvm_tdx,
};

const struct cvm_ops *cvm_at(unsigned int i)
{
	return i < ARRAY_SIZE(technologies) ? technologies[i] : NULL;
}

const char *cvm_name(unsigned int i)
{
	return i < ARRAY_SIZE(technologies) ? technologies[i]->name : NULL;
}

const struct cvm_ops *cvm_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(technologies); i++)
		if (!strcmp(technologies[i]->name, name))
			return technologies[i];
	return NULL;
}

int cvm_require_vm_type(struct kvm *kvm, unsigned long type)
{
	int types = kvm_check_extension(kvm, KVM_CAP_VM_TYPES);

	if (types < 0)
		return types;
	if (!types)
		types = 1 << KVM_X86_DEFAULT_VM;
	if (type >= 31 || !(types & (1 << type)))
		return err_set(-EOPNOTSUPP,
			       "KVM does not offer VM type %lu "
			       "(KVM_CAP_VM_TYPES is %#x)",
			       type, types);
	return 0;
}

bool cvm_cpu_has(const char *flag)
{
	char line[8192], word[64];
	FILE *f = fopen("/proc/cpuinfo", "re");
	bool found = false;

	if (!f)
		return false;
	snprintf(word, sizeof(word), " %s ", flag);
	while (!found && fgets(line, sizeof(line), f)) {
		if (strncmp(line, "flags", 5) != 0)
			continue;
		line[strcspn(line, "\n")] = ' ';
		found = strstr(line, word);
	}
	fclose(f);
	return found;
}

char cvm_module_parameter(const char *path)
{
	char name[128];
	FILE *f;
	int c;

	snprintf(name, sizeof(name), "/sys/module/%s", path);
	f = fopen(name, "re");
	if (!f)
		return 0;
	c = fgetc(f);
	fclose(f);
	return c == EOF ? 0 : (char)c;
}
