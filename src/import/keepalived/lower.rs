//! The tree to [`Raw`]: the walk over blocks that all of them share, and `global_defs`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use super::buffers::Policy;
use super::groups;
use super::instance;
use super::keywords::{Block, Body, Class, Keyword};
use super::lexer::Word;
use super::notify::{Tellers, told};
use super::own;
use super::process;
use super::statics::{self, TrackGroups};
use super::tracking;
use super::tree::Node;
use super::values::{boolean, ip, number_in, plain, seconds, text};
use crate::config::announce::RawAnnounce;
use crate::config::diag::{Diagnostic, Span, Spanned, nearest, quoted};
use crate::config::key::inherit;
use crate::config::raw::{Raw, RawGlobals, RawInterface, RawPacing};

/// Lowers all statements of all files.
pub(crate) fn lower(nodes: &[Node], raw: &mut Raw, out: &mut Vec<Diagnostic>) {
    let mut globals = GlobalDefs::default();
    let mut instances = Vec::new();
    let mut sync_groups = Vec::new();
    let mut statics = Vec::new();
    let mut track_groups = TrackGroups::default();
    walk(Block::Root, nodes, out, |keyword, node, out| match keyword.name {
        "global_defs" => globals.read(node, out),
        "vrrp_instance" => instances.push(node),
        "vrrp_sync_group" => sync_groups.push(node),
        "static_ipaddress" => statics.push(node),
        "track_group" => track_groups.define(node, out),
        "garp_group" => raw.pacing.push(garp_group(node, out)),
        "interface_up_down_delays" => interfaces(node, raw, out),
        name if process::set(&mut globals.own.process, name, node, out) => {}
        _ => tracking::define(keyword.name, node, &mut raw.trackers, out),
    });
    if let Some(strict) = globals.strict.filter(|on| on.value) {
        out.push(instance::strict_warning("vrrp_strict", strict.span));
    }
    for node in &instances {
        let before = out.len();
        if let Some(router) = instance::lower(node, &globals, out) {
            out.iter_mut().skip(before).for_each(|found| found.within(&router.name));
            raw.routers.push(router);
        }
    }
    track_groups.check(&instances, out);
    for node in statics {
        let interface = globals.default_interface.as_ref();
        raw.static_addresses.extend(statics::lower(node, &track_groups, interface, out));
    }
    for node in sync_groups {
        raw.groups.extend(groups::sync_group(node, &raw.routers, &globals, out));
    }
    globals.finish(raw, out);
}

/// `interface_up_down_delays`: `IF DOWN [UP]`, one per line.
fn interfaces(node: &Node, raw: &mut Raw, out: &mut Vec<Diagnostic>) {
    for line in node.block.as_deref().unwrap_or_default() {
        let before = out.len();
        let name = Spanned::new(line.keyword.text.clone(), line.keyword.span);
        match (line.args.as_slice(), &line.block) {
            ([down, up @ ..], None) if up.len() <= 1 => raw.interfaces.push(RawInterface {
                down_delay: seconds(down, out),
                up_delay: up.first().and_then(|up| seconds(up, out)),
                ..RawInterface::new(name)
            }),
            _ => {
                let text = "an interface and one or two delays are expected here";
                out.push(
                    Diagnostic::error(line.span(), text)
                        .help("one interface per line, for example `eth0 0.5 2`"),
                );
            }
        }
        can_go(line, before, out);
    }
}

/// What a line about the host alone got wrong is no reason to serve nobody, unless a brace is missing
/// and it is another block's line.
pub(crate) fn can_go(line: &Node, before: usize, out: &mut [Diagnostic]) {
    if line.block.is_none() && Block::Root.find(&line.keyword.text).is_none() {
        out.iter_mut().skip(before).for_each(Diagnostic::alone);
    }
}

