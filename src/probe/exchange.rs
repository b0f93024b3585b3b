//! One HTTP/1 request and its answer, read as HAProxy's checks read it.
//!
//! No more is read than is needed: where the status alone counts, reading ends with the headers,
//! and errors after them do not matter. An answer counts even if the server sends it before it has
//! read the request.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::connect::broken;
use super::tls::said_by_tls;
use super::{Deadline, Failure};
use crate::track::outcome::Cause;

/// How much a status line and its headers may be.
const HEAD: usize = 16 * 1024;
/// How much the line before a chunk may be.
const CHUNK_LINE: usize = 256;

#[derive(Clone, Copy, Debug)]
pub(super) enum Wanted<'w> {
    Status,
    /// The beginning of its body, up to this text or so many bytes.
    Text(&'w str, usize),
    /// The beginning of its body, up to so many bytes.
    Body(usize),
}

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// Its `Date`: the time by the server's clock.
    pub(super) date: Option<String>,
    /// What has come of it, at most what was wanted.
    pub(super) body: Vec<u8>,
    /// Whether all that was wanted has come.
    pub(super) complete: bool,
}

/// Sends a request that fits any buffer, and reads the answer.
pub(super) async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    request: &[u8],
    wanted: Wanted<'_>,
    address: &str,
    deadline: Deadline,
) -> Result<Answer, Failure> {
    let what = format!("waiting for the answer of {address}");
    let send = async {
        stream.write_all(request).await?;
        stream.flush().await
    };
    // A server may answer and close without reading the request.
    let sent = deadline.step(&what, send).await?;
    let mut received = Vec::with_capacity(1024);
    let (head, rest) = loop {
        match Head::read(&received) {
            Ok(Some(found)) => break found,
            Ok(None) if received.len() > HEAD => {
                return Err(no_http(address, "its headers do not end"));
            }
            Ok(None) => {}
            Err(why) => return Err(no_http(address, why)),
        }
        match deadline.step(&what, stream.read_buf(&mut received)).await? {
            Ok(0) => return Err(cut(address, sent.err())),
            Ok(_) => {}
            Err(error) => return Err(cut(address, Some(error))),
        }
    };
    let mut answer =
        Answer { status: head.status, date: head.date, body: Vec::new(), complete: true };
    let most = match wanted {
        Wanted::Status => return Ok(answer),
        Wanted::Text(_, most) | Wanted::Body(most) => most,
    };
    let mut body = Body { framing: head.framing, line: Vec::new() };
    let mut next = received.split_off(rest);
    loop {
        let over = body.take(&next, &mut answer.body);
        answer.body.truncate(most);
        let found = match wanted {
            Wanted::Text(text, _) => contains(&answer.body, text.as_bytes()),
            Wanted::Status | Wanted::Body(_) => false,
        };
        if over || found || answer.body.len() >= most {
            return Ok(answer);
        }
        next.clear();
        match deadline.step(&what, stream.read_buf(&mut next)).await {
            Ok(Ok(count)) if count > 0 => {}
            // What has come is the answer, however it ended.
            end => {
                let ended = matches!(end, Ok(Ok(0))) || matches!(&end, Ok(Err(e)) if is_end(e));
                answer.complete = ended && matches!(body.framing, Framing::Open);
                return Ok(answer);
            }
        }
    }
}

pub(super) fn contains(bytes: &[u8], text: &[u8]) -> bool {
    text.is_empty() || bytes.windows(text.len()).any(|window| window == text)
}

fn no_http(address: &str, why: &str) -> Failure {
    Failure::new(Cause::WrongAnswer, format!("{address} does not speak HTTP: {why}"))
}

fn is_end(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::UnexpectedEof
}

/// The connection ended before the headers did.
fn cut(address: &str, error: Option<io::Error>) -> Failure {
    match error {
        Some(error) if said_by_tls(&error).is_some() => {
            Failure::new(Cause::Tls, said_by_tls(&error).unwrap_or_default())
        }
        Some(error) if !is_end(&error) => broken(address, &error),
        _ => {
            let text = format!("{address} closed the connection before its answer was complete");
            Failure::new(Cause::Unreachable, text)
        }
    }
}

#[derive(Debug)]
struct Head {
    status: u16,
    date: Option<String>,
    framing: Framing,
}

/// Where a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    None,
    /// After so many bytes more.
    Length(u64),
    /// After a chunk of no length; this many bytes of the present one are to come.
    Chunks(Chunk),
    /// With the connection.
    Open,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Chunk {
    /// Its length comes next.
    Size,
    Data(u64),
    /// The line after its data.
    End,
}

impl Head {
    /// The head, and where the body begins; `None` while the head is incomplete.
    fn read(bytes: &[u8]) -> Result<Option<(Head, usize)>, &'static str> {
        let begins = b"HTTP/1.";
        let known = bytes.len().min(begins.len());
        if bytes.get(..known) != begins.get(..known) {
            return Err("no status line");
        }
        let mut at = 0;
        let mut status = None;
        let mut framing = Framing::Open;
        let mut length: Option<u64> = None;
        let mut date = None;
        while let Some(end) = bytes.get(at..).and_then(|rest| rest.iter().position(|b| *b == b'\n'))
        {
            let line = bytes.get(at..at + end).unwrap_or_default();
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            at += end + 1;
            let Some(known) = status else {
                status = Some(status_of(line).ok_or("no status line")?);
                continue;
            };
            if line.is_empty() {
                let framing = match (known, framing, length) {
                    (204 | 304, ..) => Framing::None,
                    (_, Framing::Open, Some(0)) => Framing::None,
                    (_, Framing::Open, Some(length)) => Framing::Length(length),
                    (_, framing, _) => framing,
                };
                return Ok(Some((Head { status: known, date, framing }, at)));
            }
            // A line that begins with a blank goes on with the header before it.
            if line.first().is_some_and(|first| b" \t".contains(first)) {
                continue;
            }
            let (name, value) = header(line).ok_or("a line of its headers is none")?;
            if name.eq_ignore_ascii_case(b"content-length") {
                let number = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                let number = number.ok_or("no Content-Length it could mean")?;
                if length.replace(number).is_some_and(|other| other != number) {
                    return Err("two Content-Lengths");
                }
            } else if name.eq_ignore_ascii_case(b"date") {
                date = std::str::from_utf8(value).ok().map(str::to_owned);
            } else if name.eq_ignore_ascii_case(b"transfer-encoding")
                && value.to_ascii_lowercase().ends_with(b"chunked")
            {
                framing = Framing::Chunks(Chunk::Size);
            }
        }
        Ok(None)
    }
}

