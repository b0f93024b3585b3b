//! `vrrp_instance`: keepalived's habits (what `state MASTER` really does, rounding, what strict
//! mode takes away) are turned into plain values here, each with a warning.

use std::time::Duration;

use super::address;
use super::globals::{GlobalDefs, announce, is_announce};
use super::keywords::Block;
use super::notify;
use super::peers;
use super::tracking::references;
use super::tree::Node;
use super::values::{boolean, interface, number, number_in, plain};
use super::walk::walk;
use crate::config::check::{family_of, most_addresses, version_of};
use crate::config::diag::{Diagnostic, Span, Spanned, nearest, quoted};
use crate::config::model::Strict;
use crate::config::raw::{RawReceiveBuffer, RawRouter, Secret, Words};
use crate::text::human;
use crate::types::{AuthV2, Centis, Family, V3Checksum};

static WORDS: Words = Words {
    router: "vrrp_instance",
    interface: "interface",
    vrid: "virtual_router_id",
    interval: "advert_int",
    auth_pass: "auth_pass",
    addresses: "virtual_ipaddress",
    excluded: "virtual_ipaddress_excluded",
    track_source: "track_src_ip",
    highest_peer_priority: "timer_expired_backup",
    no_preempt: "nopreempt",
    fault_without_peers: "unicast_fault_no_peer",
    no_addresses: "no_virtual_ipaddress",
    version3: "version 3",
    syntax: (" ", ""),
};

/// Lowers one block; `None` if it has no name.
pub(crate) fn lower(
    node: &Node,
    globals: &GlobalDefs,
    out: &mut Vec<Diagnostic>,
) -> Option<RawRouter> {
    let name = node.args.first()?;
    let mut instance = Instance {
        raw: RawRouter::new(Spanned::new(name.text.clone(), name.span), &WORDS),
        state: None,
        nopreempt: None,
        strict: globals.strict,
        auth_type: None,
        lower_prio_no_advert: globals.lower_prio_no_advert,
        owner_ignores: globals.owner_ignores,
        old_checksum: None,
    };
    instance.raw.check_addresses = globals.skip_check.map(not);
    instance.raw.advert_before_yield = globals.higher_prio_send_advert;
    instance.raw.down_timer_adverts = globals.down_timer_adverts;
    instance.raw.receive_buffer = globals.buffers.finish();
    let mut checksum_as_v2 = globals.checksum_as_v2;
    let nodes = node.block.as_deref().unwrap_or_default();
    instance.raw.written = nodes.iter().filter_map(written).collect();
    walk(Block::Instance, nodes, out, |keyword, node, out| {
        if keyword.name == "v3_checksum_as_v2" {
            let on = boolean(node, out);
            checksum_as_v2 = on.filter(|on| on.value).map(|on| on.span);
        } else {
            instance.set(keyword.name, node, out);
        }
    });
    instance.finish_version(globals, checksum_as_v2, out);
    instance.finish_addresses(out);
    instance.finish_state(out);
    instance.finish_strict(out);
    instance.finish_auth(out);
    instance.finish_interval(out);
    globals.tellers.complete(&mut instance.raw.notify);
    Some(instance.raw)
}

/// What keepalived's strict mode means here, said once where it is switched on.
pub(crate) fn strict_warning(word: &str, span: Span) -> Diagnostic {
    Diagnostic::warning(span, format!("`{word}`: RFC 5798 is followed, but the addresses answer"))
        .note("keepalived would drop all traffic to the addresses of a node that does not own them")
        .note("no password, no answer to lower priorities, no preempt_delay, 3 missed adverts")
        .help("remove it unless every node of the pair has it: packaged samples contain it by accident")
}

struct Instance {
    raw: RawRouter,
    /// Whether MASTER was asked for, and where.
    state: Option<Spanned<bool>>,
    nopreempt: Option<Span>,
    strict: Option<Spanned<bool>>,
    auth_type: Option<Span>,
    lower_prio_no_advert: Option<Spanned<bool>>,
    owner_ignores: Option<Spanned<bool>>,
    old_checksum: Option<Span>,
}

