# SPDX-License-Identifier: Apache-2.0
# One Makefile, no recursion.  `make help` lists the targets.

B       ?= build
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo 0.1)
# Of the source, not of the build, so that builds can be reproduced: what a
# packager says, or the commit's, or that of the files of a release.
EPOCH   := $(shell echo $${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct 2>/dev/null || stat -c %Y Makefile)})
DATE    := $(shell LC_ALL=C date -u -d @$(EPOCH) '+%B %-d, %Y')
WERROR  ?= -Werror
WARN    := -Wall -Wextra $(WERROR) -Wshadow -Wstrict-prototypes \
           -Wmissing-prototypes -Wvla -Wwrite-strings -Wundef
OPT     ?= -O2 -g
HARDEN  ?= -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE
CPPFLAGS += -D_GNU_SOURCE -I. -Itests -I$(B) -MMD -MP
CFLAGS  += -std=gnu17 $(WARN) $(OPT) $(HARDEN) $(SAN) -ffunction-sections \
           -fdata-sections -ffile-prefix-map=$(CURDIR)=.
LDFLAGS += -pie -Wl,-z,relro,-z,now,--gc-sections,--as-needed $(SAN)
# iniparser is linked statically: one library less to load at every start.
LDLIBS  += -l:libiniparser.a -lpthread
# Only the tests compress; cvmm loads what it needs when it needs it.
PACKERS := -lzstd -llzma -llz4 -lz
PREFIX  ?= /usr/local
DESTDIR ?=

