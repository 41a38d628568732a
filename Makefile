# Everything a fresh machine with Rust and Go needs: `make demo` and `make test`.

CONTROLPLANE := target/controlplane
SIGNIN := target/signin

# The version of Kubernetes to try: `make test KUBERNETES=1.33`, or DAYPASS_KUBERNETES=1.33 for `cargo test`. Empty: the one
# that e2e/controlplane/go.mod pins. The others are the folders beside it.
KUBERNETES ?= $(DAYPASS_KUBERNETES)
export DAYPASS_KUBERNETES := $(KUBERNETES)

# What the image holds: one static program. Paths of the build are mapped to fixed ones. Built elsewhere it was not the same
# byte for byte. Cargo hashes the path of cargo-auditable, which wraps the compiler, into the names of symbols; whether that
# is all is not known.
IMAGE_TARGET ?= $(shell uname -m)-unknown-linux-musl
CARGO_HOME ?= $(HOME)/.cargo

.PHONY: demo playground picture page-pictures tutorial test test-version versions-test fuzz bench activity-load faults held-call lint crds controlplane signin upgrade-check image-binary image-check cert-manager-check risk-table narrower-table archive krew plugin-check

## A story in the terminal: request, approval, grant and expiry on a real local control plane.
demo: controlplane
	@echo "Building Daypass ..."
	@cargo build --quiet --bins --test e2e
	@cargo test --quiet --test e2e -- demo $(if $(KEEP),--keep)

## The cluster of the demo with nothing done in it yet, for the quick start of the README. It runs until Ctrl-C.
playground: controlplane
	@cargo build --quiet --bin daypass --test e2e
	@cargo test --quiet --test e2e -- playground

## Tells the story of the demo and draws one request of it, as the API server recorded it, into examples/request.svg.
picture: controlplane
	@cargo test --quiet --test e2e -- picture

## Draws the views of the page that the READMEs show, into examples/pictures. Needs Debian's chromium and chromium-driver.
page-pictures: controlplane
	@cargo test --quiet --test e2e -- page-pictures

## Writes what the risk reading says of real roles and single rights into e2e/risk_table/table.txt. `make test` holds it to
## that, so do this only when a change is meant, and read the difference.
risk-table:
	@cargo test --quiet --test e2e -- risk-table

## What narrower rules come of two made months of use, written to e2e/narrower_table/table.txt.
narrower-table:
	@cargo test --quiet --test e2e -- narrower-table

## The tutorial of examples/README.md, run and printed with what it answers. `make test` holds the text to it.
tutorial: controlplane
	@cargo test --quiet --test e2e -- tutorial

# Half of the processor time of the trials is the API servers', which are young and small: they may collect garbage less often.
test test-version versions-test: export GOGC ?= 300

## Every test: the pure core, the CRDs, the chart, and each behaviour against a real API server.
test: controlplane signin
	cargo test
	cargo test --features otlp --lib traces
	cargo test --features otlp --test otlp

## The named part, which every version of Kubernetes must pass: admission, identity, grant, approval, attacks, the chart and
## the tours of the pages. `make test-version KUBERNETES=1.33`; `make test KUBERNETES=1.33` runs all there are.
test-version: controlplane
	cargo test --test e2e -- versions

## The named part on every version that e2e/controlplane pins, each built when it is not, and a table of what came of it:
## about nine minutes each, and as much to build one. `make versions-test ONLY=grant` runs trials of that name alone.
versions-test: controlplane
	cargo test --quiet --test e2e -- versions-table $(ONLY)

## Hostile input, many times what `make test` tries: `make fuzz CASES=100000 SEED=7`. The variables are also understood
## as DAYPASS_FUZZ_CASES (so many of each kind) and DAYPASS_FUZZ_SEED by `cargo test`.
fuzz:
	DAYPASS_FUZZ_CASES=$(or $(CASES),5000) DAYPASS_FUZZ_SEED=$(or $(SEED),0) cargo test --test fuzz

