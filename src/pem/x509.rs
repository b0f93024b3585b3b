//! The few fields of a certificate that are needed where webpki reads none: certificates of version 1,
//! which `openssl x509 -req` makes unless told otherwise, and names that stand in the subject only.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

const BOOLEANS_AND_SUCH: u8 = 0x1f;
const BIT_STRING: u8 = 0x03;
const OBJECT: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const EXPLICIT_VERSION: u8 = 0xa0;
/// 2.5.4.3
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

/// A certificate, each field as it stands in it.
#[derive(Debug)]
pub(crate) struct Certificate<'c> {
    /// 1 or 3.
    pub(crate) version: u8,
    /// What is signed.
    pub(crate) signed: &'c [u8],
    /// By which algorithm, without the header of its sequence.
    pub(crate) algorithm: &'c [u8],
    pub(crate) signature: &'c [u8],
    pub(crate) issuer: &'c [u8],
    pub(crate) subject: &'c [u8],
    /// Both ends, in seconds since 1970.
    validity: (i64, i64),
    /// The key's algorithm, as above.
    pub(crate) key_algorithm: &'c [u8],
    pub(crate) key: &'c [u8],
}

impl<'c> Certificate<'c> {
    /// `None` if it is none.
    pub(crate) fn read(der: &'c [u8]) -> Option<Certificate<'c>> {
        let mut whole = Der(Der(der).take(SEQUENCE)?.inner);
        let signed = whole.take(SEQUENCE)?;
        let algorithm = whole.take(SEQUENCE)?.inner;
        let signature = bits(whole.take(BIT_STRING)?.inner)?;
        let mut fields = Der(signed.inner);
        let version = match fields.take(EXPLICIT_VERSION) {
            Some(explicit) => explicit.inner.last()?.checked_add(1)?,
            None => 1,
        };
        fields.any()?;
        fields.take(SEQUENCE)?;
        let issuer = fields.take(SEQUENCE)?.whole;
        let mut validity = Der(fields.take(SEQUENCE)?.inner);
        let validity = (time(&validity.any()?)?, time(&validity.any()?)?);
        let subject = fields.take(SEQUENCE)?.whole;
        let mut key = Der(fields.take(SEQUENCE)?.inner);
        Some(Certificate {
            version,
            signed: signed.whole,
            algorithm,
            signature,
            issuer,
            subject,
            validity,
            key_algorithm: key.take(SEQUENCE)?.inner,
            key: bits(key.take(BIT_STRING)?.inner)?,
        })
    }

    /// Whether it is valid `now`, in seconds since 1970; else whether it has been.
    pub(crate) fn valid(&self, now: u64) -> Result<(), bool> {
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        let (from, to) = self.validity;
        if now > to {
            return Err(true);
        }
        if now < from { Err(false) } else { Ok(()) }
    }

    /// Whether a common name of its subject is `name`, or a `*.` in the place of its first label.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        let same = |known: &str| match known.strip_prefix("*.") {
            Some(domain) => {
                name.split_once('.').is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(domain))
            }
            None => known.eq_ignore_ascii_case(name),
        };
        let mut names = Vec::new();
        let mut sets = Der(Der(self.subject).take(SEQUENCE).map_or(&[], |subject| subject.inner));
        while let Some(set) = sets.take(SET) {
            let mut pairs = Der(set.inner);
            while let Some(pair) = pairs.take(SEQUENCE) {
                let mut pair = Der(pair.inner);
                let is_name = pair.take(OBJECT).is_some_and(|kind| kind.inner == COMMON_NAME);
                names.extend(pair.any().filter(|_| is_name));
            }
        }
        names.iter().filter_map(|name| std::str::from_utf8(name.inner).ok()).any(same)
    }
}

/// Elements that follow each other.
struct Der<'c>(&'c [u8]);

/// One of them.
struct Element<'c> {
    tag: u8,
    inner: &'c [u8],
    /// With tag and length.
    whole: &'c [u8],
}

