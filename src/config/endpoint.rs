//! Where something answers: hosts, endpoints and URLs.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::str::FromStr;

use http::uri::PathAndQuery;
use thiserror::Error;

/// A host and a TCP port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    /// The host.
    pub host: Host,
    /// The port, 1..=65535.
    pub port: NonZeroU16,
}

impl Endpoint {
    /// Reads `HOST`, `HOST:PORT`, `[IPv6]` or `[IPv6]:PORT`; a bare IPv6 address has no port.
    ///
    /// # Errors
    /// [`BadEndpoint`] if the host or the port is not one, or there is no port and no default.
    pub fn parse(text: &str, default: Option<NonZeroU16>) -> Result<Endpoint, BadEndpoint> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, port) =
                    rest.split_once(']').ok_or_else(|| BadEndpoint::Host(text.to_owned()))?;
                let host = host.parse().map(Host::Address);
                (host.map_err(|_| BadEndpoint::Host(text.to_owned()))?, port)
            }
            None if text.matches(':').count() > 1 => (text.parse()?, ""),
            None => match text.find(':') {
                Some(colon) => {
                    let (host, port) = text.split_at(colon);
                    (host.parse()?, port)
                }
                None => (text.parse()?, ""),
            },
        };
        let port = match port.strip_prefix(':') {
            Some(port) => Some(port.parse().map_err(|_| BadEndpoint::Port(port.to_owned()))?),
            None if port.is_empty() => default,
            None => return Err(BadEndpoint::Host(text.to_owned())),
        };
        Ok(Endpoint { host, port: port.ok_or(BadEndpoint::NoPort)? })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]:{}", self.port),
            host => write!(f, "{host}:{}", self.port),
        }
    }
}

/// A host by address or by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Host {
    /// Its address.
    Address(IpAddr),
    /// Its name, resolved in the background while checks run.
    Name(HostName),
}

impl FromStr for Host {
    type Err = BadEndpoint;
    fn from_str(text: &str) -> Result<Host, BadEndpoint> {
        if let Ok(address) = text.parse() {
            return Ok(Host::Address(address));
        }
        HostName::try_from(text.to_owned()).map(Host::Name)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Address(address) => address.fmt(f),
            Host::Name(name) => name.0.fmt(f),
        }
    }
}

/// A host name: 1..=253 bytes; labels of letters, digits, `-` and `_` between dots. Four numbers
/// are no name but a misspelt address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostName(String);

impl HostName {
    /// The name as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for HostName {
    type Error = BadEndpoint;
    fn try_from(name: String) -> Result<HostName, BadEndpoint> {
        let labels = || name.strip_suffix('.').unwrap_or(&name).split('.');
        let is_label = |label: &str| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
        };
        let last_is_number =
            labels().next_back().is_some_and(|l| l.bytes().all(|b| b.is_ascii_digit()));
        if name.len() > 253 || !labels().all(is_label) || last_is_number {
            return Err(BadEndpoint::Host(name));
        }
        Ok(HostName(name))
    }
}

/// A text that names no endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadEndpoint {
    /// Not a host.
    #[error("`{0}` is neither an address nor a host name")]
    Host(String),
    /// Not a port.
    #[error("the port must be 1 to 65535, not `{0}`")]
    Port(String),
    /// None given.
    #[error("the port is missing")]
    NoPort,
}

/// What an `http://` or `https://` URL says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// It is `https`.
    pub tls: bool,
    /// Host, and port or the scheme's own.
    pub endpoint: Endpoint,
    /// Path and query; `/` if there is none.
    pub path: PathAndQuery,
}

impl FromStr for Url {
    type Err = BadUrl;
    fn from_str(text: &str) -> Result<Url, BadUrl> {
        let url: http::Uri = text.parse().map_err(|_| BadUrl::Syntax(text.to_owned()))?;
        let (tls, port) = match url.scheme_str() {
            Some("http") => (false, NonZeroU16::new(80)),
            Some("https") => (true, NonZeroU16::new(443)),
            _ => return Err(BadUrl::Scheme(text.to_owned())),
        };
        let authority = url.authority().map_or("", |authority| authority.as_str());
        if authority.contains('@') {
            return Err(BadUrl::Credentials);
        }
        let endpoint = Endpoint::parse(authority, port)?;
        let path = url.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
        Ok(Url { tls, endpoint, path })
    }
}

/// A text that is no URL a check can use.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadUrl {
    /// No URL at all.
    #[error("`{0}` is not a URL")]
    Syntax(String),
    /// Neither http nor https.
    #[error("`{0}` does not begin with http:// or https://")]
    Scheme(String),
    /// `user:password@`: what it means is a header.
    #[error("a user name or password in a URL would be shown wherever the URL is")]
    Credentials,
    /// The host or the port.
    #[error(transparent)]
    Endpoint(#[from] BadEndpoint),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_read_in_every_form_people_write() {
        let web = NonZeroU16::new(80);
        let read = |text| Endpoint::parse(text, web).map(|e| e.to_string());
        assert_eq!(read("10.0.0.1:8008").unwrap(), "10.0.0.1:8008");
        assert_eq!(read("10.0.0.1").unwrap(), "10.0.0.1:80");
        assert_eq!(read("db-1.example.org:5432").unwrap(), "db-1.example.org:5432");
        assert_eq!(read("[2001:db8::1]:443").unwrap(), "[2001:db8::1]:443");
        assert_eq!(read("[2001:db8::1]").unwrap(), "[2001:db8::1]:80");
        assert_eq!(read("2001:db8::1").unwrap(), "[2001:db8::1]:80");
        assert_eq!(Endpoint::parse("localhost", None), Err(BadEndpoint::NoPort));
        assert_eq!(read("localhost:0"), Err(BadEndpoint::Port("0".to_owned())));
        assert_eq!(read("localhost:70000"), Err(BadEndpoint::Port("70000".to_owned())));
        for bad in ["", ":80", "10.0.0.300", "a b", "[::1", "[::1]80", "[name]:1", "-a", "a..b"] {
            assert!(matches!(read(bad), Err(BadEndpoint::Host(_))), "{bad}");
        }
    }

    #[test]
    fn a_url_says_scheme_endpoint_and_path() {
        let read = |text: &str| {
            text.parse::<Url>().map(|u| (u.tls, u.endpoint.to_string(), u.path.to_string()))
        };
        let url = |tls, endpoint: &str, path: &str| Ok((tls, endpoint.to_owned(), path.to_owned()));
        assert_eq!(read("http://10.0.0.1"), url(false, "10.0.0.1:80", "/"));
        assert_eq!(read("https://db:8008/primary?lag=1"), url(true, "db:8008", "/primary?lag=1"));
        assert_eq!(read("https://[::1]/x"), url(true, "[::1]:443", "/x"));
        assert_eq!(read("http://u:p@db/"), Err(BadUrl::Credentials));
        assert!(matches!(read("ftp://db/"), Err(BadUrl::Scheme(_))));
        assert!(matches!(read("db:8008"), Err(BadUrl::Scheme(_) | BadUrl::Syntax(_))));
        assert!(matches!(read("http://"), Err(BadUrl::Syntax(_))));
        assert!(matches!(read("http://db:0/"), Err(BadUrl::Endpoint(BadEndpoint::Port(_)))));
    }
}