## Latencies and throughput beside a bare client that only writes RoleBindings, on a control plane without Daypass in the
## same run. `make bench ONLY=one,burst` runs some sections of plugin, run, archive, proof, retention, one, burst, ends, waiting,
## restart, policies and live; `make bench ONLY=archive RECORDS=100000` keeps so many records instead of a million, and
## ONLY=retention has so many requests instead of ten thousand;
## `make bench ONLY=live LIVE=50000` goes up to so many live grants,
## and PROGRAM=target/x86_64-unknown-linux-musl/release/daypass measures what `make image-binary` made, which takes less memory.
bench: controlplane
	DAYPASS_RECORDS=$(RECORDS) DAYPASS_PROGRAM=$(abspath $(PROGRAM)) cargo test --quiet --release --test e2e -- bench $(ONLY) $(LIVE)

## At least FAULTS faults on the line, with killed controllers and wrong clocks; SEED repeats a run. Then the API server, etcd,
## and the archive and its database go. Some fifteen minutes; `make faults ONLY=archive` is a part: weather, stories or archive.
faults: controlplane
	cargo test --quiet --test e2e -- faults "$(SEED)" "$(FAULTS)" "$(ONLY)"

## So many audit events a minute, by the tail and by the webhook of a real API server, while the log is renamed and the archive
## is away for a minute; fails when one is missing: `make activity-load RATE=20000 MINUTES=10`, which are the defaults.
activity-load: controlplane
	DAYPASS_RATE=$(RATE) DAYPASS_MINUTES=$(MINUTES) cargo test --quiet --release --test e2e -- activity-load

## A call of `kubectl daypass run` that is approved after so many minutes, and goes on.
held-call: MINUTES = 10
held-call: controlplane
	DAYPASS_HELD_MINUTES=$(MINUTES) cargo test --quiet --test e2e -- plugin::run::held

## From an earlier version, with its own chart and program, to this one and back, while requests wait and run.
upgrade-check: FORMER = target/upgrade/$(FROM)
upgrade-check: controlplane
	@test -n "$(FROM)" || { echo "from which commit? make upgrade-check FROM=COMMIT" >&2; exit 1; }
	rm -rf $(FORMER)/src $(FORMER)/charts && mkdir -p $(FORMER)
	git archive $(FROM) | tar -x -C $(FORMER)
	cargo build --quiet --bin daypass --manifest-path $(FORMER)/Cargo.toml --target-dir $(FORMER)/target
	cargo test --quiet --test e2e -- upgrade $(CURDIR)/$(FORMER)

lint:
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	cargo clippy --all-targets --features otlp -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --lib

## Writes the CRDs from the Rust types into crds/ and the chart, and the schemas of records and notices into examples/.
crds:
	cargo run --quiet -- record-schema --out examples/record
	cargo run --quiet -- notice-schema --out examples/notice
	cargo run --quiet -- crds --out crds
	cargo run --quiet -- crds --out charts/daypass/files/crds

## etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kubectl and helm, built once with Go.
controlplane:
	@command -v cargo >/dev/null || { echo "Rust is not installed. Get it from https://rustup.rs and run the command again." >&2; exit 1; }
	@e2e/controlplane/build.sh $(CONTROLPLANE) $(KUBERNETES)

## oauth2-proxy and a small OpenID provider, by which the trials sign in to the page, built once with Go.
signin:
	@e2e/signin/build.sh $(SIGNIN)

