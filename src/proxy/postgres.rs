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
    said: Said,
    /// The encryption the client was told to begin.
    agreed: Option<Encryption>,
    /// Whether this server has yet to agree to it too.
    repeating: bool,
    heard: Vec<u8>,
}

/// What the bytes kept are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Said {
    #[default]
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

/// How a client can be told why it is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RefusalPath {
    /// By an ErrorResponse at once.
    Plain,
    /// By one after an answer to its request for encryption.
    AfterAnswer,
    /// By one in the TLS it has begun.
    Tls,
    /// Not at all.
    None,
}

/// What the client's bytes come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Client {
    /// More have to come.
    Unfinished,
    /// A message for a server: these bytes for one that has heard all before them, see
    /// [`Greeting::bytes_for_new_server`] for any other.
    Message(Vec<u8>),
    /// A CancelRequest, see [`Greeting::kept`].
    Cancel,
}

/// What the server's bytes come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Server {
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
    /// It has taken the client: pass on [`Greeting::heard`], and everything from now on.
    Taken,
}

impl Greeting {
    /// How many bytes to read from the client at most. 0: it is the server's turn.
    pub(super) fn wanted(&self) -> usize {
        let have = self.kept.len();
        match self.said {
            Said::Part if have < HEAD => HEAD - have,
            Said::Part => self.length().saturating_sub(have),
            Said::Opaque => KEPT.saturating_sub(have),
            Said::Request(_) | Said::Startup | Said::Cancel => 0,
        }
    }

    /// Whether it is the client's turn.
    pub(super) fn awaits_client(&self) -> bool {
        self.said == Said::Part || self.said == Said::Opaque && self.kept.is_empty()
    }

    fn length(&self) -> usize {
        be32(&self.kept).and_then(|length| usize::try_from(length).ok()).unwrap_or(0)
    }

    /// Take note of bytes from the client.
    pub(super) fn client_said(&mut self, bytes: &[u8]) -> Client {
        self.kept.extend_from_slice(bytes);
        let begun = self.said == Said::Part;
        if begun {
            self.said = self.classify();
        }
        match self.said {
            Said::Part => Client::Unfinished,
            Said::Cancel => Client::Cancel,
            // It will be given everything at once.
            _ if self.repeating => Client::Message(Vec::new()),
            _ if begun => Client::Message(self.kept.clone()),
            Said::Request(_) | Said::Startup | Said::Opaque => Client::Message(bytes.to_vec()),
        }
    }

    fn classify(&self) -> Said {
        if self.agreed.is_some() || self.kept.first() == Some(&TLS_HANDSHAKE) {
            return Said::Opaque;
        }
        let Some(code) = self.kept.get(4..).and_then(be32) else { return Said::Part };
        let length = self.length();
        let whole = self.kept.len() >= length;
        match code {
            SSL if length == HEAD => Said::Request(Encryption::Ssl),
            GSS if length == HEAD => Said::Request(Encryption::Gss),
            CANCEL if (HEAD..=LONGEST).contains(&length) && whole => Said::Cancel,
            _ if code >> 16 == MAJOR && (HEAD..=LONGEST).contains(&length) && whole => {
                Said::Startup
            }
            _ if (code == CANCEL || code >> 16 == MAJOR) && (HEAD..=LONGEST).contains(&length) => {
                Said::Part
            }
            _ => Said::Opaque,
        }
    }

