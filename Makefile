# gatewatch: build, run and prove it. `make` alone lists the targets.
#
# On a bare Debian with a Rust toolchain `make run` and `make test` install what is missing themselves
# (libpcap's headers, a linker) and say so; `sudo` is used only where root is needed.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help
.PHONY: help run test demo founding million install deb test-deb test-system bench deny clean packages test-packages

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
[ -z "$(SERVICES)" ] || knock+=(/usr/sbin/smbd samba smbpasswd samba-common-bin smbclient smbclient /usr/sbin/kamailio kamailio sipsak sipsak
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

# `gatewatch --version` tells the commit.
BUILD = GATEWATCH_COMMIT=$(shell git describe --always --dirty --abbrev=12 --exclude '*' 2>/dev/null) nice $(CARGO) build --release --locked

$(GATEWATCH): packages
	@$(BUILD) --bin gatewatch

$(TRAFFIC): packages
	@$(BUILD) --example traffic

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

test: test-packages ## everything: format, lints, documentation, licences, all tests
	@$(CARGO) fmt --check
	nice $(CARGO) clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' nice $(CARGO) doc --locked --no-deps --document-private-items
	nice $(CARGO) test --locked --no-fail-fast
	# Tests in network namespaces need root; the run above has skipped them if it was not root.
	if [ -n "$(SUDO)" ]; then
	    host=$$(rustc -vV | sed -n 's/^host: //p' | tr 'a-z-' 'A-Z_')
	    env "CARGO_TARGET_$${host}_RUNNER=sudo -E" $(CARGO) test --locked --test 'system_*'
	fi

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

install: ## binary, unit, user, folders, settings, man page and completions; then: systemctl enable --now gatewatch
	@put() { $(if $(DESTDIR),,$(SUDO)) install -D "$$@"; }
	made=$$(mktemp -d)
	trap 'rm -rf "$$made"' EXIT
	mkdir "$$made/man"
	$(BINARY) man "$$made/man"
	for shell in bash zsh fish; do $(BINARY) completions $$shell > "$$made/$$shell"; done
	put -m 755 $(BINARY) $(DESTDIR)$(PREFIX)/bin/gatewatch
	put -m 644 systemd/gatewatch.service $(DESTDIR)$(PREFIX)/lib/systemd/system/gatewatch.service
	put -m 644 systemd/gatewatch@.service $(DESTDIR)$(PREFIX)/lib/systemd/system/gatewatch@.service
	put -m 644 -t $(DESTDIR)$(PREFIX)/share/doc/gatewatch/examples config/examples/*.toml
	put -m 644 systemd/gatewatch.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/gatewatch.conf
	put -m 644 systemd/gatewatch.tmpfiles $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/gatewatch.conf
	put -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man1 "$$made"/man/*.1
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

deb: $(CARGO_DEB) $(if $(filter release,$(PROFILE)),$(GATEWATCH)) ## a Debian package in target/debian; installs cargo-deb below target/tools
	@built=target/$(if $(filter dev,$(PROFILE)),debug,$(PROFILE))/gatewatch
	rm -rf target/package target/debian
	mkdir -p target/package/man
	"$$built" man target/package/man
	"$$built" completions bash > target/package/gatewatch.bash
	"$$built" completions zsh > target/package/_gatewatch
	"$$built" completions fish > target/package/gatewatch.fish
	$(CARGO_DEB) --no-build --no-separate-debug-symbols --profile $(PROFILE)

# Each is a line of docs/test-system.md: its name, then the command. GATEWATCH_LONG has tests do what takes longer than CI may.
define SYSTEM_TESTS
large-services: $(CARGO) test --locked --test system_knock -- --nocapture shares_
million-sources: $(MAKE) million
faults-long: GATEWATCH_LONG=1 $(CARGO) test --locked --test system_faults --test system_wear --test system_memory -- --nocapture --test-threads 1
kills: GATEWATCH_KILLS=600 $(CARGO) test --locked --test kills
power-cuts: GATEWATCH_CUTS=20 $(CARGO) test --locked --test system_power -- --nocapture
package: $(MAKE) test-deb
endef
export SYSTEM_TESTS

test-system: ## what takes too long for every change, each result written to docs/test-system.md; needs root
	@$(MAKE) test-packages SERVICES=1
	tests/support/record.sh docs/test-system.md <<< "$$SYSTEM_TESTS"

test-deb: deb ## the package under a real systemd: install, start, capture, upgrade, remove, purge; needs root
	@GATEWATCH_DEB=$$(ls target/debian/*.deb) $(CARGO) test --locked --test system_package -- --nocapture

bench: packages ## decode, stream, detect, geo and whole-pipeline benches
	@nice $(CARGO) bench --locked

deny: ## licences and sources of every dependency against deny.toml
	@$(CARGO) test --locked --test dependencies

clean: ## remove what was built and what runs left behind
	@$(CARGO) clean
	rm -rf $(RUN)