Q     := $(if $(V),,@)
comma := ,
prog  := vmm/main.c
core  := $(filter-out $(prog),$(wildcard vmm/*.c vmm/*/*.c devices/*.c boot/*.c firmware/*.c))
blobs := firmware/blobs.S
tests := $(wildcard tests/*.c tests/support/*.c tests/vmm/*.c tests/base/*.c tests/kvm/*.c \
           tests/devices/*.c tests/boot/*.c tests/firmware/*.c)
fuzz  := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
hdrs  := $(wildcard vmm/*.h vmm/*/*.h devices/*.h boot/*.h firmware/*.h)
obj    = $(addprefix $(B)/,$(addsuffix .o,$(basename $(1))))

all: $(B)/cvmm compile_commands.json    ## build cvmm (build/cvmm)

$(B)/cvmm: $(call obj,$(prog) $(core) $(blobs))
	@echo "  LD      $@"
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(B)/tests/run: $(call obj,$(core) $(blobs) $(tests))
	@echo "  LD      $@"
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS) $(shell pkg-config --libs check) $(PACKERS)

$(B)/%.o: %.c | need-build
	@mkdir -p $(@D)
	@echo "  CC      $<"
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

$(B)/%.o: %.S | need-build
	@mkdir -p $(@D)
	@echo "  AS      $<"
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

# Changes only when what is in it does.
$(B)/version.h: need-build
	@mkdir -p $(@D)
	$(Q)printf '#define CVMM_%s "%s"\n' VERSION '$(VERSION)' DATE '$(DATE)' > $@.new
	$(Q)cmp -s $@.new $@ && rm $@.new || mv $@.new $@
$(call obj,vmm/cmd_version.c vmm/cmd_probe.c vmm/help_man.c): $(B)/version.h

# What is linked into the binary as bytes: the DSDT and the embedded guest.
$(B)/firmware/blobs.o: $(B)/boot/dsdt.aml $(B)/firmware/guest.bin

$(B)/boot/dsdt.aml: boot/dsdt.asl vmm/base/layout_x86.h | need-build
	@mkdir -p $(@D)
	@echo "  IASL    $<"
	$(Q)$(CC) -E -P -x c -I. $< -o $(B)/boot/dsdt.dsl
	$(Q)iasl -va -p $@ $(B)/boot/dsdt.dsl >$(B)/boot/iasl.log || (cat $(B)/boot/iasl.log; exit 1)

GUEST_CFLAGS := -std=gnu17 $(WARN) -Os -ffreestanding -fno-pic -mcmodel=small -mno-red-zone \
                -mgeneral-regs-only -fno-stack-protector -fno-asynchronous-unwind-tables -I. -MMD -MP
guest := $(wildcard firmware/guest/*.c firmware/guest/*.S)
$(B)/firmware/guest/%.o: firmware/guest/%.c | need-build
	@mkdir -p $(@D)
	@echo "  CC      $< (guest)"
	$(Q)$(CC) $(GUEST_CFLAGS) -c -o $@ $<
$(B)/firmware/guest/%.o: firmware/guest/%.S | need-build
	@mkdir -p $(@D)
	@echo "  AS      $< (guest)"
	$(Q)$(CC) $(GUEST_CFLAGS) -c -o $@ $<
$(B)/firmware/guest.bin: firmware/guest/guest.ld $(call obj,$(guest))
	@echo "  LD      $@"
	$(Q)$(LD) -nostdlib -static --build-id=none -z noexecstack --no-warn-rwx-segments -T $< -o $(B)/firmware/guest.elf $(filter %.o,$^)
	$(Q)objcopy -O binary $(B)/firmware/guest.elf $@

need-build: ; @tests/setup build

check: all $(B)/tests/run replay        ## set up and run every test
	$(Q)tests/setup ci
	$(Q)tests/check $(B)

check-unit: all $(B)/tests/run replay   ## the tests that need no KVM and no lab
	$(Q)$(B)/tests/run

san = B=$(B)-$(1) SAN="-fsanitize=$(2) -fno-omit-frame-pointer" HARDEN= OPT="-O1 -g"
check-asan:                             ## unit tests, address and UB sanitizers
	$(Q)CK_FORK=no $(MAKE) check-unit $(call san,asan,address$(comma)undefined -fno-sanitize-recover=all)

check-tsan:                             ## unit tests, thread sanitizer
	$(Q)CK_FORK=no $(MAKE) check-unit $(call san,tsan,thread)

replay: $(fuzz:%=$(B)/tests/fuzz/replay_%)
	$(Q)for t in $(fuzz); do $(B)/tests/fuzz/replay_$$t tests/fuzz/corpus/$$t/* || exit 1; done

$(B)/tests/fuzz/replay_%: $(B)/tests/fuzz/fuzz_%.o $(B)/tests/fuzz/replay.o $(call obj,$(core) $(blobs))
	@echo "  LD      $@"
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

SECONDS ?= 60
fuzz:                                   ## fuzz every parser for SECONDS=60 each (clang)
	$(Q)$(MAKE) fuzz-run CC=clang $(call san,fuzz,address$(comma)undefined$(comma)fuzzer-no-link)

fuzz-run: $(call obj,$(core) $(blobs) $(wildcard tests/fuzz/fuzz_*.c))
	$(Q)for t in $(fuzz); do mkdir -p $(B)/corpus/$$t; \
	  $(CC) $(LDFLAGS) -fsanitize=fuzzer -o $(B)/fuzz_$$t $(B)/tests/fuzz/fuzz_$$t.o \
	    $(call obj,$(core) $(blobs)) $(LDLIBS) && \
	  $(B)/fuzz_$$t -max_total_time=$(SECONDS) -max_len=65536 -artifact_prefix=$(B)/ \
	    -print_final_stats=1 $(B)/corpus/$$t tests/fuzz/corpus/$$t || exit 1; done

coverage:                               ## line coverage of unit and native tests
	$(Q)$(MAKE) coverage-run B=$(B)-cov SAN=--coverage HARDEN= OPT="-O0 -g"

coverage-run: all $(B)/tests/run replay
	$(Q)tests/coverage $(B)

bench: all $(B)/tests/bench/measure $(B)/tests/bench/floor ## measure against peers and the floor
	$(Q)tests/setup ci
	$(Q)tests/bench/run $(B)

# Static and by themselves: they start fast and run on any Linux.
$(B)/tests/bench/%: tests/bench/%.c | need-build
	@mkdir -p $(@D)
	@echo "  CCLD    $@"
	$(Q)$(CC) $(CPPFLAGS) -std=gnu17 $(WARN) -O2 -static -o $@ $<

$(B)/tests/lab/%: tests/lab/%.c | need-build
	@mkdir -p $(@D)
	@echo "  CCLD    $@"
	$(Q)$(CC) $(CPPFLAGS) -std=gnu17 $(WARN) -O2 -static -o $@ $<

demo: all                               ## boot a Debian kernel and show it working
	$(Q)tests/setup lab
	$(Q)tests/demo $(B)

lint: need-build                        ## include directions, headers, sizes, scripts
	$(Q)for h in $(hdrs); do echo "#include \"$$h\"" | \
	  $(CC) $(filter-out -MMD -MP,$(CPPFLAGS)) $(CFLAGS) -fsyntax-only -x c - || exit 1; done
	$(Q)tests/lint

tidy: compile_commands.json $(B)/version.h ## clang-tidy, warnings are errors
	$(Q)printf '%s\n' $(prog) $(core) | xargs -P2 -n4 clang-tidy -p . --quiet

format:                                 ## clang-format what git tracks
	$(Q)git ls-files '*.[ch]' | xargs clang-format -i

compile_commands.json: Makefile $(prog) $(core)
	$(Q)( echo '['; sep=''; for f in $(prog) $(core); do \
	  printf '%s{"directory":"%s","file":"%s","command":"%s"}\n' "$$sep" '$(CURDIR)' $$f \
	  "$(CC) $(CPPFLAGS) $(CFLAGS) -c $$f"; sep=','; done; echo ']' ) > $@

install: all                            ## DESTDIR, PREFIX: binary, man page, configs, completion
	install -Dm755 -s $(B)/cvmm $(DESTDIR)$(PREFIX)/bin/cvmm
	$(B)/cvmm help --man | install -Dm644 /dev/stdin $(DESTDIR)$(PREFIX)/share/man/man1/cvmm.1
	install -Dm644 docs/cvmm.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/cvmm
	for f in configs/*.ini; do install -Dm644 $$f $(DESTDIR)$(PREFIX)/share/cvmm/$$f; done

help:                                   ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  \1\t/p' $(MAKEFILE_LIST) | expand -t 16

clean:                                  ## remove what was built
	$(Q)rm -rf build build-* compile_commands.json

.PHONY: all check check-unit check-asan check-tsan replay fuzz fuzz-run coverage coverage-run bench \
        demo lint tidy format install help clean need-build
.DELETE_ON_ERROR:
.SECONDARY:
-include $(shell find $(B) -name '*.d' 2>/dev/null)
