//! The first messages of a PostgreSQL connection: what can still be given to another server.
//!
//! Until a server has begun to authenticate the client, or is ready for one it trusts, nothing but the
//! client's own first message has happened. It is kept, and another server that is given it answers
//! the same. Sources: the
//! PostgreSQL documentation, "Message Flow" (start-up, SSL and GSSAPI session encryption, cancel)
//! and "Message Formats".
//!
//! ```text
//! client: [GSSENCRequest] [SSLRequest] StartupMessage         server: 'N'|'G'  'N'|'S'  R… | E…
//! client: TLS ClientHello, at once (PostgreSQL 17) or after 'S'
//! client: CancelRequest, alone
//! ```

/// Request codes: the place of the protocol version in a StartupMessage.
const CANCEL: u32 = 80_877_102;
const SSL: u32 = 80_877_103;
const GSS: u32 = 80_877_104;
/// The major version whose answers are understood.
const MAJOR: u32 = 3;

const HEAD: usize = 8;
/// The longest StartupMessage a server accepts (MAX_STARTUP_PACKET_LENGTH).
const LONGEST: usize = 10_000;
/// The first byte of a TLS record that carries a handshake.
const TLS_HANDSHAKE: u8 = 0x16;
/// What is kept of a message that is not understood, such as a TLS ClientHello.
const KEPT: usize = 16 * 1024;
/// The longest answer that is waited for to its end.
const LONGEST_ANSWER: usize = 16 * 1024;

/// What a server that is going or coming says: admin_shutdown, crash_shutdown, cannot_connect_now.
const NOT_NOW: [&[u8]; 3] = [b"57P01", b"57P02", b"57P03"];

/// A client's first messages, and the server's answers to them.
#[derive(Debug, Default)]
pub(super) struct Greeting {
    kept: Vec<u8>,
    message: FirstMessage,
    /// The encryption the client was told to begin.
    agreed: Option<Encryption>,
    /// Whether this server has yet to agree to it too.
    repeating: bool,
    received: Vec<u8>,
}

/// What the client's message is, as far as it has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum FirstMessage {
    #[default]
    /// More of it is to come.
    Part,
    Request(Encryption),
    Startup,
    Cancel,
    /// Something only the server understands.
    Opaque,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encryption {
    Ssl,
    Gss,
}

impl Encryption {
    fn request(self) -> [u8; HEAD] {
        let code = match self {
            Encryption::Ssl => SSL,
            Encryption::Gss => GSS,
        };
        let [a, b, c, d] = code.to_be_bytes();
        [0, 0, 0, 8, a, b, c, d]
    }

    fn agreement(self) -> u8 {
        match self {
            Encryption::Ssl => b'S',
            Encryption::Gss => b'G',
        }
    }
}

/// What the first bytes of a message ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request {
    Ssl,
    Gss,
    /// Something else, of so many bytes in all.
    Other(usize),
}

pub(super) fn request(head: [u8; HEAD]) -> Request {
    let [a, b, c, d, e, f, g, h] = head;
    match u32::from_be_bytes([e, f, g, h]) {
        SSL => Request::Ssl,
        GSS => Request::Gss,
        _ => Request::Other(usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(0)),
    }
}

/// How an error reaches the client: drivers ignore one that comes before the answer to their
/// request for encryption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RefusalPath {
    /// As an ErrorResponse at once.
    Plain,
    /// After an answer to its request for encryption.
    AfterAnswer,
    /// Inside the TLS it has begun.
    Tls,
    /// Not at all.
    None,
}

/// What is to be done after bytes of the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ClientProgress {
    /// More have to come.
    Unfinished,
    /// A message for a server: these bytes for a server that has received all before them, see
    /// [`Greeting::bytes_for_new_server`] for any other.
    Message(Vec<u8>),
    /// A CancelRequest, see [`Greeting::kept`].
    Cancel,
}

/// What is to be done after bytes of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ServerReply {
    /// More have to come.
    Unfinished,
    /// The answer to a request for encryption, for the client, whose next message comes.
    Answer(u8),
    /// It agrees to what the client was told: give it [`Greeting::kept`].
    Agreed,
    /// It cannot take anyone now, in its own words. Nobody has seen that but us.
    NotNow(String),
    /// It does not agree to what the client was told.
    Disagreed,
    /// It has taken the client: pass on [`Greeting::received`], and everything from now on.
    Taken,
}

