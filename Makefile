# gatewatch: build, run and prove it. `make` alone lists the targets.
#
# On a bare Debian with a Rust toolchain `make run` and `make test` install what is missing themselves
# (libpcap's headers, a linker) and say so; `sudo` is used only where root is needed.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help
.PHONY: help run test demo founding million install deb test-deb test-system bench deny advisories sbom reproducible fuzz clean \
    packages test-packages fuzz-packages

CARGO ?= cargo
RUN ?= run
DEMO ?= $(RUN)/demo
# The plan of `make founding`: 2012 or 2012-hard.
PLAN ?= 2012
# Home countries of `make run`, comma separated; empty: the report has no overseas clause.
HOME_COUNTRIES ?=
# Set by `make test-system`: install the large servers, too, with which tests/system_knock.rs has a network of its own.
SERVICES ?=
# The interface of `make run`; empty: the one of the default route.
IFACE ?=

SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
GATEWATCH := target/release/gatewatch
TRAFFIC := target/release/examples/traffic

, := ,

# have FILE-OR-COMMAND PACKAGE: names the package where the thing is missing.
define MISSING
have() { [ -e "$$1" ] || command -v "$$1" >/dev/null 2>&1 || missing+=("$$2"); }
missing=()
endef

define INSTALL
if [ $${#missing[@]} -gt 0 ]; then
    echo "gatewatch: installing $${missing[*]} with apt-get$(if $(SUDO), (asks for your password through sudo))"
    $(SUDO) apt-get update -qq
    $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 install -y -qq \
        --no-install-recommends "$${missing[@]}" >/dev/null
fi
endef

# Tools and servers of tests/system_knock.rs. Where one is absent its rows are skipped. A package of a server would start it on
# this machine, open to its network: nothing is started while they are installed, nor at the next boot.
define KNOCK_PACKAGES
knock=(nmap nmap hydra hydra hping3 hping3 masscan masscan ab apache2-utils wrk wrk sshpass sshpass dig bind9-dnsutils git git
    rsync rsync perl perl openssl openssl ssh openssh-client redis-cli redis-tools mariadb mariadb-client
    /usr/sbin/sshd openssh-server /usr/sbin/vsftpd vsftpd /usr/lib/dovecot/imap dovecot-imapd /usr/lib/dovecot/pop3 dovecot-pop3d
    /usr/sbin/exim4 exim4-daemon-light redis-server redis-server /usr/sbin/mariadbd mariadb-server
    /usr/sbin/telnetd inetutils-telnetd /usr/sbin/inetutils-inetd inetutils-inetd /usr/sbin/nginx nginx-light
    /usr/sbin/named bind9 /usr/sbin/chronyd chrony psql postgresql-client pg_createcluster postgresql)
[ -z "$(SERVICES)" ] || knock+=(lintian lintian /usr/sbin/smbd samba smbpasswd samba-common-bin smbclient smbclient /usr/sbin/kamailio kamailio sipsak sipsak
    memcached memcached /usr/sbin/xrdp xrdp sqlmap sqlmap
    /usr/lib/python3/dist-packages/websockets/__init__.py python3-websockets)
before=$${#missing[@]}
for ((at = 0; at < $${#knock[@]}; at += 2)); do have "$${knock[at]}" "$${knock[at + 1]}"; done
policy=/usr/sbin/policy-rc.d
if [ $${#missing[@]} -gt $$before ] && [ ! -e $$policy ]; then
    printf '#!/bin/sh\nexit 101\n' | $(SUDO) install -m 755 /dev/stdin $$policy
    trap '$(SUDO) rm -f /usr/sbin/policy-rc.d' EXIT
fi
for package in "$${missing[@]:before}"; do
    case $$package in
        openssh-server) quiet+=(ssh) ;;
        vsftpd | redis-server | chrony) quiet+=("$$package") ;;
        dovecot-imapd | dovecot-pop3d) quiet+=(dovecot) ;;
        exim4-daemon-light) quiet+=(exim4 exim4-base.timer) ;;
        mariadb-server) quiet+=(mariadb) ;;
        nginx-light) quiet+=(nginx) ;;
        bind9) quiet+=(named) ;;
        inetutils-inetd) quiet+=(inetutils-inetd) ;;
        postgresql | kamailio | memcached) quiet+=("$$package") ;;
        samba) quiet+=(smbd nmbd samba-ad-dc) ;;
        xrdp) quiet+=(xrdp xrdp-sesman) ;;
    esac
