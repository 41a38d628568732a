# Everything a fresh machine with Rust and Go needs: `make demo` and `make test`.

CONTROLPLANE := target/controlplane

.PHONY: demo tutorial test fuzz bench lint crds controlplane

## A story in the terminal: request, approval, grant and expiry on a real local control plane.
demo: controlplane
	@echo "Building Daypass ..."
	@cargo build --quiet --bin daypass --test e2e
	@cargo test --quiet --test e2e -- demo $(if $(KEEP),--keep)

## The README's tutorial, run and printed with what it answers. `make test` holds the README to it.
tutorial: controlplane
	@cargo test --quiet --test e2e -- tutorial

## Every test: the pure core, the CRDs, the chart, and each behaviour against a real API server.
test: controlplane
	cargo test

## Hostile input, many times what `make test` tries: `make fuzz CASES=100000 SEED=7`. The variables are also understood
## as DAYPASS_FUZZ_CASES (so many of each kind) and DAYPASS_FUZZ_SEED by `cargo test`.
fuzz:
	DAYPASS_FUZZ_CASES=$(or $(CASES),5000) DAYPASS_FUZZ_SEED=$(or $(SEED),0) cargo test --test fuzz

## Latencies and throughput beside a bare client that only writes RoleBindings, in the same run. `make bench ONLY=policies` runs one section:
## one, burst, ends, restart or policies.
bench: controlplane
	cargo test --quiet --release --test e2e -- bench $(ONLY)

lint:
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings

## Writes the CRDs from the Rust types into crds/ and the chart.
crds:
	cargo run --quiet -- crds --out crds
	cargo run --quiet -- crds --out charts/daypass/files/crds

## etcd, kube-apiserver, kube-controller-manager, kubectl and helm, built once with Go.
controlplane:
	@command -v cargo >/dev/null || { echo "Rust is not installed. Get it from https://rustup.rs and run the command again." >&2; exit 1; }
	@e2e/controlplane/build.sh $(CONTROLPLANE)
