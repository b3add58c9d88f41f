# SPDX-License-Identifier: Apache-2.0
#
# One Makefile for everything; all that is built lands in $(BUILD). `make help` lists the targets.
#
# Three sets of objects: $(BUILD)/obj is the product, $(BUILD)/san the same under the address and
# undefined-behaviour sanitizers (corpus replay, check-san), $(BUILD)/fuzz for libFuzzer (clang).

BUILD   ?= build
V       ?= 0
SAN     ?=
SECONDS ?= 60
CC      := $(if $(filter default,$(origin CC)),gcc,$(CC))
CLANG   ?= clang
LLVM_STRIP ?= llvm-strip
BPFTOOL ?= $(firstword $(wildcard /usr/sbin/bpftool) bpftool)
PKG_CONFIG ?= pkg-config
PYTHON  ?= /usr/bin/python3

PREFIX      ?= /usr/local
SBINDIR     ?= $(PREFIX)/sbin
MANDIR      ?= $(PREFIX)/share/man
DOCDIR      ?= $(PREFIX)/share/doc/botls
SYSCONFDIR  ?= /etc
UNITDIR     ?= $(PREFIX)/lib/systemd/system
SYSUSERSDIR ?= $(PREFIX)/lib/sysusers.d
TMPFILESDIR ?= $(PREFIX)/lib/tmpfiles.d
BASHCOMPDIR ?= $(PREFIX)/share/bash-completion/completions
ZSHCOMPDIR  ?= $(PREFIX)/share/zsh/site-functions

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:
.SECONDARY:
MAKEFLAGS += --no-builtin-rules

ifeq ($(V),0)
Q   := @
say  = @printf '  %-8s%s\n' '$(1)' '$(2)';
else
Q   :=
say  =
endif

# ---- flags: ours first, the user's CFLAGS, CPPFLAGS, LDFLAGS last ----

comma    := ,
pkgs     := openssl jansson libconfuse libevent_core libevent_extra libnl-3.0 libbpf libseccomp
prov_pkgs := $(pkgs) libcurl
# What these make needs no library, or installs them first.
ifneq ($(filter-out help clean deb test demo demo-peering format lint-format check-includes lint-shell lint-man lint-python uninstall,\
	$(or $(MAKECMDGOALS),all)),)
pkg_cflags := $(shell $(PKG_CONFIG) --cflags $(prov_pkgs) 2>/dev/null)
pkg_libs   := $(shell $(PKG_CONFIG) --libs $(pkgs))
prov_libs  := $(shell $(PKG_CONFIG) --libs $(prov_pkgs))
$(if $(prov_libs),,$(error A library is missing: scripts/deps installs what is needed on Debian 12))
endif

warn     := -Wall -Wextra -Werror=implicit-function-declaration -Wformat-security -Wstrict-prototypes \
            -Wmissing-prototypes -Wundef -Wpointer-arith
