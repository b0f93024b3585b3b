//! Priorities and preemption: settings that work, but perhaps not as intended.

use super::weights::Failure;
use super::{NodeSide, RouterPair, better, preempts};
use crate::config::Preempt;
use crate::config::diag::Diagnostic;
use crate::text::human;

pub(super) fn check(pair: &RouterPair<'_>, out: &mut Vec<Diagnostic>) {
    priorities(pair, out);
    preemption(pair, out);
}

fn priorities(pair: &RouterPair<'_>, out: &mut Vec<Diagnostic>) {
    let (a, b) = (&pair.a, &pair.b);
    let ours = a.priority();
    if ours != b.priority() {
        return;
    }
    let here = a.at(a.raw.priority.as_ref(), a.priority_words());
    let there = b.at(b.raw.priority.as_ref(), b.priority_words());
    if ours.is_owner() {
        out.push(
            pair.error("both nodes claim to own the addresses (priority 255)", here, there)
                .note("an owner becomes master at once, without listening first")
                .help("give both nodes different priorities from 1 to 254"),
        );
        return;
    }
    let tie = match better(pair) {
        Some(side) => format!("{} has the higher address", pair.node(side).node_name),
        None => "the higher source address on the network decides".to_owned(),
    };
    out.push(
        pair.warning("the priorities are equal", here, there)
            .note(format!("whoever serves goes on; if both start together, {tie}"))
            .help("if one node should serve when it can, give it a higher priority"),
    );
}

/// Settings of preemption that have no effect: only those of the node with the higher priority count.
fn preemption(pair: &RouterPair<'_>, out: &mut Vec<Diagnostic>) {
    let Some(side) = preempts(pair) else { return };
    let (own, other) = (pair.node(side), pair.node(side.other()));
    let no_effect = |what: &str, node: &NodeSide<'_>, at| {
        let text = format!("{}: {what} has no effect on {}", pair.name(), node.node_name);
        let (better, better_at) =
            (own.node_name, own.at(own.raw.priority.as_ref(), own.priority_words()));
        Diagnostic::warning(at, text).also(better_at.0, better_at.1).note(format!(
            "only the node with the higher priority preempts, and {better} does so: it takes the \
             addresses back"
        ))
    };
    let falls = |failure: &Failure<'_>| failure.priority.is_some_and(|p| p < other.priority());
    match (other.router.preempt, &other.raw.preempt, &other.raw.preempt_delay) {
        // It then has the effect that a failing check changes nothing, which is said elsewhere.
        (Preempt::Never, _, _) if own.failures().iter().any(falls) => {}
        (Preempt::Never, Some(at), _) => {
            let word = other.raw.words.no_preempt;
            out.push(
                no_effect(word, other, at.span)
                    .help(format!("set it on {}, or on both nodes", own.node_name)),
            );
        }
        (Preempt::After(delay), _, Some(at))
            if !delay.is_zero() && other.router.preempt != own.router.preempt =>
        {
            let what = format!("a preempt_delay of {}", human(delay));
            out.push(no_effect(&what, other, at.span).help(format!("set it on {}", own.node_name)));
        }
        _ => {}
    }
}