## The program of the image, static. Needs musl-gcc (Debian: musl-tools), cargo-auditable
## and `rustup target add` of the target. FEATURES=otlp: with traces.
## BINARY=daypass-archive: the program of the archive. BINARY=daypass-notify: that of the notifier. BINARY=daypass-page: that
## of the page. BINARY=daypass-witness: that of the witness.
image-binary: BINARY ?= daypass
image-binary: export SOURCE_DATE_EPOCH ?= 0
image-binary: export CFLAGS = -ffile-prefix-map=$(CARGO_HOME)=/cargo -ffile-prefix-map=$(CURDIR)=/src
image-binary: export RUSTFLAGS = --remap-path-prefix=$(CARGO_HOME)=/cargo --remap-path-prefix=$(CURDIR)=/src -C strip=symbols
image-binary:
	cargo auditable build --locked --release --target $(IMAGE_TARGET) --bin $(BINARY) $(if $(FEATURES),--features $(FEATURES))

## That program and the archive's at work in an empty root as nobody, against a real API server. Needs user namespaces, no
## container runtime.
image-check: controlplane image-binary
	$(MAKE) image-binary BINARY=daypass-archive
	cargo test --quiet --test e2e -- image $(CURDIR)/target/$(IMAGE_TARGET)/release/daypass $(CURDIR)/target/$(IMAGE_TARGET)/release/daypass-archive

## cert-manager at work on the certificate of the webhook: `make cert-manager-check CERT_MANAGER=FOLDER`, a checkout of
## github.com/cert-manager/cert-manager. Builds its controller and its cainjector there first.
cert-manager-check: controlplane
	@test -n "$(CERT_MANAGER)" || { echo "which cert-manager? make cert-manager-check CERT_MANAGER=FOLDER, a checkout of it" >&2; exit 1; }
	for name in controller cainjector; do \
		(cd "$(CERT_MANAGER)/cmd/$$name" && CGO_ENABLED=0 go build -o "$(CURDIR)/target/cert-manager/$$name" .) || exit 1; \
	done
	cargo test --quiet --test e2e -- cert-manager "$(abspath $(CERT_MANAGER))" "$(CURDIR)/target/cert-manager"

## The archive of the plugin for a platform, in target/archives: the program, the licence, man pages and completions:
## `make archive PROGRAM=target/release/kubectl-daypass PLATFORM=linux_amd64`.
archive:
	@test -n "$(PROGRAM)" -a -n "$(PLATFORM)" || { echo "of which program, for what? make archive PROGRAM=FILE PLATFORM=linux_amd64" >&2; exit 1; }
	@cargo test --quiet --test e2e -- archive "$(abspath $(PROGRAM))" $(PLATFORM) target/archives

## The manifest by which krew installs the archives of all platforms, beside them.
krew:
	@cargo test --quiet --test e2e -- archive target/archives

## Whether the plugin compiles for other systems. It links nothing, so what is C or assembler is left out: the build script
## of the TLS library is told away, and a compiler that writes empty objects stands in for the others. Needs
## `rustup target add $(PLUGIN_TARGETS)`.
PLUGIN_TARGETS ?= aarch64-apple-darwin x86_64-apple-darwin x86_64-pc-windows-gnu
TLS_LIBRARY = aws_lc_$(shell sed -n '/^name = "aws-lc-sys"$$/{n;s/version = "\(.*\)"/\1/;s/\./_/g;p}' Cargo.lock)
EMPTY_CC = target/plugin-check/cc
plugin-check:
	@mkdir -p $(dir $(EMPTY_CC))
	@printf '#!/bin/sh\nwhile [ $$# -gt 1 ] && [ "$$1" != -o ]; do shift; done\nexec cc -c -x assembler /dev/null -o "$$2"\n' > $(EMPTY_CC)
	@chmod +x $(EMPTY_CC)
	for target in $(PLUGIN_TARGETS); do \
		TARGET_CC=$(abspath $(EMPTY_CC)) TARGET_AR=ar cargo check --quiet --locked --target $$target --bin kubectl-daypass \
			--config "target.$$target.$(TLS_LIBRARY).rustc-cfg = ['universal']" \
			--config "target.$$target.$(TLS_LIBRARY).include = ''" || exit 1; \
	done