/// `HTTP/1.0 200 OK`; the reason may be missing.
fn status_of(line: &[u8]) -> Option<u16> {
    let text = std::str::from_utf8(line.get(..line.len().min(64))?).ok();
    let text = text.or_else(|| std::str::from_utf8(line.get(..12)?).ok())?;
    let (version, rest) = text.split_once(' ')?;
    let minor = version.strip_prefix("HTTP/1.")?;
    let status = rest.trim_start_matches(' ').split(' ').next()?;
    let digits =
        |text: &str, count| text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(minor, 1) || !digits(status, 3) {
        return None;
    }
    status.parse().ok()
}

/// A name of the characters allowed for it, and a value.
fn header(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = (line.get(..colon)?, line.get(colon + 1..)?);
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    (!name.is_empty() && name.iter().all(fits)).then(|| (name, value.trim_ascii()))
}

struct Body {
    framing: Framing,
    /// The beginning of the line before a chunk.
    line: Vec<u8>,
}

impl Body {
    /// Append the bytes of the body to `out`. Returns whether the body is over.
    fn take(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) -> bool {
        loop {
            let part = |left: u64| {
                let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX).min(left);
                let data = bytes.split_at_checked(usize::try_from(length).unwrap_or(usize::MAX));
                (data, left - length)
            };
            match self.framing {
                Framing::None => return true,
                Framing::Open => {
                    out.extend_from_slice(bytes);
                    return false;
                }
                Framing::Length(left) => {
                    let (data, left) = part(left);
                    out.extend_from_slice(data.map_or(&[], |(data, _)| data));
                    self.framing = Framing::Length(left);
                    return left == 0;
                }
                Framing::Chunks(Chunk::Data(left)) => {
                    let (data, left) = part(left);
                    let (data, after) = data.unwrap_or_default();
                    out.extend_from_slice(data);
                    bytes = after;
                    if left > 0 {
                        self.framing = Framing::Chunks(Chunk::Data(left));
                        return false;
                    }
                    self.framing = Framing::Chunks(Chunk::End);
                }
                Framing::Chunks(chunk) => {
                    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
                        self.line.extend_from_slice(bytes);
                        // What is no chunk has no end either.
                        return self.line.len() > CHUNK_LINE;
                    };
                    let (line, after) = bytes.split_at_checked(end + 1).unwrap_or_default();
                    self.line.extend_from_slice(line);
                    bytes = after;
                    let line = std::mem::take(&mut self.line);
                    if chunk == Chunk::End {
                        self.framing = Framing::Chunks(Chunk::Size);
                        continue;
                    }
                    let size = line.split(|byte| *byte == b';').next().unwrap_or_default();
                    let size = std::str::from_utf8(size.trim_ascii()).ok();
                    match size.and_then(|size| u64::from_str_radix(size, 16).ok()) {
                        None | Some(0) => return true,
                        Some(size) => self.framing = Framing::Chunks(Chunk::Data(size)),
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Result<Option<u16>, &'static str> {
        Head::read(text.as_bytes()).map(|found| found.map(|(head, _)| head.status))
    }

    #[test]
    fn the_status_line_is_haproxys() {
        for (text, status) in [
            ("HTTP/1.0 200 OK\r\n\r\n", Some(200)),
            ("HTTP/1.1 503\r\n\r\n", Some(503)),
            ("HTTP/1.0 200 OK\n\n", Some(200)),
            ("HTTP/1.1 200 Schön\r\nA: b\r\n c\r\n\r\n", Some(200)),
            ("HTTP/1.0 200 OK\r\n", None),
            ("HTTP/1.0 200 OK\r\nServer: x\r\n", None),
            ("HTT", None),
            ("", None),
        ] {
            assert_eq!(head(text), Ok(status), "{text:?}");
        }
        for wrong in [
            "SSH-2.0-OpenSSH_9.2p1\r\n",
            "http/1.0 200 OK\r\n\r\n",
            "HTTP/2 200 OK\r\n\r\n",
            "HTTP/1.0 2000 OK\r\n\r\n",
            "HTTP/1.0 ok\r\n\r\n",
            "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent Type: a\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        ] {
            assert!(head(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_body_is_put_together_however_it_is_cut() {
        let text = b"5;x=y\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\n\r\n";
        for size in 1..=text.len() {
            let framing = Framing::Chunks(Chunk::Size);
            let (mut body, mut out) = (Body { framing, line: Vec::new() }, Vec::new());
            let over = text.chunks(size).any(|part| body.take(part, &mut out));
            assert_eq!((over, out.as_slice()), (true, &b"hello world"[..]), "by {size}");
            let (mut body, mut out) =
                (Body { framing: Framing::Length(5), line: Vec::new() }, Vec::new());
            let over = b"helloXX".chunks(size).any(|part| body.take(part, &mut out));
            assert_eq!((over, out.as_slice()), (true, &b"hello"[..]), "by {size}");
        }
    }
}