impl Greeting {
    /// How many bytes to read from the client at most; 0 while the server is to answer.
    pub(super) fn wanted(&self) -> usize {
        let have = self.kept.len();
        match self.message {
            FirstMessage::Part if have < HEAD => HEAD - have,
            FirstMessage::Part => self.length().saturating_sub(have),
            FirstMessage::Opaque => KEPT.saturating_sub(have),
            FirstMessage::Request(_) | FirstMessage::Startup | FirstMessage::Cancel => 0,
        }
    }

    /// Whether the client is to send something next.
    pub(super) fn awaits_client(&self) -> bool {
        self.message == FirstMessage::Part
            || self.message == FirstMessage::Opaque && self.kept.is_empty()
    }

    fn length(&self) -> usize {
        be32(&self.kept).and_then(|length| usize::try_from(length).ok()).unwrap_or(0)
    }

    /// Take note of bytes from the client.
    pub(super) fn client_sent(&mut self, bytes: &[u8]) -> ClientProgress {
        self.kept.extend_from_slice(bytes);
        let begun = self.message == FirstMessage::Part;
        if begun {
            self.message = self.classify();
        }
        match self.message {
            FirstMessage::Part => ClientProgress::Unfinished,
            FirstMessage::Cancel => ClientProgress::Cancel,
            // It will be given everything at once.
            _ if self.repeating => ClientProgress::Message(Vec::new()),
            _ if begun => ClientProgress::Message(self.kept.clone()),
            FirstMessage::Request(_) | FirstMessage::Startup | FirstMessage::Opaque => {
                ClientProgress::Message(bytes.to_vec())
            }
        }
    }

    fn classify(&self) -> FirstMessage {
        if self.agreed.is_some() || self.kept.first() == Some(&TLS_HANDSHAKE) {
            return FirstMessage::Opaque;
        }
        let Some(code) = self.kept.get(4..).and_then(be32) else { return FirstMessage::Part };
        let length = self.length();
        let whole = self.kept.len() >= length;
        match code {
            SSL if length == HEAD => FirstMessage::Request(Encryption::Ssl),
            GSS if length == HEAD => FirstMessage::Request(Encryption::Gss),
            CANCEL if (HEAD..=LONGEST).contains(&length) && whole => FirstMessage::Cancel,
            _ if code >> 16 == MAJOR && (HEAD..=LONGEST).contains(&length) && whole => {
                FirstMessage::Startup
            }
            _ if (code == CANCEL || code >> 16 == MAJOR) && (HEAD..=LONGEST).contains(&length) => {
                FirstMessage::Part
            }
            _ => FirstMessage::Opaque,
        }
    }

    /// What to send first to a server that knows nothing of this client.
    pub(super) fn bytes_for_new_server(&mut self) -> Vec<u8> {
        self.received.clear();
        self.repeating = self.agreed.is_some();
        match self.agreed {
            Some(encryption) => encryption.request().to_vec(),
            None => self.kept.clone(),
        }
    }

    /// The client's message that no server has answered.
    pub(super) fn kept(&self) -> &[u8] {
        &self.kept
    }

    /// The same, for a server that is to be given it as it is.
    pub(super) fn into_kept(self) -> Vec<u8> {
        self.kept
    }

    /// See [`RefusalPath`].
    pub(super) fn refusal_path(&self) -> RefusalPath {
        let begins_tls = self.kept.first() == Some(&TLS_HANDSHAKE);
        match (self.agreed, self.message) {
            (None, FirstMessage::Request(_)) => RefusalPath::AfterAnswer,
            (None, FirstMessage::Opaque) if begins_tls => RefusalPath::Tls,
            (Some(Encryption::Ssl), _) => RefusalPath::Tls,
            (Some(Encryption::Gss), _) | (None, FirstMessage::Opaque) => RefusalPath::None,
            (None, FirstMessage::Part | FirstMessage::Startup | FirstMessage::Cancel) => {
                RefusalPath::Plain
            }
        }
    }