    /// What to send first to a server that knows nothing of this client.
    pub(super) fn bytes_for_new_server(&mut self) -> Vec<u8> {
        self.heard.clear();
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

    /// How the client can be told why it is refused.
    pub(super) fn refusal_path(&self) -> RefusalPath {
        let begins_tls = self.kept.first() == Some(&TLS_HANDSHAKE);
        match (self.agreed, self.said) {
            (None, Said::Request(_)) => RefusalPath::AfterAnswer,
            (None, Said::Opaque) if begins_tls => RefusalPath::Tls,
            (Some(Encryption::Ssl), _) => RefusalPath::Tls,
            (Some(Encryption::Gss), _) | (None, Said::Opaque) => RefusalPath::None,
            (None, Said::Part | Said::Startup | Said::Cancel) => RefusalPath::Plain,
        }
    }

    /// Take note of bytes from the server. After [`Server::Agreed`] and [`Server::Answer`] it has
    /// nothing more to say before the client does.
    pub(super) fn server_said(&mut self, bytes: &[u8]) -> Server {
        self.heard.extend_from_slice(bytes);
        let Some(&first) = self.heard.first() else { return Server::Unfinished };
        if self.repeating {
            return self.repeated(first);
        }
        match self.said {
            Said::Request(encryption) if first == encryption.agreement() || first == b'N' => {
                if self.heard.len() > 1 {
                    return Server::Taken;
                }
                self.agreed = (first != b'N').then_some(encryption);
                self.kept.clear();
                self.heard.clear();
                // Whatever comes after an agreement is no business of ours.
                self.said = if self.agreed.is_some() { Said::Opaque } else { Said::Part };
                Server::Answer(first)
            }
            Said::Request(_) | Said::Startup => self.messages(),
            Said::Part | Said::Cancel | Said::Opaque => Server::Taken,
        }
    }

    /// The answer to a request for encryption that the client does not know to be asked again.
    fn repeated(&mut self, first: u8) -> Server {
        match self.agreed {
            Some(encryption) if first == encryption.agreement() && self.heard.len() == 1 => {
                self.repeating = false;
                self.heard.clear();
                Server::Agreed
            }
            _ if first == b'E' => match self.messages() {
                Server::Taken => Server::Disagreed,
                other => other,
            },
            _ => Server::Disagreed,
        }
    }

    /// The messages heard up to the first that decides. A server that trusts the client goes on by
    /// itself until it is ready: a shutdown in between ends what has not begun.
    fn messages(&self) -> Server {
        let mut rest = self.heard.as_slice();
        let mut trusted = false;
        loop {
            let Some((&kind, after)) = rest.split_first() else { return Server::Unfinished };
            let goes_on = match kind {
                // NegotiateProtocolVersion comes before what decides.
                b'E' | b'v' => true,
                b'R' => !trusted,
                // ParameterStatus, BackendKeyData, NoticeResponse.
                b'S' | b'K' | b'N' => trusted,
                _ => false,
            };
            if !goes_on || self.heard.len() > LONGEST_ANSWER {
                return Server::Taken;
            }
            let Some(length) = be32(after).and_then(|l| usize::try_from(l).ok()) else {
                return Server::Unfinished;
            };
            // A server too old for lengths, or none at all, speaks for itself.
            if !(4..LONGEST_ANSWER).contains(&length) {
                return Server::Taken;
            }
            let Some(body) = after.get(4..length) else { return Server::Unfinished };
            if kind == b'E' {
                return not_now(body).map_or(Server::Taken, Server::NotNow);
            }
            if kind == b'R' {
                // AuthenticationOk; anything else asks the client.
                trusted = body == [0; 4];
                if !trusted {
                    return Server::Taken;
                }
            }
            rest = after.get(length..).unwrap_or_default();
        }
    }

    /// What the server has said, for the client.
    pub(super) fn heard(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.heard)
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
    fn say(greeting: &mut Greeting, mut bytes: &[u8]) -> Client {
        let mut outcome = Client::Unfinished;
        while greeting.wanted() > 0 && !bytes.is_empty() {
            let (now, later) = bytes.split_at(greeting.wanted().min(bytes.len()));
            outcome = greeting.client_said(now);
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
            assert_eq!(greeting.client_said(&[*byte]), Client::Unfinished);
        }
        let last = &message[message.len() - 1..];
        assert_eq!(greeting.client_said(last), Client::Message(message.clone()));
        assert_eq!(greeting.wanted(), 0);
        assert_eq!(greeting.bytes_for_new_server(), message);
        let refusal = error_response("57P03", "the database system is starting up", None);
        for byte in &refusal[..refusal.len() - 1] {
            assert_eq!(greeting.server_said(&[*byte]), Server::Unfinished);
        }
        let words = "57P03 the database system is starting up".to_owned();
        assert_eq!(greeting.server_said(&[0]), Server::NotNow(words));
        assert_eq!(greeting.bytes_for_new_server(), message);
        assert_eq!(greeting.server_said(b"R\0\0\0\x08\0\0\0\x03"), Server::Taken);
        assert_eq!(greeting.heard(), b"R\0\0\0\x08\0\0\0\x03");
    }

    #[test]
    fn a_server_that_trusts_the_client_has_taken_it_when_it_is_ready() {
        let trusts = b"R\0\0\0\x08\0\0\0\0S\0\0\0\x08a\0b\0K\0\0\0\x0c\0\0\0\x01\0\0\0\x02";
        let mut greeting = Greeting::default();
        say(&mut greeting, &startup());
        for byte in trusts {
            assert_eq!(greeting.server_said(&[*byte]), Server::Unfinished);
        }
        let shutdown = error_response("57P01", "terminating connection", None);
        let words = "57P01 terminating connection".to_owned();
        assert_eq!(greeting.server_said(&shutdown), Server::NotNow(words));
        // The next one does take it.
        assert_eq!(greeting.bytes_for_new_server(), startup());
        assert_eq!(greeting.server_said(trusts), Server::Unfinished);
        assert_eq!(greeting.server_said(b"Z\0\0\0\x05I"), Server::Taken);
        assert_eq!(greeting.heard(), [&trusts[..], b"Z\0\0\0\x05I"].concat());
        // What it refuses is its own to say.
        greeting.bytes_for_new_server();
        greeting.server_said(trusts);
        let refusal = error_response("3D000", "no such database", None);
        assert_eq!(greeting.server_said(&refusal), Server::Taken);
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
            let answer = greeting.server_said(&error_response(code, "m", Some("d")));
            assert_eq!(answer == Server::Taken, passed, "{code}: {answer:?}");
        }
        // The old protocol's error has no length: "Ecould not fork".
        let mut greeting = Greeting::default();
        say(&mut greeting, &startup());
        assert_eq!(greeting.server_said(b"Ecould not fork\0"), Server::Taken);
    }

