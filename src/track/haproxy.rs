//! What HAProxy's statistics say about one of its proxies.

use csv::{ReaderBuilder, StringRecord};

use crate::config::checks::{HaproxyCheck, ProxySide};

/// Whether the proxy serves, according to the CSV of `show stat` or of the statistics page.
///
/// A frontend serves unless it is stopped: one at its connection limit (FULL) still works for those
/// connected. A backend serves with enough servers up; HAProxy itself calls one UP as long as there
/// is any, or if it needs none.
///
/// # Errors
/// Why not.
pub fn judge(check: &HaproxyCheck, statistics: &[u8]) -> Result<String, String> {
    let mut reader = ReaderBuilder::new().flexible(true).from_reader(statistics);
    let header = reader.headers().map_err(|error| format!("no statistics: {error}"))?.clone();
    let column =
        |name: &str| header.iter().position(|title| title.trim_start_matches("# ") == name);
    let (Some(proxy), Some(server), Some(status)) =
        (column("pxname"), column("svname"), column("status"))
    else {
        return Err("these are not HAProxy's statistics".to_owned());
    };
    let (active, backup) = (column("act"), column("bck"));
    let mut serving = Vec::new();
    for row in reader.records() {
        let row = row.map_err(|error| format!("broken statistics: {error}"))?;
        let field = |at: usize| row.get(at).unwrap_or_default();
        if field(proxy) != check.proxy {
            continue;
        }
        match (field(server), check.side) {
            ("FRONTEND", ProxySide::Frontend | ProxySide::Every) => {
                serving.push(frontend(field(status))?);
            }
            ("BACKEND", ProxySide::Backend | ProxySide::Every) => {
                let up = number(&row, active).saturating_add(number(&row, backup));
                serving.push(backend(field(status), up, check.min_servers.get())?);
            }
            _ => {}
        }
    }
    if serving.is_empty() {
        let side = match check.side {
            ProxySide::Frontend => "frontend",
            ProxySide::Backend => "backend",
            ProxySide::Every => "proxy",
        };
        return Err(format!("HAProxy has no {side} {}", check.proxy));
    }
    Ok(serving.join(", "))
}

fn number(row: &StringRecord, column: Option<usize>) -> u32 {
    column.and_then(|at| row.get(at)?.parse().ok()).unwrap_or(0)
}

fn frontend(status: &str) -> Result<String, String> {
    match status {
        "OPEN" | "FULL" => Ok(format!("frontend {status}")),
        _ => Err(format!("frontend {status}")),
    }
}

fn backend(status: &str, up: u32, least: u32) -> Result<String, String> {
    let text = match up {
        0 => format!("backend {status}"),
        1 => format!("backend {status} with 1 server"),
        _ => format!("backend {status} with {up} servers"),
    };
    if !status.starts_with("UP") {
        Err(text)
    } else if (1..least).contains(&up) {
        Err(format!("{text}, fewer than {least}"))
    } else {
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::path::PathBuf;

    use super::*;
    use crate::config::checks::HaproxyStats;

    /// Cut from a HAProxy 2.6: two servers, one of them down; an empty backend; quoted fields.
    const STATISTICS: &str = "\
# pxname,svname,qcur,scur,status,weight,act,bck,last_chk,addr,
pg,FRONTEND,,0,OPEN,,,,,,
pg,db1,0,0,UP,1,1,0,\"L7OK, \"\"fine\"\"\",10.0.0.1:5432,
pg,db2,0,0,DOWN,1,1,0,L7STS,10.0.0.2:5432,
pg,BACKEND,0,0,UP,1,1,0,,,
busy,FRONTEND,,0,FULL,,,,,,
old,FRONTEND,,0,STOP,,,,,,
none,BACKEND,0,0,DOWN,0,0,0,,,
stats,FRONTEND,,0,OPEN,,,,,,
stats,BACKEND,0,0,UP,0,0,0,,,
";

    fn ask(proxy: &str, side: ProxySide, least: u32) -> Result<String, String> {
        let check = HaproxyCheck {
            stats: HaproxyStats::Socket(PathBuf::new()),
            proxy: proxy.to_owned(),
            side,
            min_servers: NonZeroU32::new(least).unwrap(),
        };
        judge(&check, STATISTICS.as_bytes())
    }

    #[test]
    fn each_side_is_judged_by_its_own_row() {
        let (every, front, back) = (ProxySide::Every, ProxySide::Frontend, ProxySide::Backend);
        assert_eq!(ask("pg", every, 1).unwrap(), "frontend OPEN, backend UP with 1 server");
        assert_eq!(ask("pg", every, 2).unwrap_err(), "backend UP with 1 server, fewer than 2");
        assert_eq!(ask("pg", front, 2).unwrap(), "frontend OPEN");
        assert_eq!(ask("busy", every, 1).unwrap(), "frontend FULL");
        assert_eq!(ask("old", every, 1).unwrap_err(), "frontend STOP");
        assert_eq!(ask("none", back, 1).unwrap_err(), "backend DOWN");
        assert_eq!(ask("stats", every, 1).unwrap(), "frontend OPEN, backend UP");
        assert_eq!(ask("none", front, 1).unwrap_err(), "HAProxy has no frontend none");
        assert_eq!(ask("db1", every, 1).unwrap_err(), "HAProxy has no proxy db1");
    }

    #[test]
    fn anything_else_is_no_answer() {
        let check = HaproxyCheck {
            stats: HaproxyStats::Socket(PathBuf::new()),
            proxy: "pg".to_owned(),
            side: ProxySide::Every,
            min_servers: NonZeroU32::MIN,
        };
        for text in ["", "\n", "<html><body>401</body></html>", "a,b,c\n1,2,3\n"] {
            assert_eq!(
                judge(&check, text.as_bytes()).unwrap_err(),
                "these are not HAProxy's statistics"
            );
        }
        let cut = "# pxname,svname,status\npg\n\"pg,FRONTEND";
        assert_eq!(judge(&check, cut.as_bytes()).unwrap_err(), "HAProxy has no proxy pg");
    }
}
