//! Which processes count, and how many are enough.

use crate::config::checks::{ArgsMatch, ProcessCheck, ProcessPattern};

/// The kernel keeps so many bytes of a process's name.
const COMM: usize = 15;

/// Whether a process counts, by its name and the words of its command line.
#[must_use]
pub fn counts(pattern: &ProcessPattern, name: &str, command_line: &[String]) -> bool {
    match pattern {
        ProcessPattern::Name(wanted) => {
            name.as_bytes() == wanted.as_bytes().get(..COMM).unwrap_or(wanted.as_bytes())
        }
        ProcessPattern::CommandLine { program, args, args_match } => {
            let Some((first, rest)) = command_line.split_first() else { return false };
            first == program && args_fit(args, rest, *args_match)
        }
    }
}

fn args_fit(wanted: &[String], found: &[String], how: ArgsMatch) -> bool {
    match how {
        ArgsMatch::Exact => wanted == found,
        ArgsMatch::Partial => found.starts_with(wanted),
        ArgsMatch::Initial => {
            let Some((last, before)) = wanted.split_last() else { return true };
            found.starts_with(before)
                && found.get(before.len()).is_some_and(|word| word.starts_with(last.as_str()))
        }
    }
}

/// Whether so many are enough and not too many.
///
/// # Errors
/// Why not.
pub fn judge(check: &ProcessCheck, found: usize) -> Result<String, String> {
    let (least, most) = (usize::from(check.quorum.get()), check.quorum_max.map(usize::from));
    match most {
        Some(0) if found == 0 => Ok("none running".to_owned()),
        Some(most) if found > most => Err(format!("{found} running, at most {most} wanted")),
        Some(0) | None | Some(_) if found < least => {
            Err(format!("{found} running, {least} wanted"))
        }
        Some(_) | None => Ok(format!("{found} running")),
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn a_name_is_compared_as_far_as_the_kernel_keeps_it() {
        let name = |text: &str| ProcessPattern::Name(text.to_owned());
        assert!(counts(&name("haproxy"), "haproxy", &words("/usr/sbin/haproxy -W")));
        assert!(!counts(&name("haproxy"), "haproxy-wi", &[]));
        assert!(!counts(&name("ssh"), "sshd", &[]));
        assert!(counts(&name("prometheus-node-exporter"), "prometheus-node", &[]));
    }

    #[test]
    fn command_lines_compare_word_by_word() {
        let fits = |args: &str, args_match, line: &str| {
            let program = "/usr/bin/vpn".to_owned();
            let pattern = ProcessPattern::CommandLine { program, args: words(args), args_match };
            counts(&pattern, "vpn", &words(line))
        };
        assert!(fits("", ArgsMatch::Exact, "/usr/bin/vpn"));
        assert!(!fits("", ArgsMatch::Exact, "/usr/bin/vpn -d"));
        assert!(fits("-c a", ArgsMatch::Exact, "/usr/bin/vpn -c a"));
        assert!(!fits("-c a", ArgsMatch::Exact, "/usr/bin/vpn -c a -d"));
        assert!(!fits("-c a", ArgsMatch::Exact, "vpn -c a"));
        assert!(fits("-c a", ArgsMatch::Partial, "/usr/bin/vpn -c a -d"));
        assert!(!fits("-c a", ArgsMatch::Partial, "/usr/bin/vpn -c ab"));
        assert!(fits("-c a", ArgsMatch::Initial, "/usr/bin/vpn -c ab -d"));
        assert!(!fits("-c a", ArgsMatch::Initial, "/usr/bin/vpn -cc a"));
        assert!(fits("", ArgsMatch::Initial, "/usr/bin/vpn -d"));
        assert!(!fits("", ArgsMatch::Initial, ""), "a kernel thread");
    }

    #[test]
    fn the_quorum_has_two_ends() {
        let judge = |quorum, quorum_max, found| {
            let pattern = ProcessPattern::Name(String::new());
            let quorum = NonZeroU16::new(quorum).unwrap();
            judge(&ProcessCheck { pattern, quorum, quorum_max }, found)
        };
        assert_eq!(judge(1, None, 0).unwrap_err(), "0 running, 1 wanted");
        assert_eq!(judge(1, None, 7).unwrap(), "7 running");
        assert_eq!(judge(2, Some(3), 1).unwrap_err(), "1 running, 2 wanted");
        assert_eq!(judge(2, Some(3), 3).unwrap(), "3 running");
        assert_eq!(judge(2, Some(3), 4).unwrap_err(), "4 running, at most 3 wanted");
        assert_eq!(judge(1, Some(0), 0).unwrap(), "none running");
        assert_eq!(judge(1, Some(0), 1).unwrap_err(), "1 running, at most 0 wanted");
    }
}
