# Rust (rustup, at least the version below) is the one precondition; everything else is installed here.
RUST_VERSION := $(shell sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
SEEDS ?= 10000
STEPS ?= 2000

.PHONY: help demo test check deny sim setup rust bench-failover bench-reload bench-checks bench-config bench-proxy bench-leader bench-db-failover

help: ## what can be made
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' $(MAKEFILE_LIST) | expand -t 18

rust:
	@command -v cargo >/dev/null || { echo "vipd needs Rust $(RUST_VERSION) or newer: install it with rustup (https://rustup.rs)"; exit 1; }

# What `make test` builds too: the optimised release takes several times as long.
demo: rust ## two load balancers, a client and a floating address, live (no other tool needed)
	@cargo build --quiet
	@target/debug/vipd demo

setup: rust ## install what the tests need (Debian packages; services stay off)
	@tests/setup-debian.sh

test: setup ## everything: unit, integration, simulator, real kernel (needs root)
	cargo test --no-run --lib --test it --test sim --test netns --examples
	@tests/run.sh

check: rust ## formatting and lints
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings

deny: rust ## licences, bans and sources of the dependencies
	@command -v cargo-deny >/dev/null || { echo "make deny needs cargo-deny: cargo install cargo-deny"; exit 1; }
	cargo deny --offline check bans licenses sources

sim: rust ## the simulator, longer: make sim SEEDS=100000 STEPS=5000
	VIPD_SIM_SEEDS=$(SEEDS) VIPD_SIM_STEPS=$(STEPS) cargo test --release --test sim -- --nocapture

bench-failover: setup ## outages and cost, vipd beside keepalived (ARGS=--quick: one minute)
	@cargo build --release --quiet
	@cargo run --release --quiet --example bench-failover -- $(ARGS)

bench-reload: rust ## how late 250 routers advertise while one is reloaded, or while the status is asked for under fire
	@cargo build --release --quiet
	@cargo run --release --quiet --example bench-reload

bench-checks: setup ## what built-in checks cost beside curl scripts (half a minute)
	@cargo run --release --quiet --example bench-checks

bench-leader: setup ## how long a client cannot write while Patroni's leader changes (one minute)
	@cargo build --release --quiet
	@cargo run --release --quiet --example bench-leader

bench-db-failover: setup ## what clients see of Patroni's switchovers, vipd beside HAProxy (six minutes)
	@cargo build --release --quiet
	@cargo run --release --quiet --example bench-db-failover

bench-config: rust ## how long vipd check takes for a keepalived.conf of 10,000 lines
	@cargo build --release --quiet
	@cargo run --release --quiet --example bench-config

bench-proxy: rust ## how soon 2,000 sessions of a lost primary end beside bare resets, and what an idle one costs
	@cargo run --release --quiet --example bench-proxy