impl Instance {
    fn set(&mut self, name: &'static str, node: &Node, out: &mut Vec<Diagnostic>) {
        let span = node.keyword.span;
        let raw = &mut self.raw;
        if is_announce(name) {
            return announce(name, node, &mut raw.announce, out);
        }
        if plain(raw, RawRouter::KEYS, name, node, out)
            || notify::set(&mut raw.notify, name, node, out)
        {
            return;
        }
        match (name, node.args.first()) {
            ("state", Some(_)) => self.set_state(node, out),
            ("interface", Some(word)) => raw.interface = interface(name, word, out),
            ("version", Some(word)) => raw.version = number_in(name, word, (2, 3), out),
            ("timer_expired_backup" | "thread_timer_expired", word) => {
                raw.highest_peer_priority = match word {
                    Some(word) => number_in(name, word, (1, 254), out),
                    None => Some(Spanned::new(254, span)),
                };
            }
            ("unicast_peer", _) => peers::lower(node, raw, out),
            ("old_unicast_checksum", _) => self.old_checksum = peers::old_checksum(node, out),
            ("virtual_ipaddress", _) => raw.addresses.append(&mut address::lower(node, out)),
            ("virtual_ipaddress_excluded", _) => {
                raw.excluded.append(&mut address::lower(node, out));
            }
            ("no_virtual_ipaddress", _) => raw.no_addresses = Some(span),
            ("nopreempt", _) => self.nopreempt = Some(span),
            ("preempt", _) => self.nopreempt = None,
            ("lower_prio_no_advert", _) => self.lower_prio_no_advert = boolean(node, out),
            ("kernel_rx_buf_size", Some(word)) => {
                let bytes = number(word, out);
                raw.receive_buffer = bytes.map(|bytes| bytes.map(RawReceiveBuffer::Bytes));
            }
            ("strict_mode", _) => {
                self.strict = boolean(node, out);
                if self.strict.is_some_and(|on| on.value) {
                    out.push(strict_warning("strict_mode", span));
                }
            }
            ("owner_ignore_adverts", _) => self.owner_ignores = boolean(node, out),
            ("accept", _) => {}
            ("authentication", _) => self.authentication(node, out),
            (
                "track_script"
                | "track_interface"
                | "track_file"
                | "track_process"
                | "vipd_track_listener",
                _,
            ) => {
                references(name, node, &mut raw.track, &mut raw.track_interfaces, out);
            }
            (name, _) => debug_assert!(false, "{name} is in the table but not read"),
        }
    }

    fn set_state(&mut self, node: &Node, out: &mut Vec<Diagnostic>) {
        let Some(word) = node.args.first() else { return };
        match word.text.as_str() {
            "MASTER" => self.state = Some(Spanned::new(true, node.span())),
            "BACKUP" => match self.state.filter(|state| state.value) {
                None => self.state = Some(Spanned::new(false, node.span())),
                Some(master) => out.push(
                    Diagnostic::warning(node.span(), "`state BACKUP` does not undo `state MASTER`")
                        .also(master.span, "MASTER is asked for here")
                        .note("as in keepalived"),
                ),
            },
            other => {
                let error =
                    Diagnostic::error(word.span, format!("unknown state {}", quoted(other)));
                let states = ["MASTER", "BACKUP"];
                out.push(
                    match nearest(other, states) {
                        Some(state) if other.eq_ignore_ascii_case(state) => error
                            .note("keywords are case-sensitive; keepalived takes this for BACKUP")
                            .help(format!("write `{state}`")),
                        near => error.help("allowed: MASTER, BACKUP").suggest(near),
                    }
                    .droppable(),
                );
            }
        }
    }

    fn authentication(&mut self, node: &Node, out: &mut Vec<Diagnostic>) {
        let nodes = node.block.as_deref().unwrap_or_default();
        let mut auth_type = None;
        let mut auth_pass = None;
        walk(Block::Authentication, nodes, out, |keyword, node, out| {
            let Some(word) = node.args.first() else { return };
            match (keyword.name, word.text.as_str()) {
                ("auth_type", "PASS") => auth_type = Some(word.span),
                ("auth_type", "AH") => {
                    auth_type = Some(word.span);
                    out.push(
                        Diagnostic::error(word.span, "`auth_type AH` is not supported")
                            .note("RFC 3768 removed it; its adverts are other packets altogether")
                            .help("change all nodes to `auth_type PASS`, or remove the block on all nodes"),
                    );
                }
                ("auth_type", other) => {
                    auth_type = Some(word.span);
                    let text = format!("unknown auth_type {}", quoted(other));
                    out.push(Diagnostic::error(word.span, text).help("allowed: PASS"));
                }
                _ => {
                    auth_pass = Some(Spanned::new(word.text.clone(), node.keyword.span));
                }
            }
        });
        let written = |name: &str| nodes.iter().any(|node| node.keyword.text == name);
        match (auth_type, &auth_pass) {
            (Some(_), None) if !written("auth_pass") => out.push(
                Diagnostic::error(node.keyword.span, "`authentication` has no auth_pass")
                    .help("add `auth_pass PASSWORD`, the same on all nodes"),
            ),
            (None, _) if !written("auth_type") => out.push(
                Diagnostic::error(node.keyword.span, "`authentication` has no auth_type")
                    .help("add `auth_type PASS`"),
            ),
            _ => {}
        }
        self.auth_type = auth_type;
        self.raw.auth_pass = auth_pass.map(|p| p.map(|text| Secret(text.into_bytes())));
    }

