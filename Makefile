# SPDX-License-Identifier: Apache-2.0
# A thin front for Meson. `make demo` and `make check` set up what they need.
BUILD ?= build
PREFIX ?= /usr
SYSCONFDIR ?= /etc
LOCALSTATEDIR ?= /var
MESON_FLAGS ?=
PYTHON ?= /usr/bin/python3

.PHONY: all setup build demo check check-fast bench install clean help fuzz

all: build

help:
	@echo 'make demo     set up, build, and send real mail through a private instance'
	@echo 'make check    set up, build with sanitizers, run every test'
	@echo 'make build    build into $(BUILD)/'
	@echo 'make install  install (DESTDIR, PREFIX, SYSCONFDIR, LOCALSTATEDIR)'
	@echo 'make bench    measure beside the reference server (needs root)'
	@echo 'make fuzz     run each fuzzer for FUZZ_SECONDS (default 60)'
	@echo 'make setup    install the Debian packages that all of this uses'

setup:
	@tools/setup

$(BUILD)/build.ninja:
	meson setup $(BUILD) --prefix $(PREFIX) --buildtype debugoptimized \
		-Dconfig_directory=$(SYSCONFDIR)/postfix \
		-Dmeta_directory=$(SYSCONFDIR)/postfix \
		-Ddaemon_directory=$(PREFIX)/lib/postfix/sbin \
		-Dcommand_directory=$(PREFIX)/sbin \
		-Dqueue_directory=$(LOCALSTATEDIR)/spool/postfix \
		-Ddata_directory=$(LOCALSTATEDIR)/lib/postfix $(MESON_FLAGS)

build: $(BUILD)/build.ninja
	ninja -C $(BUILD)

demo: setup build
	$(PYTHON) packaging/demo.py --build $(BUILD)

check: setup
	tools/check-all

bench: setup build
	$(PYTHON) bench/bench.py --build $(BUILD)
	$(PYTHON) bench/tables.py --build $(BUILD)

fuzz: setup
	tools/fuzz-all

install: build
	tools/install-files --build $(BUILD) --destdir '$(DESTDIR)' --prefix '$(PREFIX)' \
		--sysconfdir '$(SYSCONFDIR)' --localstatedir '$(LOCALSTATEDIR)'

clean:
	rm -rf $(BUILD) build-asan build-tsan build-fuzz
