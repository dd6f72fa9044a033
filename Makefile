# SPDX-License-Identifier: Apache-2.0
# One Makefile, no recursion.  `make help` lists the targets.

B        ?= build
OPT      ?= -Oz -g -fno-asynchronous-unwind-tables -fno-jump-tables
WERROR   ?= -Werror
HARDEN   ?= -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE
PREFIX   ?= /usr/local
SECONDS  ?= 60
MINUTES  ?= 10
WARN     := -Wall -Wextra $(WERROR) -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla \
            -Wwrite-strings -Wundef
CPPFLAGS += -D_GNU_SOURCE -I. -Itests -I$(B) -MMD -MP
CFLAGS   += -std=gnu17 $(WARN) $(OPT) $(HARDEN) $(SAN) -ffunction-sections -fdata-sections \
            -ffile-prefix-map=$(CURDIR)=.
LDFLAGS  += -pie -Wl,-z,relro,-z,now,-z,pack-relative-relocs,--gc-sections,--as-needed $(SAN)
# iniparser is linked statically: one library less to load at every start.
LDLIBS   += -l:libiniparser.a -lpthread
# Of the source, not of the build, so that builds can be reproduced: what a
# packager says, or the commit's, or that of the files of a release.
VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null || echo 0.1)
EPOCH    := $(shell echo $${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct 2>/dev/null || stat -c %Y Makefile)})
DATE     := $(shell LC_ALL=C date -u -d @$(EPOCH) '+%B %-d, %Y')