    #[test]
    fn what_comes_before_authentication_is_held_back_with_it() {
        let mut greeting = Greeting::default();
        say(&mut greeting, &startup());
        let negotiate = b"v\0\0\0\x0c\0\x03\0\0\0\0\0\0";
        assert_eq!(greeting.server_said(negotiate), Server::Unfinished);
        let asks = b"R\0\0\0\x08\0\0\0\x03";
        assert_eq!(greeting.server_said(asks), Server::Taken);
        assert_eq!(greeting.heard(), [negotiate.as_slice(), asks].concat());
    }

    #[test]
    fn a_refused_encryption_is_not_asked_for_again() {
        let mut greeting = Greeting::default();
        let gss = Encryption::Gss.request();
        assert_eq!(say(&mut greeting, &gss), Client::Message(gss.to_vec()));
        assert_eq!(greeting.server_said(b"N"), Server::Answer(b'N'));
        let ssl = Encryption::Ssl.request();
        assert_eq!(say(&mut greeting, &ssl), Client::Message(ssl.to_vec()));
        assert_eq!(greeting.refusal_path(), RefusalPath::AfterAnswer);
        assert_eq!(greeting.bytes_for_new_server(), Encryption::Ssl.request());
        assert_eq!(greeting.server_said(b"N"), Server::Answer(b'N'));
        assert_eq!(say(&mut greeting, &startup()), Client::Message(startup()));
        assert_eq!(greeting.bytes_for_new_server(), startup());
    }

    #[test]
    fn an_agreed_encryption_is_agreed_with_the_next_server_first() {
        let mut greeting = Greeting::default();
        say(&mut greeting, &Encryption::Ssl.request());
        assert_eq!(greeting.server_said(b"S"), Server::Answer(b'S'));
        assert_eq!(greeting.refusal_path(), RefusalPath::Tls);
        let hello = b"\x16\x03\x01hel".as_slice();
        assert_eq!(greeting.client_said(hello), Client::Message(hello.to_vec()));
        assert_eq!(greeting.client_said(b"l"), Client::Message(b"l".to_vec()));
        assert_eq!(greeting.bytes_for_new_server(), Encryption::Ssl.request());
        assert_eq!(greeting.client_said(b"o"), Client::Message(Vec::new()));
        assert_eq!(greeting.server_said(b"S"), Server::Agreed);
        assert_eq!(greeting.kept(), b"\x16\x03\x01hello");
        assert_eq!(greeting.server_said(b"\x16\x03\x03"), Server::Taken);

        assert_eq!(greeting.bytes_for_new_server(), Encryption::Ssl.request());
        assert_eq!(greeting.server_said(b"N"), Server::Disagreed);
        greeting.bytes_for_new_server();
        let refusal = error_response("57P03", "no", None);
        assert_eq!(greeting.server_said(&refusal), Server::NotNow("57P03 no".to_owned()));
    }

    #[test]
    fn direct_tls_and_what_is_no_postgresql_pass_as_they_are() {
        let hello: &[u8] = b"\x16\x03\x01\x02\0client hello";
        for bytes in [hello, b"GET / HTTP/1.1\r\n", &[0, 0, 0, 8, 0, 2, 0, 0]] {
            let mut greeting = Greeting::default();
            assert!(matches!(say(&mut greeting, bytes), Client::Message(_)));
            assert_eq!(
                greeting.refusal_path(),
                if bytes == hello { RefusalPath::Tls } else { RefusalPath::None }
            );
            assert_eq!(greeting.bytes_for_new_server(), bytes);
            assert_eq!(greeting.server_said(b"?"), Server::Taken);
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
            assert_eq!(say(&mut greeting, &message), Client::Cancel);
            assert_eq!(greeting.kept(), message);
        }
    }
}
