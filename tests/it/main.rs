//! Tests through the public interface. One module per subject; `golden` reads recorded packets,
//! `expected` compares with expected outputs kept as files.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub)]

mod api;
mod architecture;
mod beside;
mod cli_check;
mod cluster;
mod config_hostile;
mod config_keepalived;
mod config_toml;
mod config_words;
mod convert;
mod diagnostics;
mod engine;
mod expected;
mod explain;
mod golden;
mod health;
mod hook;
mod lenient;
mod manual;
mod metrics;
mod page;
mod pair;
mod pool;
mod probe;
mod proxy;
mod proxy_config;
mod reload_text;
mod schema;
mod serving_render;
mod status_render;
mod terminal;
mod unicast;
mod unprivileged;
mod wire_emit;
mod wire_golden;
mod wire_hostile;
mod wire_parse;