    /// Take note of bytes from the server. After [`ServerReply::Agreed`] and
    /// [`ServerReply::Answer`] it has nothing more to say before the client does.
    pub(super) fn server_sent(&mut self, bytes: &[u8]) -> ServerReply {
        self.received.extend_from_slice(bytes);
        let Some(&first) = self.received.first() else { return ServerReply::Unfinished };
        if self.repeating {
            return self.repeated(first);
        }
        match self.message {
            FirstMessage::Request(encryption)
                if first == encryption.agreement() || first == b'N' =>
            {
                if self.received.len() > 1 {
                    return ServerReply::Taken;
                }
                self.agreed = (first != b'N').then_some(encryption);
                self.kept.clear();
                self.received.clear();
                // Whatever comes after an agreement is no business of ours.
                self.message =
                    if self.agreed.is_some() { FirstMessage::Opaque } else { FirstMessage::Part };
                ServerReply::Answer(first)
            }
            FirstMessage::Request(_) | FirstMessage::Startup => self.messages(),
            FirstMessage::Part | FirstMessage::Cancel | FirstMessage::Opaque => ServerReply::Taken,
        }
    }

    /// The answer to a request for encryption that the client does not know to be asked again.
    fn repeated(&mut self, first: u8) -> ServerReply {
        match self.agreed {
            Some(encryption) if first == encryption.agreement() && self.received.len() == 1 => {
                self.repeating = false;
                self.received.clear();
                ServerReply::Agreed
            }
            _ if first == b'E' => match self.messages() {
                ServerReply::Taken => ServerReply::Disagreed,
                other => other,
            },
            _ => ServerReply::Disagreed,
        }
    }

    /// The messages received, up to the first that decides. A server that trusts the client goes on by
    /// itself until it is ready: a shutdown in between ends what has not begun.
    fn messages(&self) -> ServerReply {
        let mut rest = self.received.as_slice();
        let mut trusted = false;
        loop {
            let Some((&kind, after)) = rest.split_first() else { return ServerReply::Unfinished };
            let goes_on = match kind {
                // NegotiateProtocolVersion comes before what decides.
                b'E' | b'v' => true,
                b'R' => !trusted,
                // ParameterStatus, BackendKeyData, NoticeResponse.
                b'S' | b'K' | b'N' => trusted,
                _ => false,
            };
            if !goes_on || self.received.len() > LONGEST_ANSWER {
                return ServerReply::Taken;
            }
            let Some(length) = be32(after).and_then(|l| usize::try_from(l).ok()) else {
                return ServerReply::Unfinished;
            };
            // A server too old for lengths, or none at all, speaks for itself.
            if !(4..LONGEST_ANSWER).contains(&length) {
                return ServerReply::Taken;
            }
            let Some(body) = after.get(4..length) else { return ServerReply::Unfinished };
            if kind == b'E' {
                return not_now(body).map_or(ServerReply::Taken, ServerReply::NotNow);
            }
            if kind == b'R' {
                // AuthenticationOk; anything else asks the client.
                trusted = body == [0; 4];
                if !trusted {
                    return ServerReply::Taken;
                }
            }
            rest = after.get(length..).unwrap_or_default();
        }
    }

    /// Take what the server has sent, for the client.
    pub(super) fn received(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.received)
    }
}

/// The words of an ErrorResponse of a server that cannot take anyone now.
fn not_now(body: &[u8]) -> Option<String> {
    let (mut code, mut message) = (None, None);
    for field in body.split(|byte| *byte == 0) {
        match field.split_first() {
            Some((b'C', value)) => code = Some(value),
            Some((b'M', value)) => message = Some(value),
            _ => {}
        }
    }
    let code = code.filter(|code| NOT_NOW.contains(code))?;
    let (code, message) = (String::from_utf8_lossy(code), message.unwrap_or_default());
    Some(format!("{code} {}", String::from_utf8_lossy(message)))
}

fn be32(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.first_chunk()?))
}

