//! `global_defs`, and what instances take from it.

use std::net::IpAddr;
use std::time::Duration;

use super::buffers::Policy;
use super::keywords::Block;
use super::lexer::Word;
use super::notify::{Tellers, told};
use super::process;
use super::tree::Node;
use super::values::{boolean, ip, number_in, plain, seconds, text};
use super::walk::walk;
use crate::config::announce::RawAnnounce;
use crate::config::diag::{Diagnostic, Span, Spanned};
use crate::config::key::inherit;
use crate::config::raw::{Raw, RawGlobals};

/// `global_defs`, as far as it matters here.
#[derive(Debug, Default)]
pub(crate) struct GlobalDefs {
    pub(crate) version: Option<Spanned<i64>>,
    pub(crate) strict: Option<Spanned<bool>>,
    pub(crate) skip_check: Option<Spanned<bool>>,
    pub(crate) lower_prio_no_advert: Option<Spanned<bool>>,
    pub(crate) higher_prio_send_advert: Option<Spanned<bool>>,
    pub(crate) owner_ignores: Option<Spanned<bool>>,
    pub(crate) down_timer_adverts: Option<Spanned<i64>>,
    pub(crate) checksum_as_v2: Option<Span>,
    pub(crate) group4: Option<Spanned<IpAddr>>,
    pub(crate) group6: Option<Spanned<IpAddr>>,
    pub(crate) announce: RawAnnounce,
    pub(crate) default_interface: Option<Spanned<String>>,
    min_garp: Option<Spanned<bool>>,
    pub(crate) own: RawGlobals,
    pub(crate) buffers: Policy,
    pub(crate) tellers: Tellers,
}

impl GlobalDefs {
    pub(crate) fn read(&mut self, node: &Node, out: &mut Vec<Diagnostic>) {
        let nodes = node.block.as_deref().unwrap_or_default();
        walk(Block::Globals, nodes, out, |keyword, node, out| self.set(keyword.name, node, out));
    }

    fn set(&mut self, name: &'static str, node: &Node, out: &mut Vec<Diagnostic>) {
        let span = node.keyword.span;
        if let Some(short) = name.strip_prefix("vrrp_").filter(|s| is_announce(s)) {
            return announce(short, node, &mut self.announce, out);
        }
        if plain(&mut self.own, RawGlobals::KEYS, name, node, out)
            || process::set(&mut self.own.process, name, node, out)
            || self.buffers.set(name, node, out)
            || self.tellers.set(name, node, out)
        {
            return;
        }
        match (name, node.args.first()) {
            ("default_interface", Some(word)) => {
                self.default_interface = Some(Spanned::new(word.text.clone(), word.span));
            }
            ("vrrp_version", Some(word)) => self.version = number_in(name, word, (2, 3), out),
            ("vrrp_down_timer_adverts", Some(word)) => {
                self.down_timer_adverts = number_in(name, word, (1, 100), out);
            }
            ("vrrp_mcast_group4", Some(word)) => {
                self.group4 = group(word, IpAddr::is_ipv4, "IPv4", out);
            }
            ("vrrp_mcast_group6", Some(word)) => {
                self.group6 = group(word, IpAddr::is_ipv6, "IPv6", out);
            }
            ("vrrp_strict", _) => self.strict = boolean(node, out),
            ("vrrp_skip_check_adv_addr", _) => self.skip_check = boolean(node, out),
            ("vrrp_lower_prio_no_advert", _) => self.lower_prio_no_advert = boolean(node, out),
            ("vrrp_higher_prio_send_advert", _) => {
                self.higher_prio_send_advert = boolean(node, out);
            }
            ("vrrp_min_garp", _) => self.min_garp = boolean(node, out),
            ("vrrp_owner_ignore_adverts", _) => self.owner_ignores = boolean(node, out),
            ("v3_checksum_as_v2", _) => self.checksum_as_v2 = Some(span),
            // The preprocessor followed them already.
            ("include_check", _) => {}
            ("random_seed", Some(word)) => {
                number_in(name, word, (0, u32::MAX.into()), out);
            }
            ("script_user", Some(word)) => {
                self.own.script_user = Some(text(word));
                self.own.script_group = node.args.get(1).map(text);
            }
            ("startup_script", _) => self.own.startup_script = told(&node.args, out),
            ("shutdown_script", _) => self.own.shutdown_script = told(&node.args, out),
            ("enable_script_security", Some(word)) if word.text == "1" => {
                self.own.script_security = Some(Spanned::new(true, word.span));
            }
            ("enable_script_security", _) => self.own.script_security = boolean(node, out),
            (name, _) => debug_assert!(false, "{name} is in the table but not read"),
        }
    }