# Texts for people are cut where they end; only gcc has a word for that.
warn_gcc := $(warn) -Wshadow=local -Wno-format-truncation
is_clang := $(findstring clang,$(CC))
cppflags := -D_GNU_SOURCE -Iinclude -Ilib -Ishim -Iprovision -I$(BUILD)/ebpf -Itests/unit $(pkg_cflags)
base     := -std=gnu11 -g -fno-strict-aliasing -fvisibility=hidden $(if $(is_clang),$(warn),$(warn_gcc))
harden   := -O2 -fPIE -fstack-protector-strong -fstack-clash-protection \
            $(if $(SAN),,-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
sanflags  = -fsanitize=$(1) -fno-sanitize-recover=all -fno-omit-frame-pointer

obj_cflags  := $(cppflags) $(base) $(harden) $(if $(SAN),$(call sanflags,$(SAN)))
obj_ldflags := -pie -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed $(if $(SAN),$(call sanflags,$(SAN)))
san_cflags  := $(cppflags) $(filter-out -Wmissing-prototypes,$(base)) -O1 -fPIE $(call sanflags,address$(comma)undefined)
san_ldflags := -pie -Wl,--as-needed $(call sanflags,address$(comma)undefined)
fuzz_cflags := $(cppflags) -std=gnu11 -g -fno-strict-aliasing $(filter-out -Wmissing-prototypes,$(warn)) -O1 \
               $(call sanflags,fuzzer-no-link$(comma)address$(comma)undefined)
fuzz_ldflags := -Wl,--as-needed $(call sanflags,fuzzer$(comma)address$(comma)undefined)

bpf_cflags := -target bpf -O2 -g -mcpu=v3 -Wall -Wextra -Werror -Wno-unused-parameter -Iinclude -Iebpf \
              -I/usr/include/$(shell $(CC) -print-multiarch 2>/dev/null || uname -m)

# ---- sources: by wildcard, a new file needs no change here ----

lib_src   := $(wildcard lib/*.c)
ctl_src   := $(wildcard shim/botlsctl.c shim/ctl_*.c)
shim_src  := $(filter-out $(ctl_src),$(wildcard shim/*.c))
# botlsctl doctor reads the configuration as botlsd does; metrics are made into text by both.
ctl_use   := $(wildcard shim/config*.c) shim/credentials.c shim/keychain.c $(wildcard shim/metrics_*.c)
prov_src  := $(wildcard provision/*.c)
bpf_src   := $(wildcard ebpf/*.bpf.c)
unit_src  := $(wildcard tests/unit/test_*.c)
bpft_src  := $(wildcard tests/bpf/test_*.c)
help_src  := $(filter-out $(unit_src) $(bpft_src),$(wildcard tests/unit/*.c tests/bpf/*.c))
fuzz_src  := $(wildcard tests/fuzz/fuzz_*.c)
bench_src := $(wildcard bench/*.c)
tool_src  := $(wildcard tests/netns/*.c)
prod_src  := $(lib_src) $(shim_src) $(ctl_src) $(prov_src)
all_src   := $(prod_src) $(unit_src) $(bpft_src) $(help_src) $(bench_src) $(tool_src)
faults    := $(BUILD)/tests/netns/faults.so
tidy_src  := $(all_src) $(fuzz_src) $(wildcard tests/fuzz/replay.c)
pythons   := $(shell grep -lsE '^\#!.*python' scripts/* bench/*) $(wildcard tests/*/*.py tests/*/*/*.py)
units     := $(wildcard dist/*.service dist/*.timer)
guides    := $(wildcard docs/*.md)
examples  := dist/botlsd.conf dist/provision.conf $(filter-out %.test.yml,$(wildcard dist/grafana/* dist/prometheus/*))
man_pages := $(wildcard docs/man/*.[1-8])
all_c     := $(wildcard lib/*.[ch] shim/*.[ch] provision/*.[ch] ebpf/*.[ch] include/botls/*.h tests/unit/*.[ch] \
             tests/bpf/*.[ch] tests/fuzz/*.[ch] tests/netns/*.[ch] tests/netns/faults/*.c bench/*.[ch])
scripts   := $(shell grep -lsE '^\#!.*(bash|/sh)' scripts/* scripts/*/* .ci/run tests/*/*.sh tests/*/*/*.sh tests/vm/* bench/* dist/* dist/debian/* 2>/dev/null)

skels := $(bpf_src:ebpf/%.bpf.c=$(BUILD)/ebpf/%.skel.h)
main_objs := shim/main.o shim/botlsctl.o provision/main.o
in = $(addprefix $(BUILD)/$(1)/,$(2:.c=.o))

programs := $(if $(wildcard shim/main.c),$(BUILD)/botlsd) $(if $(wildcard shim/botlsctl.c),$(BUILD)/botlsctl) \
            $(if $(wildcard provision/main.c),$(BUILD)/botls-provision)
unit_bin := $(unit_src:%.c=$(BUILD)/%)
bpft_bin := $(bpft_src:%.c=$(BUILD)/%)
san_bin  := $(unit_src:%.c=$(BUILD)/san/%)
replay_bin := $(fuzz_src:tests/fuzz/%.c=$(BUILD)/san/replay/%)
fuzz_bin := $(fuzz_src:tests/fuzz/%.c=$(BUILD)/fuzz/%)
bench_bin := $(if $(bench_src),$(BUILD)/bench/load)
tool_bin  := $(tool_src:%.c=$(BUILD)/%)
next      := $(BUILD)/tests/netns/botlsd-next
unit_scripts := $(wildcard tests/unit/test_*.sh tests/unit/test_*.py)
bpft_scripts := $(wildcard tests/bpf/test_*.sh tests/bpf/test_*.py)
netns_tests  := $(wildcard tests/netns/test_*.py)
long_tests   := $(wildcard tests/long/test_*.py)

##@ Building
.PHONY: all
all: $(programs)	## the programs (the default)

.PHONY: everything
everything: all tests $(fuzz_bin) $(bench_bin)	## all that can be built, tests and fuzzers too

.PHONY: tests
tests: $(unit_bin) $(bpft_bin) $(san_bin) $(replay_bin) $(tool_bin) $(bench_bin) $(faults) $(next)

$(BUILD)/botlsd: $(call in,obj,$(shim_src)) $(BUILD)/obj/lib.a
	$(call say,LINK,$@)$(CC) $(obj_ldflags) $(LDFLAGS) -o $@ $^ $(pkg_libs) $(LDLIBS)

# A botlsd of a later version, for tests of an upgrade.
$(BUILD)/tests/netns/next.o: shim/session_state.c $(BUILD)/.flags | $(skels)
	$(call say,CC,$@)mkdir -p $(@D) && $(CC) $(obj_cflags) $(CPPFLAGS) $(CFLAGS) -DSESSION_VERSION=2 -MMD -MP -c -o $@ $<

$(next): $(call in,obj,$(filter-out shim/session_state.c,$(shim_src))) $(BUILD)/tests/netns/next.o $(BUILD)/obj/lib.a
	$(call say,LINK,$@)$(CC) $(obj_ldflags) $(LDFLAGS) -o $@ $^ $(pkg_libs) $(LDLIBS)

$(BUILD)/botlsctl: $(call in,obj,$(ctl_src) $(ctl_use)) $(BUILD)/obj/lib.a
	$(call say,LINK,$@)$(CC) $(obj_ldflags) $(LDFLAGS) -o $@ $^ $(pkg_libs) $(LDLIBS)

# Only this one links libcurl: it stays out of the process that holds the keys.
$(BUILD)/botls-provision: $(call in,obj,$(prov_src)) $(BUILD)/obj/lib.a
	$(call say,LINK,$@)$(CC) $(obj_ldflags) $(LDFLAGS) -o $@ $^ $(prov_libs) $(LDLIBS)

# What a second compiler is asked for. The fuzz harnesses are clang's in any case.
.PHONY: warnings
warnings: $(all_src:%.c=$(BUILD)/warnings/%.ok)	## every C file is compiled for its warnings alone

$(BUILD)/warnings/%.ok: %.c $(BUILD)/.flags | $(skels)
	$(call say,SYNTAX,$<)mkdir -p $(@D) && $(CC) $(obj_cflags) $(CPPFLAGS) $(CFLAGS) -fsyntax-only -MMD -MP -MF $(@:.ok=.d) -MT $@ $< && touch $@

# One archive per folder and set; an archive gives a test only the members that it uses.
define archives
$(BUILD)/$(1)/lib.a: $(call in,$(1),$(lib_src))
$(BUILD)/$(1)/shim.a: $(filter-out $(addprefix $(BUILD)/$(1)/,$(main_objs)),$(call in,$(1),$(shim_src) $(ctl_src)))
$(BUILD)/$(1)/provision.a: $(filter-out $(addprefix $(BUILD)/$(1)/,$(main_objs)),$(call in,$(1),$(prov_src)))
$(BUILD)/$(1)/help.a: $(call in,$(1),$(help_src))
$(addprefix $(BUILD)/$(1)/,lib.a shim.a provision.a help.a): $(BUILD)/.flags
	$$(call say,AR,$$@)mkdir -p $$(@D) && rm -f $$@ && ar rcs $$@ $$(filter %.o,$$^)
endef
$(foreach s,obj san fuzz,$(eval $(call archives,$(s))))
archives_of = $(addprefix $(BUILD)/$(1)/,help.a shim.a provision.a lib.a)

$(BUILD)/obj/%.o: %.c $(BUILD)/.flags | $(skels)
	$(call say,CC,$<)mkdir -p $(@D) && $(CC) $(obj_cflags) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/san/%.o: %.c $(BUILD)/.flags | $(skels)
	$(call say,CC san,$<)mkdir -p $(@D) && $(CC) $(san_cflags) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/fuzz/%.o: %.c $(BUILD)/.flags | $(skels)
	$(call say,CC fuzz,$<)mkdir -p $(@D) && $(CLANG) $(fuzz_cflags) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# The templates are inside of this one.
$(foreach s,obj san fuzz,$(BUILD)/$(s)/provision/template_builtin.o): $(wildcard provision/templates/*.tmpl)

$(unit_bin) $(bpft_bin): $(BUILD)/%: $(BUILD)/obj/%.o $(call archives_of,obj)
	$(call say,LINK,$@)mkdir -p $(@D) && $(CC) $(obj_ldflags) $(LDFLAGS) -o $@ $^ $(prov_libs) -lcmocka $(LDLIBS)

$(san_bin): %: %.o $(call archives_of,san)
	$(call say,LINK,$@)$(CC) $(san_ldflags) $(LDFLAGS) -o $@ $^ $(prov_libs) -lcmocka $(LDLIBS)

$(replay_bin): $(BUILD)/san/replay/%: $(BUILD)/san/tests/fuzz/%.o $(BUILD)/san/tests/fuzz/replay.o $(call archives_of,san)
	$(call say,LINK,$@)mkdir -p $(@D) && $(CC) $(san_ldflags) $(LDFLAGS) -o $@ $^ $(prov_libs) -lcmocka $(LDLIBS)

$(fuzz_bin): $(BUILD)/fuzz/%: $(BUILD)/fuzz/tests/fuzz/%.o $(call archives_of,fuzz)
	$(call say,LINK,$@)$(CLANG) $(fuzz_ldflags) $(LDFLAGS) -o $@ $^ $(prov_libs) -lcmocka $(LDLIBS)

$(bench_bin): $(call in,obj,$(bench_src))
	$(call say,LINK,$@)mkdir -p $(@D) && $(CC) $(obj_ldflags) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(tool_bin): $(BUILD)/%: $(BUILD)/obj/%.o $(call archives_of,obj)
	$(call say,LINK,$@)mkdir -p $(@D) && $(CC) $(obj_ldflags) $(LDFLAGS) -o $@ $^ $(prov_libs) $(LDLIBS)

# Goes into botlsd by LD_PRELOAD: no archive, no sanitizer.
$(faults): tests/netns/faults/faults.c $(BUILD)/.flags
	$(call say,LINK,$@)mkdir -p $(@D) && $(CC) -D_GNU_SOURCE -std=gnu11 -g -O2 $(warn) -Wno-missing-prototypes -fPIC -shared \
		-fvisibility=hidden -o $@ $< -ldl

$(BUILD)/ebpf/%.bpf.o: ebpf/%.bpf.c $(BUILD)/.flags
	$(call say,BPF,$<)mkdir -p $(@D) && $(CLANG) $(bpf_cflags) $(BPF_CFLAGS) -MMD -MP -c -o $@ $< && $(LLVM_STRIP) -g $@

$(BUILD)/ebpf/%.skel.h: $(BUILD)/ebpf/%.bpf.o
	$(call say,SKEL,$@)$(BPFTOOL) gen skeleton $< > $@

# Anything that changes how objects are made changes this file, and so rebuilds them.
.PHONY: force
$(BUILD)/.flags: force
	@mkdir -p $(@D); new=$@.$$$$; { echo '$(subst ','\'',$(CC) $(obj_cflags) | $(san_cflags) | $(fuzz_cflags) | $(bpf_cflags) |)'; \
	echo '$(subst ','\'',$(CPPFLAGS) | $(CFLAGS) | $(obj_ldflags) | $(LDFLAGS) | $(LDLIBS) | $(BPF_CFLAGS))'; } > $$new; \
	if cmp -s $$new $@; then rm $$new; else mv $$new $@; fi

-include $(patsubst %.o,%.d,$(foreach s,obj san fuzz,$(call in,$(s),$(all_src) $(fuzz_src) tests/fuzz/replay.c))) \
	$(bpf_src:ebpf/%.bpf.c=$(BUILD)/ebpf/%.bpf.d) $(patsubst %.c,$(BUILD)/warnings/%.d,$(all_src)) \
	$(patsubst %,$(BUILD)/tidy/%.d,$(tidy_src)) $(foreach l,analyze cppcheck,$(patsubst %,$(BUILD)/$(l)/%.d,$(prod_src)))

##@ Testing
run_tests := $(PYTHON) scripts/run-tests --build $(BUILD)

.PHONY: check
check: all $(unit_bin) $(bpft_bin) $(replay_bin)	## unit and BPF tests, corpora replayed under sanitizers; quick, no network
	$(Q)$(run_tests) $(unit_bin) $(unit_scripts) --root $(bpft_bin) $(bpft_scripts) --replay $(replay_bin)

.PHONY: check-san
check-san: $(san_bin) $(replay_bin)	## the C unit tests under address and undefined-behaviour sanitizers
	$(Q)$(run_tests) $(san_bin) --replay $(replay_bin)

.PHONY: check-netns
check-netns: all $(tool_bin) $(bench_bin) $(faults) $(next)	## real daemons in throw-away network namespaces; needs root
	$(Q)$(run_tests) --netns $(netns_tests)

.PHONY: check-netns-san
check-netns-san:	## the same with programs under address and undefined-behaviour sanitizers
	$(Q)$(MAKE) --no-print-directory SAN=address,undefined BUILD=$(BUILD)/asan check-netns

.PHONY: check-long
check-long: all $(tool_bin) $(bench_bin) $(faults) $(next)	## what takes minutes: kills, half an hour of flapping neighbors, floods, guides; LONG=tests/long/test_x.py for one
	$(Q)$(run_tests) --long $(or $(LONG),$(long_tests))

# What `make check-vm` runs unless TESTS names others: what asks most of a kernel.
TESTS   ?= $(bpft_bin) $(foreach t,sock tcp_ao tcp_ao_turn_on ao control_ao dial listener tls_ktls tls_record tls_stream relay_tls,$(BUILD)/tests/unit/test_$(t)) \
           $(foreach t,ktls tcp_ao tcp_ao_capability tcp_ao_chains tcp_ao_opportunistic tcp_ao_load tcp_ao_adapter tcp_ao_inbound restart_ao daemons,tests/netns/test_$(t).py)
vm_tests := $(foreach t,$(TESTS),$(if $(wildcard $(t).c),$(BUILD)/$(t),$(t)))
.PHONY: check-vm
check-vm: all $(tool_bin) $(bench_bin) $(faults) $(next) $(filter $(BUILD)/%,$(vm_tests))	## the same tests in a guest kernel with TCP-AO and kTLS; TESTS="tests/unit/test_sock ..."
	$(Q)for bird in bird2 bird3; do tests/vm/bird $$bird > /dev/null || true; done
	$(Q)$(if $(filter tests/netns/test_package.py% tests/netns/test_guides.py%,$(vm_tests)),scripts/deb --out $(BUILD)/deb)
	$(Q)tests/vm/run $(VM_ARGS) -- $(run_tests) $(filter-out tests/netns/% $(BUILD)/tests/bpf/%,$(vm_tests)) \
		--root $(filter $(BUILD)/tests/bpf/%,$(vm_tests)) --netns $(filter tests/netns/%,$(vm_tests)) || [ $$? = 77 ]

# What .ci/run runs of it, beside its other tests: one file or test (FILE.py::TEST) of each thing that needs such a kernel, for the 400 s that
# are left there. Add what a new one needs.
VM_CI   ?= $(foreach t,sock tcp_ao tcp_ao_turn_on ao control_ao dial listener tls_ktls tls_record,$(BUILD)/tests/unit/test_$(t)) \
           $(addprefix tests/netns/,test_ktls.py::test_the_kernel_does_it \
           test_tcp_ao.py::test_exporter test_tcp_ao_capability.py::test_renews test_tcp_ao_chains.py::test_rollover test_tcp_ao_inbound.py::test_beside_ktls test_tcp_ao_opportunistic.py::test_both_preferred)
VM_CI_LIMIT ?= 720
.PHONY: check-vm-ci
check-vm-ci:	## the part of check-vm that every change must pass
	$(Q)$(MAKE) --no-print-directory check-vm TESTS='$(VM_CI)' VM_ARGS='--limit $(VM_CI_LIMIT) $(VM_ARGS)'

.PHONY: check-all
check-all: all tests	## check, check-san and check-netns under one count
	$(Q)$(run_tests) $(unit_bin) $(unit_scripts) --root $(bpft_bin) $(bpft_scripts) \
		--san $(san_bin) --replay $(replay_bin) --netns $(netns_tests)

# A make within make: what scripts/deps installs changes what is found above. As many jobs as processors, unless told.
again = $(MAKE) --no-print-directory $(if $(filter -j%,$(MAKEFLAGS)),,-j$(shell nproc))

.PHONY: test
test:	## from nothing: installs the packages, then builds and runs every test
	$(Q)scripts/deps
	$(Q)$(again) check-all

.PHONY: demo
demo:	## from nothing: installs the packages, builds, and shows botls between BIRD and FRR; needs root
	$(Q)scripts/deps
	$(Q)$(again) all
	$(Q)scripts/demo $(DEMO_ARGS)

.PHONY: demo-peering
demo-peering:	## from nothing: the same for peering by API, from the request to the routes; needs root
	$(Q)scripts/deps
	$(Q)$(again) all
	$(Q)scripts/demo-peering $(DEMO_ARGS)

.PHONY: fuzz
fuzz: $(fuzz_bin)	## each libFuzzer harness for SECONDS=60; FUZZ=name for one
	$(Q)for f in $(if $(FUZZ),$(BUILD)/fuzz/fuzz_$(FUZZ),$(fuzz_bin)); do \
		n=$${f##*/fuzz_}; mkdir -p $(BUILD)/fuzz/corpus/$$n; \
		echo "== $$n: $(SECONDS) s; new inputs in $(BUILD)/fuzz/corpus/$$n"; \
		set -- $$f -max_total_time=$(SECONDS) -timeout=5 -rss_limit_mb=1024 -print_final_stats=1 \
			-artifact_prefix=$(BUILD)/fuzz/$$n- $(BUILD)/fuzz/corpus/$$n; \
		test ! -d tests/fuzz/corpus/$$n || set -- "$$@" tests/fuzz/corpus/$$n; \
		test ! -f tests/fuzz/$$n.dict || set -- "$$@" -dict=tests/fuzz/$$n.dict; \
		"$$@" 2> $(BUILD)/fuzz/$$n.log; rc=$$?; grep '^stat::' $(BUILD)/fuzz/$$n.log || :; \
		if [ $$rc != 0 ]; then tail -60 $(BUILD)/fuzz/$$n.log; exit $$rc; fi; done

.PHONY: bench-ktls
bench-ktls: all $(bench_bin)	## records in user space and in the kernel, as ratios, in the guest of check-vm
	$(Q)tests/vm/run --cpus 1 --icount $(VM_ARGS) -- bench/bench-ktls --rounds 2 --bytes 20000000 --sessions 250

.PHONY: bench-restart
bench-restart: all $(bench_bin)	## how long a restart takes, records in user space and in the kernel, there
	$(Q)tests/vm/run --cpus 1 --icount $(VM_ARGS) -- sh -c 'bench/restart-gap && bench/restart-gap --ktls'

# BENCH: names of benchmarks (bench/run --help lists them), or "provision", the one of botls-provision.
.PHONY: bench
bench: all $(bench_bin)	## every target of docs/performance.md, beside stunnel, HAProxy and nginx; BENCH=bulk for one
	$(Q)$(if $(filter provision,$(BENCH)),bench/bench-provision,bench/run) $(BENCH_ARGS) $(filter-out provision,$(BENCH))

##@ Looking
lints := lint-format check-includes lint-shell lint-man lint-python lint-cppcheck lint-analyze lint-tidy
.PHONY: lint $(lints)
lint: $(lints)	## everything below
lint-format:	## C is formatted as .clang-format says
	$(call say,FORMAT,$(words $(all_c)) files)bad=0; for f in $(all_c); do \
		clang-format $$f | cmp -s - $$f || { echo "$$f: not formatted (make format)"; bad=1; }; done; exit $$bad
check-includes:	## the layering rules of docs/architecture.md
	$(call say,INCLUDES,)scripts/check-includes
lint-shell:	## shellcheck
	$(call say,SHELL,$(words $(scripts)) files)shellcheck -x $(scripts)
lint-man:	## mandoc
	$(call say,MAN,$(words $(man_pages)) pages)$(if $(man_pages),mandoc -Tlint -Wwarning $(man_pages))
lint-cppcheck: $(patsubst %,$(BUILD)/cppcheck/%.ok,$(prod_src))	## cppcheck
lint-tidy: $(patsubst %,$(BUILD)/tidy/%.ok,$(tidy_src))	## clang-tidy, with clang's static analyzer, as .clang-tidy says
lint-analyze: $(patsubst %,$(BUILD)/analyze/%.ok,$(prod_src))	## gcc's static analyzer
lint-python:	## pyflakes
	$(call say,PYTHON,$(words $(pythons)) files)if pyflakes3 $(pythons) | grep -vE "$(no_pyflakes)"; then exit 1; fi

# Neither of them knows the cleanup attribute: leaks are left to the leak sanitizer. cppcheck takes the NULLs of accept4() and
# promoted uint16_t for mistakes. gcc's analyzer loses its way in what was optimized.
no_analyze  := malloc-leak
no_cppcheck := missingIncludeSystem memleak resourceLeak nullPointer nullPointerRedundantCheck ctunullpointer invalidPrintfArgType_uint \
               getpwnamCalled getpwuidCalled getgrnamCalled readdirCalled

# pytest's fixtures are imported to be found, and are parameters of the same name in the tests; modules that fill a catalogue are imported for that.
no_pyflakes := tests/unit/test_p.*(redefinition of unused|(peering|provision)_rig\..* imported but unused)|misbehaviours/__init__.py:

# What each of them read is what a change of it makes them read again.
lint_deps = $(CC) $(cppflags) $(CPPFLAGS) -std=gnu11 -MM -MP -MF $(@:.ok=.d) -MT $@ $<

$(BUILD)/cppcheck/%.ok: % $(BUILD)/.flags | $(skels)
	$(call say,CPPCHK,$<)mkdir -p $(@D) && $(lint_deps) && cppcheck --quiet --error-exitcode=1 --inline-suppr --std=c11 --library=gnu,posix \
		--enable=warning,portability,performance $(addprefix --suppress=,$(no_cppcheck)) -D_GNU_SOURCE \
		-D'LIBBPF_OPTS(type, name, ...)=struct type name' -Iinclude -Ilib -Ishim -Iprovision --suppress='*:$(BUILD)/*' $< && touch $@

$(BUILD)/tidy/%.ok: % .clang-tidy tests/.clang-tidy $(BUILD)/.flags | $(skels)
	$(call say,TIDY,$<)mkdir -p $(@D) && $(lint_deps) && { clang-tidy --quiet $< -- $(cppflags) $(CPPFLAGS) -std=gnu11 > $(@:.ok=.log) 2>&1 || \
		{ cat $(@:.ok=.log); exit 1; }; } && touch $@

$(BUILD)/analyze/%.ok: % $(BUILD)/.flags | $(skels)
	$(call say,ANALYZE,$<)mkdir -p $(@D) && $(lint_deps) && gcc $(cppflags) $(CPPFLAGS) -std=gnu11 -O0 -fanalyzer -Werror \
		$(addprefix -Wno-analyzer-,$(no_analyze)) -c -o /dev/null $< && touch $@

.PHONY: format
format:	## formats all C files in place
	$(Q)clang-format -i $(all_c)

##@ Installing
.PHONY: install
install: all	## PREFIX=/usr/local, DESTDIR=
	install -d $(addprefix $(DESTDIR),$(SBINDIR) $(UNITDIR) $(SYSUSERSDIR) $(TMPFILESDIR) $(DOCDIR)/examples $(BASHCOMPDIR) $(ZSHCOMPDIR))
	install -d -m 0755 $(DESTDIR)$(SYSCONFDIR)/botls $(DESTDIR)$(SYSCONFDIR)/botls/neighbors.d
	install -d -m 0700 $(DESTDIR)$(SYSCONFDIR)/botls/tls
	install -m 0755 $(programs) scripts/botls-pki $(DESTDIR)$(SBINDIR)
	for p in $(man_pages); do install -D -m 0644 -t $(DESTDIR)$(MANDIR)/man$${p##*.} $$p || exit 1; done
	for u in $(notdir $(units)); do sed 's|/usr/sbin/|$(SBINDIR)/|g' dist/$$u > $(BUILD)/$$u && \
		install -m 0644 $(BUILD)/$$u $(DESTDIR)$(UNITDIR)/$$u || exit 1; done
	install -m 0644 dist/botls.sysusers $(DESTDIR)$(SYSUSERSDIR)/botls.conf
	install -m 0644 dist/botls.tmpfiles $(DESTDIR)$(TMPFILESDIR)/botls.conf
	install -m 0644 dist/completion/botlsctl.bash $(DESTDIR)$(BASHCOMPDIR)/botlsctl
	install -m 0644 dist/completion/_botlsctl $(DESTDIR)$(ZSHCOMPDIR)
	install -m 0644 $(examples) $(DESTDIR)$(DOCDIR)/examples
	install -m 0644 README.md LICENSE $(guides) $(DESTDIR)$(DOCDIR)

.PHONY: uninstall
uninstall:	## removes what install put there; /etc/botls stays
	rm -f $(addprefix $(DESTDIR)$(SBINDIR)/,botlsd botlsctl botls-provision botls-pki) $(addprefix $(DESTDIR)$(UNITDIR)/,$(notdir $(units)))
	rm -f $(DESTDIR)$(SYSUSERSDIR)/botls.conf $(DESTDIR)$(TMPFILESDIR)/botls.conf
	for p in $(man_pages:docs/man/%=%); do rm -f $(DESTDIR)$(MANDIR)/man$${p##*.}/$$p; done
	rm -f $(DESTDIR)$(BASHCOMPDIR)/botlsctl $(DESTDIR)$(ZSHCOMPDIR)/_botlsctl
	rm -rf $(DESTDIR)$(DOCDIR)

.PHONY: deb
deb:	## Debian packages, in $(BUILD)/deb; the tree is not touched
	$(Q)scripts/deb --out $(BUILD)/deb

.PHONY: clean
clean:	## removes $(BUILD)
	rm -rf $(BUILD)

.PHONY: help
help:	## this list
	@awk -F ':.*## *' '/^##@/ { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*##/ { printf "  %-16s%s\n", $$1, $$2 }' Makefile
	@printf '\nVariables: V=1 SAN=address,undefined CC=clang CFLAGS= LDFLAGS= PREFIX= DESTDIR= BUILD=\n'