done
endef

# axe-core, the accessibility checker of tests/html.rs (MPL-2.0, tests only), as PyPI carries it: that is one file and needs no npm.
define AXE
if ! compgen -G 'target/test-python/lib/*/site-packages/axe_playwright_python/axe.min.js' >/dev/null; then
    { python3 -m venv target/test-python \
        && target/test-python/bin/pip install --quiet --disable-pip-version-check --no-deps axe-playwright-python==0.1.8; } \
        || echo "gatewatch: axe-core could not be fetched: its part of tests/html.rs is skipped" >&2
fi
endef

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

packages:
	@$(MISSING)
	have cc gcc
	have /usr/include/stdio.h libc6-dev
	have /usr/include/pcap/pcap.h libpcap-dev
	$(INSTALL)

test-packages: packages
	@$(MISSING)
	have ip iproute2
	have curl curl
	have ethtool ethtool
	have python3 python3
	have strace strace
	python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
	have tmux tmux
	have systemd-analyze systemd
	have /lib/systemd/systemd systemd-sysv
	have systemd-nspawn systemd-container
	have dbus-daemon dbus
	# A browser for tests/html.rs, with letters to draw.
	command -v chromium >/dev/null 2>&1 || have chromium-headless-shell chromium-headless-shell
	have /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf fonts-dejavu-core
	python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
	quiet=()
	$(KNOCK_PACKAGES)
	$(INSTALL)
	$(AXE)
	[ $${#quiet[@]} = 0 ] || $(SUDO) systemctl disable --quiet "$${quiet[@]}" || echo "gatewatch: not disabled: $${quiet[*]}" >&2
	# What reads the files for programs in tests/analysts.rs, which skips without them.
	analysts=target/analysts/bin
	$$analysts/python -c 'import duckdb, jsonschema' 2>/dev/null \
	    || { python3 -m venv --clear target/analysts && $$analysts/python -m pip -q install duckdb==2.0.1 jsonschema==4.26.0; } \
	    || echo "gatewatch: duckdb and jsonschema could not be installed" >&2
	# And a reader of metrics for tests/system_observe.rs (Apache-2.0).
	$$analysts/python -c 'import prometheus_client' 2>/dev/null \
	    || $$analysts/python -m pip -q install prometheus_client==0.26.0 \
	    || echo "gatewatch: prometheus_client could not be installed" >&2

# `gatewatch --version` tells the commit.
COMMIT = $(shell git describe --always --dirty --abbrev=12 --exclude '*' 2>/dev/null)
BUILD = GATEWATCH_COMMIT=$(COMMIT) nice $(CARGO) build --locked
# When the commit was made: the time in all that is built to be the same wherever it is built.
EPOCH = $(shell git log -1 --format=%ct 2>/dev/null || date +%s)

$(GATEWATCH): packages
	@$(BUILD) --release --bin gatewatch

$(TRAFFIC): packages
	@$(BUILD) --release --example traffic

.PHONY: $(GATEWATCH) $(TRAFFIC)

# Runs a command as who asks, with CAP_NET_RAW and nothing else of root's.
WITH_NET_RAW = sudo setpriv --reuid "$$(id -u)" --regid "$$(id -g)" --init-groups \
    --inh-caps=-all$(,)+net_raw --ambient-caps=-all$(,)+net_raw --bounding-set=-all$(,)+net_raw

run: $(GATEWATCH) ## capture on IFACE or the default-route interface until Ctrl-C, reports under ./run/
	@iface="$(IFACE)"
	[ -n "$$iface" ] || iface=$$(awk '$$2 == "00000000" { print $$1; exit }' /proc/net/route)
	[ -n "$$iface" ] || { echo "gatewatch: no default route; name an interface: make run IFACE=eth0" >&2; exit 66; }
	here=$$(pwd)
	mkdir -p $(RUN)/reports $(RUN)/state
	quoted=$$(echo "$(HOME_COUNTRIES)" | sed 's/[A-Za-z][A-Za-z]/"&"/g')
	cat > $(RUN)/gatewatch.toml <<-END
	# Written by "make run"; change it there, or copy it to /etc/gatewatch/gatewatch.toml.
	[capture]
	interfaces = ["$$iface"]
	[origin]
	home = [$$quoted]
	[report]
	directory = "$$here/$(RUN)/reports"
	[state]
	directory = "$$here/$(RUN)/state"
	socket = "$$here/$(RUN)/gatewatch.sock"
	END
	$(if $(SUDO),echo "gatewatch: capturing needs CAP_NET_RAW$(,) which sudo gives to the daemon; it runs as you")
	as=()
	$(if $(SUDO),as=($(WITH_NET_RAW)))
	echo "gatewatch: capturing on $$iface, settings in $(RUN)/gatewatch.toml; Ctrl-C ends it and prints the report"
	# Ctrl-C reaches the daemon, which drains and writes; this shell waits for it.
	trap : INT TERM
	code=0
	"$${as[@]}" $(GATEWATCH) run -c $(RUN)/gatewatch.toml || code=$$?
	trap - INT TERM
	report=$$(find $(RUN)/reports -name 'report-????-??-??.*txt' | sort | tail -1)
	[ -z "$$report" ] || { echo; cat "$$report"; echo; echo "gatewatch: this report is $$report; all files are in $(RUN)/reports/"; }
	exit $$code

# Tests of the live daemon, in network namespaces: they need root.
TEST_SYSTEM := $(CARGO) test --locked --no-fail-fast --test 'system_*'
# All others.
TEST_OTHERS := $(CARGO) test --locked --no-fail-fast --lib --bins --examples \
    $(patsubst tests/%.rs,--test %,$(filter-out tests/system_%,$(wildcard tests/*.rs)))

test: test-packages ## everything: format, lints, documentation, licences, all tests
	@$(CARGO) fmt --check
	nice $(CARGO) clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' nice $(CARGO) doc --locked --no-deps --document-private-items
	# One after the other: beside what computes, real servers miss their time now and then.
	host=$$(rustc -vV | sed -n 's/^host: //p' | tr 'a-z-' 'A-Z_')
	failed=0
	$(if $(SUDO),env "CARGO_TARGET_$${host}_RUNNER=sudo -E") $(TEST_SYSTEM) || failed=1
	nice $(TEST_OTHERS) || failed=1
	nice $(CARGO) test --locked --doc || failed=1
	exit $$failed

demo: $(GATEWATCH) $(TRAFFIC) ## replay a generated month and print the founding sentence; needs no privilege
	@rm -rf $(DEMO) && mkdir -p $(DEMO)
	$(TRAFFIC) --plan demo --settings > $(DEMO)/gatewatch.toml
	$(TRAFFIC) --plan demo > $(DEMO)/october.pcap
	$(GATEWATCH) replay -c $(DEMO)/gatewatch.toml -o $(DEMO)/reports $(DEMO)/october.pcap
	echo
	cat $(DEMO)/reports/report-2026-10.txt
	echo
	echo "gatewatch: this report is $(DEMO)/reports/report-2026-10.txt; JSON, CSV, HTML and events lie beside it"

founding: $(GATEWATCH) $(TRAFFIC) ## stream the year of 1.7 million attacks through replay; must give 144,000 and 62.9 %; PLAN=2012-hard for the hard year
	@out=$(RUN)/founding
	rm -rf $$out && mkdir -p $$out
	$(TRAFFIC) --plan $(PLAN) --settings > $$out/gatewatch.toml
	# GNU time adds CPU and memory where it is installed; the shell's own times the whole pipe.
	measured=()
	[ ! -x /usr/bin/time ] || measured=(/usr/bin/time -f 'gatewatch: %e s, %U s of CPU, %M KiB resident')
	# A plan with an outage comes in parts; the second one makes a correction of the year.
	for part in $$($(TRAFFIC) --plan $(PLAN) --parts); do
	    time $(TRAFFIC) --plan $(PLAN) --part $$part \
	        | "$${measured[@]}" $(GATEWATCH) replay -c $$out/gatewatch.toml -o $$out/reports -
	done
	$(TRAFFIC) --plan $(PLAN) --expect > $$out/expected.json
	report=$$out/reports/report-2012.json
	for correction in $$out/reports/report-2012.c*.json; do [ ! -e $$correction ] || report=$$correction; done
	$(TRAFFIC) --plan $(PLAN) --judge $$report
	$(GATEWATCH) verify $$out/reports

million: packages ## a million forged sources in an hour: memory and store must stay within their limits
	@GATEWATCH_SOURCES=1000000 $(CARGO) test --locked --test bounded -- --nocapture

# BINARY=… installs another build; DESTDIR=… installs below a folder, as packages and the tests do.
BINARY ?= $(GATEWATCH)
PREFIX ?= /usr
DESTDIR ?=
$(if $(filter $(GATEWATCH),$(BINARY)),install: $(GATEWATCH))

install: ## binary, units, user, folders, settings, documents, man pages and completions; then: systemctl enable --now gatewatch
	@put() { $(if $(DESTDIR),,$(SUDO)) install -D "$$@"; }
	made=$$(mktemp -d)
	trap 'rm -rf "$$made"' EXIT
	mkdir "$$made/man"
	$(BINARY) man "$$made/man"
	for shell in bash zsh fish; do $(BINARY) completions $$shell > "$$made/$$shell"; done
	put -m 755 $(if $(filter $(GATEWATCH),$(BINARY)),-s )$(BINARY) $(DESTDIR)$(PREFIX)/bin/gatewatch
	put -m 644 systemd/gatewatch.service $(DESTDIR)$(PREFIX)/lib/systemd/system/gatewatch.service
	put -m 644 systemd/gatewatch@.service $(DESTDIR)$(PREFIX)/lib/systemd/system/gatewatch@.service
	put -m 644 -t $(DESTDIR)$(PREFIX)/share/doc/gatewatch README.md SECURITY.md docs/*.md config/geo/LICENSE.DB-IP
	put -m 644 -t $(DESTDIR)$(PREFIX)/share/doc/gatewatch/examples config/examples/*.toml systemd/metrics-tcp.conf
	for part in filter.d jail.d; do
	    put -m 644 -t $(DESTDIR)$(PREFIX)/share/doc/gatewatch/examples/$$part config/examples/fail2ban/$$part/gatewatch.conf
	done
	put -m 644 systemd/gatewatch.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/gatewatch.conf
	put -m 644 systemd/gatewatch.tmpfiles $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/gatewatch.conf
	put -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man5 "$$made"/man/*.5
	put -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man8 "$$made"/man/*.8
	put -m 644 "$$made/bash" $(DESTDIR)$(PREFIX)/share/bash-completion/completions/gatewatch
	put -m 644 "$$made/zsh" $(DESTDIR)$(PREFIX)/share/zsh/vendor-completions/_gatewatch
	put -m 644 "$$made/fish" $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/gatewatch.fish
	# What an operator changed stays.
	[ -e $(DESTDIR)/etc/gatewatch/gatewatch.toml ] \
	    || put -m 644 config/gatewatch.toml $(DESTDIR)/etc/gatewatch/gatewatch.toml
	if [ -z "$(DESTDIR)" ] && [ -d /run/systemd/system ]; then
	    $(SUDO) systemd-sysusers gatewatch.conf
	    $(SUDO) systemd-tmpfiles --create gatewatch.conf
	    $(SUDO) systemctl daemon-reload
	fi

CARGO_DEB := target/tools/bin/cargo-deb
# Another build profile makes a package for tests in less time.
PROFILE ?= release

$(CARGO_DEB):
	@nice $(CARGO) install cargo-deb --locked --quiet --root target/tools

deb: $(CARGO_DEB) packages ## a Debian package in target/debian; installs cargo-deb below target/tools
	@$(BUILD) --profile $(PROFILE) --bin gatewatch
	built=target/$(if $(filter dev,$(PROFILE)),debug,$(PROFILE))/gatewatch
	rm -rf target/package target/debian
	mkdir -p target/package/man
	"$$built" man target/package/man
	"$$built" completions bash > target/package/gatewatch.bash
	"$$built" completions zsh > target/package/_gatewatch
	"$$built" completions fish > target/package/gatewatch.fish
	SOURCE_DATE_EPOCH=$(EPOCH) python3 tests/support/sbom.py > target/package/gatewatch.cdx.json
	# What changed is told once, in CHANGELOG.md; Debian wants the package's own part of it in its own form.
	version=$$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
	printf 'gatewatch (%s-1) unstable; urgency=medium\n\n  * Commit %s.\n    What changed: /usr/share/doc/gatewatch/changelog.gz.\n\n -- %s  %s\n' \
	    "$$version" "$(COMMIT)" "$$(sed -n 's/^maintainer = "\(.*\)"/\1/p' Cargo.toml)" "$$(date -uRd @$(EPOCH))" > target/package/changelog
	SOURCE_DATE_EPOCH=$(EPOCH) $(CARGO_DEB) --no-build --strip --no-dbgsym --profile $(PROFILE)

# Each is a line of docs/test-system.md: its name, then the command. GATEWATCH_LONG has tests do what takes longer than CI may.
define SYSTEM_TESTS
large-services: $(CARGO) test --locked --test system_knock -- --nocapture shares_
million-sources: $(MAKE) million
faults-long: GATEWATCH_LONG=1 $(CARGO) test --locked --test system_faults --test system_memory -- --nocapture --test-threads 1
kills: GATEWATCH_KILLS=600 $(CARGO) test --locked --test kills
power-cuts: GATEWATCH_CUTS=20 $(CARGO) test --locked --test system_power -- --nocapture
package: $(MAKE) test-deb
bytes-written: GATEWATCH_LONG=1 $(CARGO) test --locked --test system_wear -- --nocapture --test-threads 1
endef
export SYSTEM_TESTS

test-system: ## what takes too long for every change, each result written to docs/test-system.md; needs root
	@$(MAKE) test-packages SERVICES=1
	tests/support/record.sh docs/test-system.md <<< "$$SYSTEM_TESTS"

test-deb: deb ## the package by lintian and under a real systemd: install, start, capture, upgrade, remove, purge; needs root
	@if command -v lintian >/dev/null; then lintian --allow-root --fail-on error,warning target/debian/*.deb
	else echo 'skipped: lintian is not installed'; fi
	GATEWATCH_DEB=$$(ls target/debian/*.deb) GATEWATCH_DEB_PROFILE=$(PROFILE) $(CARGO) test --locked --test system_package -- --nocapture

bench: packages ## decode, stream, detect, geo and whole-pipeline benches
	@nice $(CARGO) bench --locked

deny: ## licences, sources and versions of every dependency against deny.toml, and the bill of materials
	@$(CARGO) test --locked --test dependencies

CARGO_DENY := target/tools/bin/cargo-deny
ADVISORY_DB := https://github.com/RustSec/advisory-db

advisories: ## known holes in dependencies, by the RustSec database; needs a network
	@if ! GIT_TERMINAL_PROMPT=0 timeout 20 git ls-remote --quiet $(ADVISORY_DB) HEAD >/dev/null 2>&1; then
	    echo "gatewatch: $(ADVISORY_DB) cannot be reached: this target needs a network; nothing was checked" >&2
	    exit 69
	fi
	[ -x $(CARGO_DENY) ] || nice $(CARGO) install cargo-deny --locked --quiet --root target/tools
	$(CARGO_DENY) check advisories

sbom: ## the bill of materials (CycloneDX) in target/gatewatch.cdx.json
	@mkdir -p target
	SOURCE_DATE_EPOCH=$(EPOCH) python3 tests/support/sbom.py > target/gatewatch.cdx.json
	echo "gatewatch: target/gatewatch.cdx.json"

# Nothing of where it is built goes into the binary: names of folders are mapped, in Rust and in C. Cargo leaves that mapping out of
# what it names symbols by.
reproducible: packages ## the last commit built twice, in two folders: both binaries must be the same to the byte
	@home=$${CARGO_HOME:-$$HOME/.cargo}
	sums=()
	for name in one another-folder; do
	    folder=$(CURDIR)/target/reproducible/$$name
	    rm -rf "$$folder" && mkdir -p "$$folder"
	    git archive HEAD | tar -x -C "$$folder"
	    (cd "$$folder" && GATEWATCH_COMMIT=$$(git rev-parse --short=12 HEAD) SOURCE_DATE_EPOCH=$(EPOCH) CARGO_INCREMENTAL=0 \
	        CARGO_TARGET_DIR="$$folder/target" CFLAGS="-ffile-prefix-map=$$folder=/gatewatch -ffile-prefix-map=$$home=/cargo" \
	        RUSTFLAGS="--remap-path-prefix=$$folder=/gatewatch --remap-path-prefix=$$home=/cargo" \
	        nice $(CARGO) build --locked --profile $(PROFILE) --bin gatewatch)
	    built=$$folder/target/$(if $(filter dev,$(PROFILE)),debug,$(PROFILE))/gatewatch
	    sums+=("$$(sha256sum < "$$built" | cut -d' ' -f1)")
	    echo "gatewatch: $${sums[-1]} $$built"
	done
	[ "$${sums[0]}" = "$${sums[1]}" ] || { echo "gatewatch: the two differ" >&2; exit 1; }

# Seconds for each entry of src/fuzzing, and the one entry that is to be driven; empty: all.
FUZZ_SECS ?= 60
TARGET ?=
CARGO_FUZZ := target/tools/bin/cargo-fuzz
FUZZ_HOST = $(shell rustc -vV | sed -n 's/^host: //p')
FUZZED := target/fuzz/$(FUZZ_HOST)/release/entry

fuzz-packages: packages
	@$(MISSING)
	have c++ g++
	$(INSTALL)

$(CARGO_FUZZ):
	@nice $(CARGO) install cargo-fuzz --locked --quiet --root target/tools

# libFuzzer wants flags that a stable compiler has only by RUSTC_BOOTSTRAP=1: no other toolchain is needed. The crate has the versions
# of Cargo.lock. Seeds are what the tests of parsers play. LeakSanitizer is off: it takes a thread that is just ending for a leak
# (32 bytes of __cxa_thread_atexit_impl); what really grows meets the limit.
fuzz: fuzz-packages $(CARGO_FUZZ) ## each entry of src/fuzzing for FUZZ_SECS (60); TARGET=tcp.http one of them; needs a C++ compiler, no nightly
	@mkdir -p target/fuzz
	rm -rf target/fuzz/seeds
	cp Cargo.lock tests/fuzz/Cargo.lock
	GATEWATCH_SEEDS=$(CURDIR)/target/fuzz/seeds nice $(CARGO) test --locked --lib -- --quiet protocol:: fuzzing::tests::seeds_are_left >/dev/null
	PATH=$(CURDIR)/target/tools/bin:$$PATH RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR=$(CURDIR)/target/fuzz \
	    nice $(CARGO) fuzz build --fuzz-dir tests/fuzz entry
	broken=()
	for seeds in target/fuzz/seeds/$(or $(TARGET),*); do
	    entry=$${seeds##*/}
	    [ -d "$$seeds" ] || { echo "gatewatch: $$entry is no entry of src/fuzzing/mod.rs" >&2; exit 64; }
	    mkdir -p target/fuzz/corpus/$$entry target/fuzz/found/$$entry
	    echo "gatewatch: $$entry for $(FUZZ_SECS) s"
	    GATEWATCH_ENTRY=$$entry nice $(FUZZED) -max_total_time=$(FUZZ_SECS) -timeout=20 -rss_limit_mb=2048 -detect_leaks=0 -verbosity=0 \
	        -print_final_stats=1 -artifact_prefix=target/fuzz/found/$$entry/ target/fuzz/corpus/$$entry "$$seeds" \
	        > target/fuzz/found/$$entry/log 2>&1 || broken+=("$$entry")
	    sed -n 's/^stat::number_of_executed_units: *\(.*\)/  \1 inputs/p' target/fuzz/found/$$entry/log
	done
	[ $${#broken[@]} = 0 ] || { echo "gatewatch: not survived: $${broken[*]}; inputs and logs in target/fuzz/found," \
	    "run one again by GATEWATCH_ENTRY=NAME $(FUZZED) FILE" >&2; exit 1; }

clean: ## remove what was built and what runs left behind
	@$(CARGO) clean
	rm -rf $(RUN)