/// `garp_group`: interfaces behind one switch.
fn garp_group(node: &Node, out: &mut Vec<Diagnostic>) -> RawPacing {
    let mut group = RawPacing::new(node.keyword.span);
    let name = |word: &Word| Spanned::new(word.text.clone(), word.span);
    let nodes = node.block.as_deref().unwrap_or_default();
    walk(Block::GarpGroup, nodes, out, |keyword, node, out| {
        let before = out.len();
        match (keyword.name, node.args.first()) {
            (own, _) if plain(&mut group, RawPacing::KEYS, own, node, out) => {}
            ("interface", Some(word)) => group.interfaces.push(name(word)),
            ("interfaces", _) => {
                let lines = node.block.as_deref().unwrap_or_default();
                group.interfaces.extend(lines.iter().flat_map(Node::words).map(name));
            }
            (name, _) => debug_assert!(false, "{name} is in the table but not read"),
        }
        out.iter_mut().skip(before).for_each(Diagnostic::alone);
    });
    group
}

/// Visits the statements of a block: looks each up, checks its shape, says what has no effect, and
/// hands the rest to `visit`.
pub(crate) fn walk<'n>(
    block: Block,
    nodes: &'n [Node],
    out: &mut Vec<Diagnostic>,
    mut visit: impl FnMut(&'static Keyword, &'n Node, &mut Vec<Diagnostic>),
) {
    let mut seen: BTreeMap<&'static str, Span> = BTreeMap::new();
    for node in nodes {
        let Some(keyword) = block.keyword(&node.keyword) else {
            out.push(unknown(block, node));
            continue;
        };
        own::placed(block, keyword, node, out);
        match keyword.class {
            Class::Quiet => {
                let text = format!("`{}`: {}", keyword.name, keyword.text);
                out.push(Diagnostic::remark(node.keyword.span, text));
                continue;
            }
            Class::Refused(..) | Class::Apart(..) if is_empty_list(keyword.name, node) => {
                let text = format!("`{}` is empty: there is nothing to do", keyword.name);
                out.push(Diagnostic::remark(node.keyword.span, text));
                continue;
            }
            Class::Refused(why, instead) | Class::Apart(why, instead) => {
                let text = format!("`{}` is not supported", keyword.name);
                let mut error = Diagnostic::error(node.keyword.span, text).note(why).help(instead);
                if let Some(word) = node.args.first().filter(|word| takes_no_boolean(keyword, word))
                {
                    error = error.note(format!(
                        "keepalived takes {} for the name of the new interface, and uses a virtual MAC",
                        quoted(&word.text)
                    ));
                }
                let apart = matches!(keyword.class, Class::Apart(..));
                out.push(if apart { error.droppable() } else { error });
                continue;
            }
            Class::Warned(text) => {
                out.push(Diagnostic::no_effect(node.keyword.span, keyword.name, text));
                continue;
            }
            Class::Honoured => {}
        }
        if !shape(keyword, node, out) {
            continue;
        }
        // `state` has a rule of its own; what may be repeated adds up, as blocks do.
        let once = match keyword.name {
            "state" | "include_check" | "header" | "tag" => false,
            name => keyword.body == Body::No || name == "authentication",
        };
        if once && let Some(first) = seen.insert(keyword.name, node.keyword.span) {
            let text = format!("`{}` is given twice, the last one counts", keyword.name);
            out.push(Diagnostic::warning(node.keyword.span, text).also(first, "given before"));
        }
        visit(keyword, node, out);
    }
}

/// A block of routes or rules without any: generators write them.
fn is_empty_list(name: &str, node: &Node) -> bool {
    let lists = ["virtual_routes", "virtual_rules", "static_routes", "static_rules"];
    lists.contains(&name) && node.block.as_ref().is_some_and(Vec::is_empty)
}

/// `use_vmac false` turns virtual MACs on.
fn takes_no_boolean(keyword: &Keyword, word: &Word) -> bool {
    keyword.name == "use_vmac" && matches!(word.text.as_str(), "false" | "off" | "no")
}