comma := ,
Q     := $(if $(V),,@)
say    = @mkdir -p $(@D); echo "  $1	$(or $2,$@)"
flags  = $(CPPFLAGS) $(CFLAGS)
obj    = $(addprefix $(B)/,$(addsuffix .o,$(basename $1)))
prog  := vmm/main.c
core  := $(filter-out $(prog),$(wildcard vmm/*.c vmm/*/*.c devices/*.c boot/*.c firmware/*.c))
tests := $(filter-out tests/fuzz/% tests/bench/% tests/lab/% tests/abi/%,$(wildcard tests/*.c tests/*/*.c))
inner := $(B)/tests/bench/virtqueue $(B)/tests/bench/convert
alone := $(filter-out $(inner),$(patsubst %.c,$(B)/%,$(wildcard tests/bench/*.c tests/lab/*.c)))
guest := $(wildcard firmware/guest/*.c firmware/guest/*.S)
fuzz  := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
base  := $(call obj,$(core) firmware/blobs.S)

all: $(B)/cvmm compile_commands.json    ## build cvmm (build/cvmm)

define link
$(call say,LD)
$(Q)$(CC) $(LDFLAGS) $1 -o $@ $^ $(LDLIBS)
endef

$(B)/cvmm: $(call obj,$(prog)) $(base) ; $(call link)
# Only the tests compress; cvmm loads what it needs when it needs it.
$(B)/tests/run: LDLIBS += $(shell pkg-config --libs check) -lzstd -llzma -llz4 -lz
$(B)/tests/run: $(call obj,$(tests)) $(base) ; $(call link)
$(inner): %: %.o $(base) ; $(call link)
$(B)/replay/%: $(B)/tests/fuzz/fuzz_%.o $(B)/tests/fuzz/replay.o $(base) ; $(call link)
$(B)/fuzz/%: $(B)/tests/fuzz/fuzz_%.o $(base) ; $(call link,-fsanitize=fuzzer)

$(B)/%.o: %.c | need-build
	$(call say,CC,$<)
	$(Q)$(CC) $(flags) -c -o $@ $<
$(B)/%.o: %.S | need-build
	$(call say,AS,$<)
	$(Q)$(CC) $(flags) -c -o $@ $<
$(B)/firmware/guest/%.o: flags = -std=gnu17 $(WARN) -Oz -ffreestanding -fno-pic -mcmodel=small -mno-red-zone \
  -mgeneral-regs-only -fno-stack-protector -fno-asynchronous-unwind-tables -I. -MMD -MP
# Static and by themselves: they start fast and run on any Linux.
$(alone): $(B)/%: %.c | need-build
	$(call say,CCLD)
	$(Q)$(CC) $(CPPFLAGS) -std=gnu17 $(WARN) -O2 -static -o $@ $<

# What is linked into the binary as bytes: the DSDT and the embedded guest.
$(B)/firmware/blobs.o: $(B)/boot/dsdt.aml $(B)/firmware/guest.bin
$(B)/boot/dsdt.aml: boot/dsdt.asl vmm/base/layout_x86.h | need-build
	$(call say,IASL)
	$(Q)$(CC) -E -P -x c -I. $< -o $(@:.aml=.dsl)
	$(Q)iasl -va -p $@ $(@:.aml=.dsl) >$(@D)/iasl.log || (cat $(@D)/iasl.log; exit 1)
$(B)/firmware/guest.bin: firmware/guest/guest.ld $(call obj,$(guest))
	$(call say,LD)
	$(Q)$(LD) -nostdlib -static --build-id=none -z noexecstack --no-warn-rwx-segments -T $^ -o $(@:.bin=.elf)
	$(Q)objcopy -O binary $(@:.bin=.elf) $@
# Changes only when what is in it does.
$(B)/version.h: need-build
	@mkdir -p $(@D)
	$(Q)printf '#define CVMM_%s "%s"\n' VERSION '$(VERSION)' DATE '$(DATE)' > $@.new
	$(Q)cmp -s $@.new $@ && rm $@.new || mv $@.new $@
$(call obj,vmm/cmd_version.c vmm/cmd_probe.c vmm/help_man.c): $(B)/version.h
compile_commands.json: Makefile $(prog) $(core)
	$(Q)echo '[$(subst } {,}$(comma) {,$(foreach f,$(prog) $(core),{"directory":"$(CURDIR)","file":"$f","command":"$(CC) $(flags) -c $f"}))]' > $@
need-build: ; @tests/setup build

check: all $(B)/tests/run replay        ## set up and run every test
	$(Q)tests/check $(B)
check-unit: all $(B)/tests/run replay   ## the tests that need no KVM and no lab
	$(Q)$(B)/tests/run
replay: $(fuzz:%=$(B)/replay/%)
	$(Q)for t in $(fuzz); do $(B)/replay/$$t tests/fuzz/corpus/$$t/* || exit 1; done

# The same targets again, built in another way beside the usual build.
san = B=$(B)-$1 SAN="-fsanitize=$2 -fno-omit-frame-pointer" HARDEN= OPT="-O1 -g"
check-asan:                             ## unit tests, address and UB sanitizers
	$(Q)CK_FORK=no $(MAKE) check-unit $(call san,asan,address$(comma)undefined -fno-sanitize-recover=all)
check-tsan:                             ## unit tests, thread sanitizer
	$(Q)CK_FORK=no $(MAKE) check-unit $(call san,tsan,thread -Wno-tsan)
fuzz:                                   ## fuzz every parser for SECONDS=60 each (clang)
	$(Q)$(MAKE) CC=clang $(call san,fuzz,address$(comma)undefined$(comma)fuzzer-no-link) $(fuzz:%=$(B)-fuzz/fuzz/%)
	$(Q)tests/fuzz/run $(B)-fuzz $(SECONDS)
coverage:                               ## line coverage of unit and native tests
	$(Q)$(MAKE) coverage-run B=$(B)-cov SAN="--coverage -fprofile-update=atomic" HARDEN= OPT="-O0 -g"
coverage-run: all $(B)/tests/run replay
	$(Q)tests/coverage $(B)
bench: bench-programs                   ## measure against peers and the floor
	$(Q)tests/bench/run $(B)
bench-programs: all $(B)/tests/bench/measure $(B)/tests/bench/floor $(inner)
soak: all                               ## conversions and I/O for MINUTES=10, in the lab
	$(Q)tests/vms/run soak $(B) $(MINUTES)
demo: all                               ## boot a Debian kernel and show it working
	$(Q)tests/demo $(B)
lint: need-build                        ## include directions, headers, sizes, scripts
	$(Q)CC="$(CC) $(filter-out -MMD -MP,$(flags))" tests/lint
tidy: compile_commands.json $(B)/version.h ## clang-tidy, warnings are errors
	$(Q)printf '%s\n' $(prog) $(core) | xargs -P2 -n4 clang-tidy -p . --quiet
format:                                 ## clang-format what git tracks
	$(Q)git ls-files '*.[ch]' | xargs clang-format -i
install: all                            ## DESTDIR, PREFIX: binary, man page, configs, completion
	install -Dm755 -s $(B)/cvmm $(DESTDIR)$(PREFIX)/bin/cvmm
	$(B)/cvmm help --man | install -Dm644 /dev/stdin $(DESTDIR)$(PREFIX)/share/man/man1/cvmm.1
	install -Dm644 docs/cvmm.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/cvmm
	install -Dm644 -t $(DESTDIR)$(PREFIX)/share/cvmm/configs configs/*.ini
help:                                   ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  \1\t/p' $(MAKEFILE_LIST) | expand -t 16
clean:                                  ## remove what was built
	$(Q)rm -rf build build-* compile_commands.json

.PHONY: $(shell sed -n 's/^\([a-z-]*\):.*/\1/p' $(MAKEFILE_LIST))
.DELETE_ON_ERROR .SECONDARY:
-include $(shell find $(B) -name '*.d' 2>/dev/null)
