//! vipd keeps a virtual IP address on exactly one of several hosts (VRRPv2 and VRRPv3), and carries
//! TCP connections behind it to the server that has the role their clients want. It reads
//! keepalived.conf, haproxy.cfg and vipd.toml.
//!
//! # The ten-minute map
//!
//! 1. [`io`]: what can happen ([`io::Input`]) and what can be done about it
//!    ([`io::Action`]). Everything else serves this contract.
//! 2. `vrrp/router/mod.rs`: the state machine of one virtual router, and `vrrp/router/transitions.rs`, what it
//!    does.
//! 3. [`daemon`]: the loop that turns actions into system calls and system calls into inputs.
//! 4. `tests/sim`: whole engines in a seeded world of faults, with laws checked after every event.
//! 5. The file of interest: one idea each, named after it.
//!
//! # The core decides, the shell does
//!
//! | module | what it is | may use |
//! |---|---|---|
//! | [`text`] | numbers, durations, sizes and lists as people read them | |
//! | [`types`] | units and ranges as types | text |
//! | [`wire`] | bytes to values and back | text, types |
//! | [`pool`] | which server takes a connection | text, types |
//! | [`status`] | the one status type, and what people read about it | text, types |
//! | [`page`] | the status as a page for browsers | text, status |
//! | [`metrics`] | the status as metrics for Prometheus | status |
//! | [`config`] | the settings: as vipd.toml says them, and checked | text, types, wire, pool |
//! | [`import`] | what keepalived.conf and haproxy.cfg say, as settings | text, types, pool, config |
//! | [`load`] | files of any dialect to one checked configuration, and that to a vipd.toml | text, types, config, import |
//! | [`dump`] | the status in keepalived's files | text, types, status, config |
//! | [`track`] | what moves a priority | text, types, config |
//! | [`io`] | what goes into the engine and what comes out | text, types, pool, status, config, track |
//! | [`vrrp`] | one virtual router | text, types, wire, status, config, track, io |
//! | [`notify`] | who is told what, in which words and order | text, types, status, config, io |
//! | [`pair`] | two nodes' configurations side by side | text, types, wire, config, track, vrrp |
//! | [`cluster`] | what the servers of a cluster are | text, types, pool, status, config, track, io |
//! | [`engine`] | all routers, links, sockets and clusters together | text, types, wire, pool, status, config, track, io, vrrp, cluster |
//! | [`sys`] | system calls, the only `unsafe` | text, types, config, io |
//! | [`pem`] | certificates and keys in files | text, types, sys |
//! | [`probe`] | one run of one check | text, types, config, track, sys, pem |
//! | [`proxy`] | TCP connections to the servers of a pool | text, types, pool, config, sys, pem |
//! | [`hook`] | commands, FIFOs and mail that tell people | text, types, status, config, track, io, notify, sys, probe |
//! | [`api`] | the status socket, and status pages | text, types, status, page, metrics |
//! | [`log`] | log lines, and where they go | text, types, io |
//! | [`lab`] | networks made of namespaces | text, types, sys |
//! | [`daemon`] | the control loop and its helpers | all above |
//! | [`cli`] | the commands | all above |
//!
//! A module uses what its row lists, and what stands beside it in the row. The modules down to
//! [`engine`] are pure: no clock, socket, task, file, environment or hash map.
//! `tests/it/architecture.rs` reads this table and holds both.
//!
//! One daemon has three kinds of thread: `control` owns the engine, the raw sockets, netlink and the
//! timers and waits for nobody; `effects` serves the status socket and pages, reads files and writes logs;
//! `proxy-N`, one per CPU, carry proxied connections; beside them `proxy-refuse` tells
//! clients in TLS why they are refused.
//!
//! # The proxy's half
//!
//! 1. [`cluster`]: answers of Patroni and of health checks become one view of who is what, and who
//!    may still be the primary for how long.
//! 2. [`pool`]: that view, published to all threads at once, and the choice of a server.
//! 3. `proxy/worker.rs`: one thread's loop; `proxy/accept.rs`, `handshake.rs`, `relay.rs`: a
//!    connection from its first byte to its last.
//! 4. `proxy/wait_queue.rs`: clients that wait for a server.
//!
//! # Words that are this crate's own
//!
//! | word | meaning |
//! |---|---|
//! | adopt | take over a router's addresses and state from the daemon before |
//! | advert interval, skew, master down | as in RFC 9568 |
//! | base and effective priority | as configured; with what trackers add |
//! | claim | of a router: what an advert says of its sender's priority; of a member: to be the primary |
//! | confirm | of a member: to say again that it is the primary |
//! | drain | take out of service until `resume`; sticky: over a restart too |
//! | excluded address | moves with the router and is not in its adverts |
//! | fallback | what a listener uses while no server has the role it wants |
//! | hand-over | the successor has the addresses before the master lets them go: state LEAVING |
//! | hint | in a status: what an operator should do; from a session: look at this server |
//! | lease | of an address: how long the kernel keeps it unrenewed; of a cluster: how long a primary counts as one unconfirmed |
//! | lenient | starting as keepalived would, without what is wrong in the files |
//! | member, server | a node of a cluster; the same as one listener sees it |
//! | second opinion | the leader that the cluster's store names while the primary is silent |
//! | session | a client's connection and the server's that belongs to it |
//! | snapshot | a whole status at one moment |
//! | static address | held by the host whatever the routers do (`static_ipaddress`) |
//! | system | the members of a cluster that share a database: a Citus cluster has several |
//! | tracker, probe | what moves a priority; one run of its check |
//! | yield | a master that hears a better one goes to backup |

pub mod api;
pub mod cli;
pub mod cluster;
pub mod config;
pub mod daemon;
pub mod dump;
pub mod engine;
pub mod hook;
pub mod import;
pub mod io;
pub mod lab;
pub mod load;
pub mod log;
pub mod metrics;
pub mod notify;
pub mod page;
pub mod pair;
pub mod pem;
pub mod pool;
pub mod probe;
pub mod proxy;
pub mod status;
pub mod sys;
pub mod text;
pub mod track;
pub mod types;
pub mod vrrp;
pub mod wire;