    /// Version, group and checksum: what depends on the family of the first address.
    fn finish_version(
        &mut self,
        globals: &GlobalDefs,
        checksum_as_v2: Option<Span>,
        out: &mut Vec<Diagnostic>,
    ) {
        let raw = &mut self.raw;
        let family = family_of(raw);
        let group = match family {
            Family::Ipv4 => globals.group4,
            Family::Ipv6 => globals.group6,
        };
        peers::finish(raw, group, out);
        if family == Family::Ipv4 {
            // The global version is for IPv4 only; IPv6 without its own is version 3.
            raw.version = raw.version.or(globals.version);
        }
        if version_of(raw) == 3 && family == Family::Ipv4 {
            let old = self.old_checksum.filter(|_| raw.peers.is_some());
            let as_v2 = checksum_as_v2.map(|span| Spanned::new(V3Checksum::MessageOnly, span));
            raw.checksum = as_v2.or(old.map(|span| Spanned::new(V3Checksum::OldUnicast, span)));
        }
        raw.announce = globals.complete(&raw.announce);
        if let Some(pass) = &raw.auth_pass
            && String::from_utf8_lossy(&pass.value.0).contains('\u{fffd}')
        {
            out.push(
                Diagnostic::error(pass.span, "the password is not UTF-8")
                    .note("its bytes cannot be known for certain")
                    .help("write the file in UTF-8, or use ASCII letters and digits on all nodes"),
            );
        }
    }

    /// keepalived finds an address sensible, and takes part in elections without.
    fn without_addresses(&mut self, out: &mut Vec<Diagnostic>) {
        let strict = self.strict.is_some_and(|on| on.value);
        let raw = &mut self.raw;
        let written = raw.written.contains(WORDS.addresses) || raw.no_addresses.is_some();
        if !raw.addresses.is_empty() || written || strict || version_of(raw) != 2 {
            return;
        }
        let name = &raw.name;
        let text = format!("vrrp_instance {} has no address in virtual_ipaddress", name.value);
        let note = if raw.excluded.is_empty() {
            "it is elected all the same, as in keepalived: what moves is up to its notify scripts"
        } else {
            "its excluded addresses follow the state all the same, as in keepalived; adverts list none"
        };
        out.push(
            Diagnostic::warning(name.span, text)
                .note(note)
                .help(format!("if none is meant, say so: `{}`", WORDS.no_addresses)),
        );
        raw.no_addresses = Some(name.span);
    }

    /// What does not fit the packet follows the state all the same, as in keepalived.
    fn finish_addresses(&mut self, out: &mut Vec<Diagnostic>) {
        self.without_addresses(out);
        let raw = &mut self.raw;
        let family = family_of(raw);
        let most = most_addresses(family);
        let Some(first) = raw.addresses.get(most) else { return };
        let (count, span) = (raw.addresses.len(), first.cidr.span);
        let surplus = raw.addresses.split_off(most);
        raw.excluded.splice(0..0, surplus);
        let text =
            format!("{count} addresses; an advert carries at most {most} {family} addresses");
        out.push(
            Diagnostic::warning(span, text)
                .note(
                    "from here on they follow the state without being advertised, as in keepalived",
                )
                .help("move them to virtual_ipaddress_excluded, on every node"),
        );
    }

    fn finish_state(&mut self, out: &mut Vec<Diagnostic>) {
        let raw = &mut self.raw;
        let Some(state) = self.state.filter(|state| state.value) else {
            raw.preempt = self.nopreempt.map(|span| Spanned::new(false, span));
            return;
        };
        if raw.priority.is_none() {
            out.push(
                Diagnostic::warning(
                    state.span,
                    "`state MASTER` without a priority means priority 255",
                )
                .note("as in keepalived: the instance claims to own the addresses")
                .help("write the priority you mean, higher than the other nodes'"),
            );
            raw.priority = Some(Spanned::new(255, state.span));
        }
        let owner = raw.priority.is_some_and(|p| p.value == 255);
        if self.strict.is_some_and(|on| on.value) && !owner {
            out.push(
                Diagnostic::warning(state.span, "strict mode turns `state MASTER` into BACKUP")
                    .note("only priority 255 may begin as master"),
            );
            raw.preempt = self.nopreempt.map(|span| Spanned::new(false, span));
            return;
        }
        if let Some(nopreempt) = self.nopreempt {
            out.push(
                Diagnostic::warning(nopreempt, "`state MASTER` clears nopreempt")
                    .also(state.span, "MASTER is asked for here")
                    .note("as in keepalived: this node takes over from a lower priority")
                    .help("use `state BACKUP` on all nodes to keep nopreempt"),
            );
        }
        if let Some(delay) = raw.preempt_delay.take_if(|delay| !delay.value.is_zero()) {
            out.push(
                Diagnostic::warning(delay.span, "`state MASTER` clears preempt_delay")
                    .also(state.span, "MASTER is asked for here")
                    .note("as in keepalived: this node takes over from a lower priority at once")
                    .help("use `state BACKUP` on all nodes to keep the delay"),
            );
        }
    }

