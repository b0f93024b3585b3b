//! vipd keeps a virtual IP address on exactly one of several hosts: VRRPv2 and VRRPv3, read from the
//! user's keepalived.conf or a vipd.toml.
//!
//! # The ten-minute map
//!
//! 1. [`io`]: what can happen ([`io::Input`]) and what can be done about it
//!    ([`io::Action`]). Everything else serves this contract.
//! 2. `vrrp/router.rs`: the state machine of one virtual router, and `vrrp/transitions.rs`, what it
//!    does.
//! 3. [`daemon`]: the loop that turns actions into system calls and system calls into inputs.
//! 4. `tests/sim`: whole engines in a seeded world of faults, with laws checked after every event.
//! 5. The file of interest: one idea each, named after it.
//!
//! # The core decides, the shell does
//!
//! | module | what it is | may use |
//! |---|---|---|
//! | [`types`] | units and ranges as types | |
//! | [`wire`] | bytes to values and back | types |
//! | [`config`] | text to a checked configuration | types, pool, import |
//! | [`import`] | keepalived.conf to the raw configuration | config::{raw, diag}, pool, types |
//! | [`track`] | what moves a priority | types, config |
//! | [`status`] | the one status type, and what people read about it | types |
//! | [`page`] | the status as a page for browsers | status |
//! | [`io`] | what goes into the engine and what comes out | track, pool, config, status, types |
//! | [`vrrp`] | one virtual router | wire, track, config, status, types, io |
//! | [`notify`] | who is told what, in which words and order | config, status, types, io |
//! | [`pair`] | two nodes' configurations side by side | config, vrrp, track, wire, types |
//! | [`pool`] | which server takes a connection | types |
//! | [`cluster`] | what the servers of a cluster are | track, pool, config, status, types, io |
//! | [`engine`] | all routers, links, sockets and clusters together | the above |
//! | [`sys`] | system calls, the only `unsafe` | wire, types, io, config |
//! | [`pem`] | certificates and keys in files | sys, types |
//! | [`probe`] | one run of one check | pem, sys, config::checks, track, types |
//! | [`proxy`] | TCP connections to the servers of a pool | pem, sys, pool, types |
//! | [`hook`] | commands, FIFOs and mail that tell people | probe, sys, notify, io, engine, config, status, track, types |
//! | [`api`] | the status socket, and status pages | page, status, types |
//! | [`daemon`] | the control loop and its helpers | all of the above |
//! | [`lab`] | networks made of namespaces | sys, types |
//! | [`cli`] | the commands | everything |
//!
//! The modules above the line `engine` are pure: no clock, socket, task, file, environment or hash
//! map. `tests/it/architecture.rs` holds both the purity and the arrows.
//!
//! One daemon has three kinds of thread: `control` owns the engine, the raw sockets, netlink and the
//! timers and waits for nobody; `effects` serves the status socket and pages, reads files and writes logs;
//! `proxy-N`, one per CPU, carry proxied connections; beside them `proxy-refuse` tells
//! clients in TLS why they are refused.

pub mod api;
pub mod cli;
pub mod cluster;
pub mod config;
pub mod daemon;
pub mod engine;
pub mod hook;
pub mod import;
pub mod io;
pub mod lab;
pub mod log;
pub mod notify;
pub mod page;
pub mod pair;
pub mod pem;
pub mod pool;
pub mod probe;
pub mod proxy;
pub mod status;
pub mod sys;
pub mod track;
pub mod types;
pub mod vrrp;
pub mod wire;