impl<'c> Der<'c> {
    /// The next one.
    fn any(&mut self) -> Option<Element<'c>> {
        let [tag, short, rest @ ..] = self.0 else { return None };
        if tag & BOOLEANS_AND_SUCH == BOOLEANS_AND_SUCH {
            return None;
        }
        let (length, rest) = match short {
            0..=0x7f => (usize::from(*short), rest),
            0x81..=0x83 => {
                let (long, rest) = rest.split_at_checked(usize::from(short & 0x7f))?;
                (long.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
            }
            _ => return None,
        };
        let (inner, after) = rest.split_at_checked(length)?;
        let whole = self.0.get(..self.0.len().checked_sub(after.len())?)?;
        self.0 = after;
        Some(Element { tag: *tag, inner, whole })
    }

    /// The next one if it has this tag.
    fn take(&mut self, tag: u8) -> Option<Element<'c>> {
        (self.0.first() == Some(&tag)).then(|| self.any()).flatten()
    }
}

/// A string of whole bytes.
fn bits(inner: &[u8]) -> Option<&[u8]> {
    inner.split_first().filter(|(unused, _)| **unused == 0).map(|(_, bits)| bits)
}

/// Seconds since 1970. A year of two digits lies between 1950 and 2049.
fn time(element: &Element<'_>) -> Option<i64> {
    let text = std::str::from_utf8(element.inner).ok()?;
    let (year, rest) = match (element.tag, text.len()) {
        (UTC_TIME, 13) => {
            let (year, rest) = text.split_at_checked(2)?;
            let year: i16 = year.parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        (_, 15) => {
            let (year, rest) = text.split_at_checked(4)?;
            (year.parse().ok()?, rest)
        }
        _ => return None,
    };
    let part = |at: usize| rest.get(at * 2..at * 2 + 2)?.parse::<i8>().ok();
    let time = DateTime::new(year, part(0)?, part(1)?, part(2)?, part(3)?, part(4)?, 0).ok()?;
    let time: Timestamp = time.to_zoned(TimeZone::UTC).ok()?.timestamp();
    Some(time.as_second())
}

#[cfg(test)]
mod tests {
    use tokio_rustls::rustls::pki_types::CertificateDer;
    use tokio_rustls::rustls::pki_types::pem::PemObject;

    use super::*;

    fn der(name: &str) -> CertificateDer<'static> {
        let path = format!("{}/tests/golden/tls/{name}.pem", env!("CARGO_MANIFEST_DIR"));
        CertificateDer::from_pem_file(path).unwrap()
    }

    #[test]
    fn the_fields_of_a_certificate_are_found() {
        let (server, authority) = (der("server"), der("authority"));
        let (server, authority) =
            (Certificate::read(&server).unwrap(), Certificate::read(&authority).unwrap());
        assert_eq!((server.version, server.issuer), (3, authority.subject));
        assert!(server.is_called("SERVER") && !server.is_called("db.example.org"));
        assert_eq!(server.valid(1_800_000_000), Ok(()));
        assert_eq!(server.valid(1_000_000_000), Err(false));
        let expired = der("expired");
        assert_eq!(Certificate::read(&expired).unwrap().valid(1_800_000_000), Err(true));
        assert_eq!(Certificate::read(&der("version-1")).unwrap().version, 1);
    }

    #[test]
    fn what_is_cut_or_changed_is_never_more_than_wrong() {
        let whole = der("server");
        for end in 0..whole.len() {
            assert!(Certificate::read(&whole[..end]).is_none());
            for byte in [0, 0x7f, 0x80, 0x83, 0xff] {
                let mut changed = whole.to_vec();
                changed[end] = byte;
                if let Some(read) = Certificate::read(&changed) {
                    let _ = (read.valid(0), read.is_called("server"));
                }
            }
        }
    }
}