    /// keepalived's strict mode: RFC 5798 but for no_accept, which would cut the addresses off.
    fn finish_strict(&mut self, out: &mut Vec<Diagnostic>) {
        let raw = &mut self.raw;
        let Some(strict) = self.strict.filter(|on| on.value) else {
            raw.answer_lower = self.lower_prio_no_advert.map(not);
            raw.owner_listens = self.owner_ignores.map(not);
            return;
        };
        raw.strict = Some(Spanned::new(Strict::Rfc5798, strict.span));
        if let Some(pass) = raw.auth_pass.take() {
            self.auth_type = None;
            out.push(
                Diagnostic::warning(pass.span, "strict mode drops the password")
                    .also(strict.span, "strict mode is asked for here")
                    .note("adverts leave without one, and adverts that carry one are refused")
                    .help("remove the strict mode on all nodes to keep the password"),
            );
        }
        if let Some(delay) = raw.preempt_delay.take_if(|delay| !delay.value.is_zero()) {
            out.push(
                Diagnostic::warning(delay.span, "strict mode clears preempt_delay")
                    .also(strict.span, "strict mode is asked for here"),
            );
        }
        if let Some(adverts) = raw.down_timer_adverts.take_if(|n| n.value != 3) {
            out.push(
                Diagnostic::warning(adverts.span, "strict mode sets down_timer_adverts to 3")
                    .also(strict.span, "strict mode is asked for here"),
            );
        }
        raw.advert_before_yield = None;
        raw.announce.lower_repeat = None;
        raw.announce.lower_delay = None;
    }

    fn finish_auth(&mut self, out: &mut Vec<Diagnostic>) {
        let v3 = version_of(&self.raw) == 3;
        if let Some(pass) = self.raw.auth_pass.take_if(|_| v3) {
            out.push(
                Diagnostic::warning(pass.span, "VRRP version 3 carries no password: it is dropped")
                    .note("as in keepalived; adverts are neither signed nor checked"),
            );
        }
        if let Some(pass) = &mut self.raw.auth_pass
            && pass.value.0.len() > AuthV2::MAX_PASS
        {
            let text = format!("auth_pass has {} bytes, the packet carries 8", pass.value.0.len());
            pass.value.0.truncate(AuthV2::MAX_PASS);
            out.push(
                Diagnostic::warning(pass.span, text)
                    .note("its first 8 bytes are used, as keepalived does")
                    .help("write those 8 bytes only; nothing changes on the wire"),
            );
        }
    }

    /// keepalived rounds the interval to what the packet can carry.
    fn finish_interval(&mut self, out: &mut Vec<Diagnostic>) {
        let v3 = version_of(&self.raw) == 3;
        let Some(interval) = &mut self.raw.interval else { return };
        let asked = interval.value;
        let allowed = Duration::from_millis(10)..=Duration::from_secs(255);
        if !allowed.contains(&asked) {
            let text = format!("advert_int must be 0.01 to 255 seconds, not {}", human(asked));
            out.push(Diagnostic::error(interval.span, text));
            self.raw.interval = None;
            return;
        }
        let step: u64 = if v3 { 10_000 } else { 1_000_000 };
        let micros = u64::try_from(asked.as_micros()).unwrap_or(u64::MAX);
        let rounded = Duration::from_micros(((micros + step / 2) / step).max(1) * step);
        if v3 && rounded > Centis::MAX_V3.as_duration() {
            return; // Out of range: the check says so.
        }
        if rounded != asked {
            let text = format!("advert_int {} becomes {}", human(asked), human(rounded));
            let warning = Diagnostic::warning(interval.span, text);
            out.push(if v3 {
                warning.note("VRRP version 3 carries steps of 10 ms")
            } else {
                warning
                    .note("VRRP version 2 carries whole seconds; keepalived rounds as well")
                    .help("use `version 3` on all nodes for steps of 10 ms")
            });
            interval.value = rounded;
        }
    }
}

/// The name of a setting that is there, readable or not.
fn written(node: &Node) -> Option<String> {
    let empty = node.block.as_ref().is_some_and(Vec::is_empty);
    (!empty).then(|| node.keyword.text.clone())
}

fn not(flag: Spanned<bool>) -> Spanned<bool> {
    flag.map(|on| !on)
}
