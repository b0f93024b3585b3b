//! Clients there is no server for: their connections are closed, with the reason if they can be told.

use super::postgres::{RefusalPath, error_response};
use super::refusal::Refusal;
use super::relay::Conn;
use super::session::{CloseReason, Handshake, NoServer};
use super::shared::ListenerShared;
use super::worker::Worker;
use crate::pool::explain;
use crate::sys::tcp;
use crate::text::counted;

/// SQLSTATEs of what a client is told: cannot_connect_now, too_many_connections.
const CANNOT_CONNECT_NOW: &str = "57P03";
const TOO_MANY: &str = "53300";

impl Worker {
    /// Close a connection there is no server for, with the reason if the client can be told.
    pub(super) fn turn_away(
        &self,
        shared: &ListenerShared,
        client: Conn,
        handshake: Option<Box<Handshake>>,
        close_reason: &CloseReason,
    ) {
        let Some(handshake) = handshake else { return tcp::reset(client.fd) };
        let Some(greeting) = &handshake.greeting else {
            // The end of the stream would look like an answer.
            return tcp::reset(client.fd);
        };
        let reason = self.reason(shared, &handshake, close_reason);
        let encrypted = match greeting.refusal_path() {
            RefusalPath::Plain => {
                let _ = tcp::send(&client.fd, &reason, true);
                return tcp::finish(&client.fd);
            }
            RefusalPath::None => return tcp::reset(client.fd),
            RefusalPath::AfterAnswer => false,
            RefusalPath::Tls => true,
        };
        // The worker watches it no more: a descriptor that lives on would be reported for ever.
        self.poller.forget(&client.fd);
        let said = greeting.kept().to_vec();
        let listener = shared.settings();
        let refusal = Refusal { client: client.fd, listener, said, encrypted, reason };
        if let Err(refusal) = self.refuser.refuse(refusal) {
            tcp::reset(refusal.client);
        }
    }

    /// The reason as an ErrorResponse.
    fn reason(
        &self,
        shared: &ListenerShared,
        handshake: &Handshake,
        close_reason: &CloseReason,
    ) -> Vec<u8> {
        let waited = self.now.duration_since(handshake.since).as_secs_f32();
        let view = self.locals.get(&shared.id).and_then(|local| local.published.as_ref());
        let (code, message) = match (close_reason, handshake.no_server) {
            (CloseReason::EncryptionRefused, _) => {
                let words = "the server refuses the encryption that another has agreed to";
                (CANNOT_CONNECT_NOW, words.to_owned())
            }
            (CloseReason::QueueFull, _) => {
                let most = shared.settings().options.queue_max;
                let wait = if most == 1 { "waits" } else { "wait" };
                (TOO_MANY, format!("{} {wait} for a server already", counted(most, "client")))
            }
            (_, NoServer::Full) => {
                (TOO_MANY, format!("all servers are full (waited {waited:.1} s for a place)"))
            }
            _ => {
                let why = match view {
                    Some(published) => explain(&published.view),
                    None => "no server is known yet".to_owned(),
                };
                (CANNOT_CONNECT_NOW, format!("{why} (waited {waited:.1} s)"))
            }
        };
        let failure = handshake.failure.as_ref();
        let detail = failure.map(|failure| format!("The last try: {failure}."));
        error_response(code, &message, detail.as_deref())
    }
}
