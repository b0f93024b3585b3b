//! What a new view means for the sessions there are, and for those that wait.

use std::fmt::Write as _;

use super::view::{Admission, PoolView, ServerId};

/// What becomes of a session when a new view is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionPolicy {
    /// It goes on. Its server may well take no new ones.
    Keep,
    /// It ends at once, with a reset to the client.
    End(Cause),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Its server is down, or has not confirmed itself in time.
    Down,
    /// Its server is not what the listener's clients need any more.
    RoleLost,
    /// Its server is not in the view: nobody would notice if it changed its role.
    Removed,
    /// Its server is a backup, and one it stood in for is back.
    Returned,
}

/// What becomes of the sessions a server has.
///
/// Role loss and an unreachable server end them, whatever holds a server back from new sessions
/// does not. A server that leaves the configuration keeps its sessions as long as it is published
/// as draining.
#[must_use]
pub fn session_policy(view: &PoolView, server: ServerId) -> SessionPolicy {
    let Some(server) = view.server(server) else { return SessionPolicy::End(Cause::Removed) };
    match server.admission {
        Admission::Down(_) => SessionPolicy::End(Cause::Down),
        Admission::Up | Admission::Drain(_) if view.admits(server.role) => {
            let returned = view.end_backups && server.backup && view.has_active();
            if returned { SessionPolicy::End(Cause::Returned) } else { SessionPolicy::Keep }
        }
        Admission::Up | Admission::Drain(_) => SessionPolicy::End(Cause::RoleLost),
    }
}

/// Why there is no server for a client, in one line: "no usable primary: pg-1 is down (no answer
/// for 8 s), pg-2 is a replica".
#[must_use]
pub fn explain(view: &PoolView) -> String {
    let mut text = format!("no usable {}", view.wants);
    if view.servers.is_empty() && view.unresolved.is_empty() {
        text.push_str(": the pool has no servers");
    }
    let mut separator = ": ";
    for server in &view.servers {
        text.push_str(std::mem::replace(&mut separator, ", "));
        let name = &server.name;
        // Writing to a String cannot fail.
        let _ = match &server.admission {
            Admission::Down(why) => write!(text, "{name} is down ({why})"),
            Admission::Drain(why) => write!(text, "{name} is not used ({why})"),
            Admission::Up if !view.admits(server.role) => {
                write!(text, "{name} is {}", server.role)
            }
            Admission::Up if server.weight.get() == 0 => write!(text, "{name} has weight 0"),
            Admission::Up => write!(text, "{name} is usable but did not take the connection"),
        };
    }
    for why in &view.unresolved {
        text.push_str(std::mem::replace(&mut separator, ", "));
        text.push_str(why);
    }
    text
}