/// An ErrorResponse that ends a connection before it has begun.
pub(super) fn error_response(code: &str, message: &str, detail: Option<&str>) -> Vec<u8> {
    let mut body = Vec::new();
    let fields = [
        (b'S', Some("FATAL")),
        (b'V', Some("FATAL")),
        (b'C', Some(code)),
        (b'M', Some(message)),
        (b'D', detail),
    ];
    for (kind, value) in fields {
        let Some(value) = value else { continue };
        body.push(kind);
        body.extend(value.bytes().filter(|byte| *byte != 0));
        body.push(0);
    }
    body.push(0);
    let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
    let mut message = vec![b'E'];
    message.extend(length.to_be_bytes());
    message.extend(body);
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    fn startup() -> Vec<u8> {
        let body = b"\0\x03\0\0user\0alice\0\0";
        let mut message = u32::try_from(body.len() + 4).unwrap().to_be_bytes().to_vec();
        message.extend(body);
        message
    }

    /// Give it bytes as a socket would, no more than it wants.
    fn say(greeting: &mut Greeting, mut bytes: &[u8]) -> ClientProgress {
        let mut outcome = ClientProgress::Unfinished;
        while greeting.wanted() > 0 && !bytes.is_empty() {
            let (now, later) = bytes.split_at(greeting.wanted().min(bytes.len()));
            outcome = greeting.client_sent(now);
            bytes = later;
        }
        assert_eq!(bytes, b"", "read more than it wanted");
        outcome
    }

    #[test]
    fn a_startup_message_is_kept_until_it_is_answered() {
        let mut greeting = Greeting::default();
        let message = startup();
        for byte in &message[..message.len() - 1] {
            assert_eq!(greeting.client_sent(&[*byte]), ClientProgress::Unfinished);
        }
        let last = &message[message.len() - 1..];
        assert_eq!(greeting.client_sent(last), ClientProgress::Message(message.clone()));
        assert_eq!(greeting.wanted(), 0);
        assert_eq!(greeting.bytes_for_new_server(), message);
        let refusal = error_response("57P03", "the database system is starting up", None);
        for byte in &refusal[..refusal.len() - 1] {
            assert_eq!(greeting.server_sent(&[*byte]), ServerReply::Unfinished);
        }
        let words = "57P03 the database system is starting up".to_owned();
        assert_eq!(greeting.server_sent(&[0]), ServerReply::NotNow(words));
        assert_eq!(greeting.bytes_for_new_server(), message);
        assert_eq!(greeting.server_sent(b"R\0\0\0\x08\0\0\0\x03"), ServerReply::Taken);
        assert_eq!(greeting.received(), b"R\0\0\0\x08\0\0\0\x03");
    }

    #[test]
    fn a_server_that_trusts_the_client_has_taken_it_when_it_is_ready() {
        let trusts = b"R\0\0\0\x08\0\0\0\0S\0\0\0\x08a\0b\0K\0\0\0\x0c\0\0\0\x01\0\0\0\x02";
        let mut greeting = Greeting::default();
        say(&mut greeting, &startup());
        for byte in trusts {
            assert_eq!(greeting.server_sent(&[*byte]), ServerReply::Unfinished);
        }
        let shutdown = error_response("57P01", "terminating connection", None);
        let words = "57P01 terminating connection".to_owned();
        assert_eq!(greeting.server_sent(&shutdown), ServerReply::NotNow(words));
        // The next one does take it.
        assert_eq!(greeting.bytes_for_new_server(), startup());
        assert_eq!(greeting.server_sent(trusts), ServerReply::Unfinished);
        assert_eq!(greeting.server_sent(b"Z\0\0\0\x05I"), ServerReply::Taken);
        assert_eq!(greeting.received(), [&trusts[..], b"Z\0\0\0\x05I"].concat());
        // What it refuses is its own to say.
        greeting.bytes_for_new_server();
        greeting.server_sent(trusts);
        let refusal = error_response("3D000", "no such database", None);
        assert_eq!(greeting.server_sent(&refusal), ServerReply::Taken);
    }

    #[test]
    fn only_a_server_that_comes_or_goes_is_not_passed_on() {
        for (code, passed) in [
            ("57P01", false),
            ("57P02", false),
            ("57P03", false),
            ("28P01", true),
            ("53300", true),
            ("57P04", true),
        ] {
            let mut greeting = Greeting::default();
            say(&mut greeting, &startup());
            let answer = greeting.server_sent(&error_response(code, "m", Some("d")));
            assert_eq!(answer == ServerReply::Taken, passed, "{code}: {answer:?}");
        }
        // The old protocol's error has no length: "Ecould not fork".
        let mut greeting = Greeting::default();
        say(&mut greeting, &startup());
        assert_eq!(greeting.server_sent(b"Ecould not fork\0"), ServerReply::Taken);
    }

    #[test]
    fn what_comes_before_authentication_is_held_back_with_it() {
        let mut greeting = Greeting::default();
        say(&mut greeting, &startup());
        let negotiate = b"v\0\0\0\x0c\0\x03\0\0\0\0\0\0";
        assert_eq!(greeting.server_sent(negotiate), ServerReply::Unfinished);
        let asks = b"R\0\0\0\x08\0\0\0\x03";
        assert_eq!(greeting.server_sent(asks), ServerReply::Taken);
        assert_eq!(greeting.received(), [negotiate.as_slice(), asks].concat());
    }

    #[test]
    fn a_refused_encryption_is_not_asked_for_again() {
        let mut greeting = Greeting::default();
        let gss = Encryption::Gss.request();
        assert_eq!(say(&mut greeting, &gss), ClientProgress::Message(gss.to_vec()));
        assert_eq!(greeting.server_sent(b"N"), ServerReply::Answer(b'N'));
        let ssl = Encryption::Ssl.request();
        assert_eq!(say(&mut greeting, &ssl), ClientProgress::Message(ssl.to_vec()));
        assert_eq!(greeting.refusal_path(), RefusalPath::AfterAnswer);
        assert_eq!(greeting.bytes_for_new_server(), Encryption::Ssl.request());
        assert_eq!(greeting.server_sent(b"N"), ServerReply::Answer(b'N'));
        assert_eq!(say(&mut greeting, &startup()), ClientProgress::Message(startup()));
        assert_eq!(greeting.bytes_for_new_server(), startup());
    }

    #[test]
    fn an_agreed_encryption_is_agreed_with_the_next_server_first() {
        let mut greeting = Greeting::default();
        say(&mut greeting, &Encryption::Ssl.request());
        assert_eq!(greeting.server_sent(b"S"), ServerReply::Answer(b'S'));
        assert_eq!(greeting.refusal_path(), RefusalPath::Tls);
        let hello = b"\x16\x03\x01hel".as_slice();
        assert_eq!(greeting.client_sent(hello), ClientProgress::Message(hello.to_vec()));
        assert_eq!(greeting.client_sent(b"l"), ClientProgress::Message(b"l".to_vec()));
        assert_eq!(greeting.bytes_for_new_server(), Encryption::Ssl.request());
        assert_eq!(greeting.client_sent(b"o"), ClientProgress::Message(Vec::new()));
        assert_eq!(greeting.server_sent(b"S"), ServerReply::Agreed);
        assert_eq!(greeting.kept(), b"\x16\x03\x01hello");
        assert_eq!(greeting.server_sent(b"\x16\x03\x03"), ServerReply::Taken);

        assert_eq!(greeting.bytes_for_new_server(), Encryption::Ssl.request());
        assert_eq!(greeting.server_sent(b"N"), ServerReply::Disagreed);
        greeting.bytes_for_new_server();
        let refusal = error_response("57P03", "no", None);
        assert_eq!(greeting.server_sent(&refusal), ServerReply::NotNow("57P03 no".to_owned()));
    }

    #[test]
    fn direct_tls_and_what_is_no_postgresql_pass_as_they_are() {
        let hello: &[u8] = b"\x16\x03\x01\x02\0client hello";
        for bytes in [hello, b"GET / HTTP/1.1\r\n", &[0, 0, 0, 8, 0, 2, 0, 0]] {
            let mut greeting = Greeting::default();
            assert!(matches!(say(&mut greeting, bytes), ClientProgress::Message(_)));
            assert_eq!(
                greeting.refusal_path(),
                if bytes == hello { RefusalPath::Tls } else { RefusalPath::None }
            );
            assert_eq!(greeting.bytes_for_new_server(), bytes);
            assert_eq!(greeting.server_sent(b"?"), ServerReply::Taken);
        }
    }

    #[test]
    fn a_cancel_request_is_told_apart_whatever_the_length_of_its_key() {
        for key in [4_usize, 32, 256] {
            let mut message = u32::try_from(12 + key).unwrap().to_be_bytes().to_vec();
            message.extend(CANCEL.to_be_bytes());
            message.extend([7, 7, 7, 7]);
            message.extend(vec![9; key]);
            let mut greeting = Greeting::default();
            assert_eq!(say(&mut greeting, &message), ClientProgress::Cancel);
            assert_eq!(greeting.kept(), message);
        }
    }
}
