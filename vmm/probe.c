/* SPDX-License-Identifier: Apache-2.0 */
/* Asks KVM and /sys what probe.h describes. */
#include "vmm/probe.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "vmm/base/err.h"
#include "vmm/cvm/cvm.h"

static int is_kvm_module(const struct dirent *entry)
{
	return !strncmp(entry->d_name, "kvm", 3);
}

static void find_modules(struct probe *p)
{
	struct dirent **list;
	int n = scandir("/sys/module", &list, is_kvm_module, alphasort);

	for (int i = 0; i < n; i++) {
		if (p->nr_modules < PROBE_MAX_MODULES)
			snprintf(p->modules[p->nr_modules++],
				 sizeof(p->modules[0]), "%.31s",
				 list[i]->d_name);
		free(list[i]);
	}
	if (n >= 0)
		free(list);
}

static void say_why(char *reason, size_t len)
{
	snprintf(reason, len, "%s", err_text());
}

static int extension(struct kvm *kvm, long cap)
{
	int rc = kvm_check_extension(kvm, cap);

	return rc > 0 ? rc : 0;
}

/* What only a VM can tell: a throw-away one, as the type allows. */
static int ask_vm(struct probe_type *t, struct kvm *kvm, unsigned long vm_type)
{
	int rc = kvm_create_vm(kvm, vm_type);

	if (rc)
		return rc;
	t->memfd_flags =
		(unsigned int)extension(kvm, KVM_CAP_GUEST_MEMFD_FLAGS);
	t->attributes = (unsigned int)extension(kvm, KVM_CAP_MEMORY_ATTRIBUTES);
	kvm_close_fd(kvm, kvm->vm_fd);
	kvm->vm_fd = -1;
	return 0;
}

static void ask_type(struct probe_type *t, struct kvm *kvm,
		     const struct cvm_ops *ops)
{
	int rc = ops->probe(kvm);

	if (!rc)
		rc = ask_vm(t, kvm, ops->vm_type);
	t->available = !rc;
	t->launchable = !rc && ops->import;
	if (rc)
		say_why(t->reason, sizeof(t->reason));
	else if (!t->launchable)
		snprintf(t->reason, sizeof(t->reason),
			 "the host can run it, but this version of cvmm "
			 "cannot launch it yet");
}

static void ask_limits(struct probe *p, struct kvm *kvm)
{
	p->vm_types = extension(kvm, KVM_CAP_VM_TYPES);
	p->nr_vcpus = extension(kvm, KVM_CAP_NR_VCPUS);
	p->max_vcpus = extension(kvm, KVM_CAP_MAX_VCPUS);
	p->nr_memslots = extension(kvm, KVM_CAP_NR_MEMSLOTS);
	p->tsc_deadline = extension(kvm, KVM_CAP_TSC_DEADLINE_TIMER);
	p->guest_memfd = extension(kvm, KVM_CAP_GUEST_MEMFD);
	p->pre_fault = extension(kvm, KVM_CAP_PRE_FAULT_MEMORY);
}

void probe_gather(struct probe *p, struct kvm_sys *sys)
{
	struct utsname host;
	struct kvm kvm;

	memset(p, 0, sizeof(*p));
	p->version = "unknown";
	if (!uname(&host))
		snprintf(p->kernel, sizeof(p->kernel), "%s", host.release);
	find_modules(p);
	p->kvm = !kvm_open(&kvm, sys);
	if (p->kvm) {
		p->api_version = KVM_API_VERSION; /* kvm_open() saw to it */
		ask_limits(p, &kvm);
	} else {
		say_why(p->kvm_reason, sizeof(p->kvm_reason));
	}
	for (unsigned int i = 0; cvm_at(i) && i < PROBE_MAX_TYPES; i++) {
		struct probe_type *t = &p->types[p->nr_types++];

		t->name = cvm_at(i)->name;
		t->help = cvm_at(i)->help;
		if (p->kvm)
			ask_type(t, &kvm, cvm_at(i));
		else
			memcpy(t->reason, p->kvm_reason, sizeof(t->reason));
	}
	kvm_close(&kvm);
}

bool probe_usable(const struct probe *p)
{
	return p->nr_types && p->types[0].launchable;
}