/// Whether a statement has the arguments and the block its keyword asks for.
fn shape(keyword: &Keyword, node: &Node, out: &mut Vec<Diagnostic>) -> bool {
    let (least, most) = keyword.args;
    let name = keyword.name;
    match (keyword.body, &node.block) {
        (Body::Yes, None) => {
            out.push(
                Diagnostic::error(node.keyword.span, format!("`{name}` needs a block"))
                    .help(format!("write `{name} {{ … }}`")),
            );
            return false;
        }
        (Body::No, Some(_)) => {
            out.push(Diagnostic::error(node.span(), format!("`{name}` takes no block")));
            return false;
        }
        _ => {}
    }
    if node.args.len() < least {
        let what = if keyword.body == Body::Yes { "a name" } else { "a value" };
        let text = format!("`{name}` needs {what}");
        out.push(Diagnostic::error(node.keyword.span, text));
        return false;
    }
    if let Some(surplus) = node.args.get(most) {
        let error = if name == "auth_pass" {
            // The rest of the line may be half of the password.
            Diagnostic::error(node.keyword.span, "`auth_pass` takes one word")
                .help("put a password with blanks in double quotes")
        } else {
            let text = format!("{} is left over after `{name}`", quoted(&surplus.text));
            Diagnostic::error(surplus.span, text).note(match most {
                0 => format!("`{name}` takes no value"),
                1 => format!("`{name}` takes one value"),
                n => format!("`{name}` takes {n} values"),
            })
        };
        out.push(error);
        return false;
    }
    true
}

/// What all nodes must agree on, and what they serve: without it they do not hear each other, so a
/// slip in one of these words is never passed over.
const VITAL: &[&str] = &[
    "vrrp_instance",
    "interface",
    "virtual_router_id",
    "version",
    "vrrp_version",
    "vrrp_strict",
    "strict_mode",
    "advert_int",
    "authentication",
    "auth_type",
    "auth_pass",
    "auth_hmac",
    "unicast_peer",
    "unicast_src_ip",
    "mcast_src_ip",
    "mcast_dst_ip",
    "vrrp_mcast_group4",
    "vrrp_mcast_group6",
    "v3_checksum_as_v2",
    "virtual_ipaddress",
    "virtual_ipaddress_excluded",
    "net_namespace",
    "use_vmac",
    "vrf",
];

/// What is wrong with a keyword nobody knows here.
pub(crate) fn unknown(block: Block, node: &Node) -> Diagnostic {
    if node.keyword.is_own {
        return own::unknown(block, node);
    }
    let name = &node.keyword.text;
    let span = node.keyword.span;
    let homes: Vec<String> = Block::ALL
        .iter()
        .filter(|home| !matches!(home, Block::Address | Block::Peer | Block::Preprocessor))
        .filter(|home| home.find(name).is_some())
        .map(|home| format!("`{home}`"))
        .collect();
    if !homes.is_empty() {
        let place = if block == Block::Root {
            "outside every block".to_owned()
        } else {
            format!("in `{block}`")
        };
        let error = Diagnostic::error(span, format!("`{name}` does not belong {place}"));
        if Block::Root.find(name).is_some() && block != Block::Root {
            return error.help("it stands outside every block: is a `}` missing above?");
        }
        let error = error.help(format!("it belongs in {}", homes.join(" or ")));
        return if VITAL.contains(&name.as_str()) { error } else { error.droppable() };
    }
    let place = if block == Block::Root { String::new() } else { format!(" in `{block}`") };
    let here = nearest(name, block.keywords().iter().map(|k| k.name));
    let error = Diagnostic::error(span, format!("unknown keyword {}{place}", quoted(name)))
        .note("keepalived says so, too, and runs without it");
    if name.starts_with("//") {
        return error.help("a comment begins with `#` or `!`");
    }
    let known = Block::ALL.iter().flat_map(|home| home.keywords().iter().map(|k| k.name));
    let elsewhere = nearest(name, known);
    let meant = here.or(elsewhere);
    let error =
        if meant.is_some_and(|near| VITAL.contains(&near)) { error } else { error.droppable() };
    if here.is_some() {
        return error.suggest(here);
    }
    let home = meant.and_then(|known| Block::ALL.iter().find(|home| home.find(known).is_some()));
    match (meant, home) {
        (Some(known), Some(home)) => {
            error.help(format!("did you mean `{known}`, which belongs in `{home}`?"))
        }
        _ => error,
    }
}

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
    default_interface: Option<Spanned<String>>,
    min_garp: Option<Spanned<bool>>,
    own: RawGlobals,
    pub(crate) buffers: Policy,
    pub(crate) tellers: Tellers,
}

impl GlobalDefs {
    fn read(&mut self, node: &Node, out: &mut Vec<Diagnostic>) {
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

    fn finish(self, raw: &mut Raw, out: &mut Vec<Diagnostic>) {
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