    pub(crate) fn finish(self, raw: &mut Raw, out: &mut Vec<Diagnostic>) {
        self.tellers.finish(raw, out);
        let before = std::mem::take(&mut raw.globals);
        let mut own = self.own;
        inherit(&mut own, &before, RawGlobals::KEYS);
        own.process.complete(&before.process);
        own.startup_script = own.startup_script.or(before.startup_script);
        own.shutdown_script = own.shutdown_script.or(before.shutdown_script);
        raw.globals = own;
    }

    /// What an instance says about announcements, completed by what holds for all of them.
    pub(crate) fn complete(&self, own: &RawAnnounce) -> RawAnnounce {
        let global = &self.announce;
        // `vrrp_min_garp` changes the defaults only: one frame, no second batch.
        let min = self.min_garp.filter(|on| on.value).map(|on| on.span);
        let frames = |n| min.map(|span| Spanned::new(n, span));
        let never = min.map(|span| Spanned::new(Duration::ZERO, span));
        let repeat = global.repeat.or(frames(1));
        let delay = global.delay.or(never);
        // keepalived: the global values, not the instance's, are the default here.
        let last = RawAnnounce {
            repeat,
            delay,
            refresh: never,
            refresh_repeat: frames(1),
            lower_repeat: repeat,
            lower_delay: delay,
            ..RawAnnounce::default()
        };
        let mut own = own.clone();
        inherit(&mut own, global, RawAnnounce::KEYS);
        inherit(&mut own, &last, RawAnnounce::KEYS);
        own
    }
}

pub(crate) fn is_announce(name: &str) -> bool {
    name.starts_with("garp_") || name.starts_with("gna_") || name == "vmac_garp_intvl"
}

/// `garp_extra_if [all] SECONDS`: without `all` it is about virtual MACs only, which nobody has here.
fn extra_interfaces(node: &Node, out: &mut Vec<Diagnostic>) -> Option<Spanned<Duration>> {
    let period = |word: &&Word| word.text != "all";
    let seconds: Vec<_> =
        node.args.iter().filter(period).filter_map(|word| seconds(word, out)).collect();
    let all = node.args.iter().any(|word| word.text == "all");
    seconds.last().copied().filter(|period| all || period.value.is_zero())
}

/// One of the `garp_*` and `gna_*` settings, which globals and instances share.
pub(crate) fn announce(
    name: &str,
    node: &Node,
    announce: &mut RawAnnounce,
    out: &mut Vec<Diagnostic>,
) {
    let Some(word) = node.args.first() else { return };
    // keepalived takes 0 frames for 1.
    let at_least_one = |n: Spanned<i64>| n.map(|n| if n == 0 { 1 } else { n });
    let mut frames = || number_in(&node.keyword.text, word, (0, 255), out);
    match name {
        "garp_master_repeat" => announce.repeat = frames().map(at_least_one),
        "garp_master_refresh_repeat" => {
            announce.refresh_repeat = frames().map(at_least_one);
        }
        "garp_lower_prio_repeat" => announce.lower_repeat = frames(),
        "garp_extra_if" | "vmac_garp_intvl" => {
            announce.refresh_elsewhere = extra_interfaces(node, out);
        }
        name => {
            let read = plain(announce, RawAnnounce::KEYS, name, node, out);
            debug_assert!(read, "{name} is in the table but not read");
        }
    }
}

fn group(
    word: &Word,
    fits: impl Fn(&IpAddr) -> bool,
    family: &str,
    out: &mut Vec<Diagnostic>,
) -> Option<Spanned<IpAddr>> {
    let group = ip(word, out)?;
    if fits(&group.value) && group.value.is_multicast() {
        return Some(group);
    }
    let text = format!("{} is not an {family} multicast address", group.value);
    out.push(Diagnostic::error(word.span, text));
    None
}
