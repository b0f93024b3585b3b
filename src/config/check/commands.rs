//! Commands that do not do what their author had in mind: no shell reads them, and the daemon they
//! end is not this one.

use crate::config::checks::Command;
use crate::config::diag::{Diagnostic, Span, quoted};

/// Who runs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) enum Use {
    Check,
    Notice,
}

const SHELLS: [&str; 5] = ["sh", "bash", "dash", "ash", "ksh"];

pub(super) fn remark(command: &Command, span: Span, used: Use, out: &mut Vec<Diagnostic>) {
    let text = match command {
        Command::Shell(text) => text.clone(),
        Command::Argv { program, args } => {
            let name = base(program);
            let word = args.iter().find(|word| is_for_a_shell(word));
            if let Some(word) = word.filter(|_| !SHELLS.contains(&name)) {
                out.push(
                    Diagnostic::warning(span, format!("{} is an argument of {name}", quoted(word)))
                        .note("no shell reads the command, in keepalived neither")
                        .help("move it into a script, or write `/bin/sh -c '…'`"),
                );
            }
            std::iter::once(program).chain(args).cloned().collect::<Vec<_>>().join(" ")
        }
    };
    if ends_keepalived(&text) {
        out.push(ends("this command", span, used));
    }
}

/// The same of the text of a script, by its first line that ends keepalived.
pub(in crate::config) fn remark_script(
    (path, text): (&str, &str),
    span: Span,
    used: Use,
    out: &mut Vec<Diagnostic>,
) {
    let says = |line: &str| {
        let first = line.split_whitespace().next().unwrap_or_default();
        first.starts_with('#') || matches!(first, "echo" | "logger" | "printf")
    };
    let mut lines = text.lines().enumerate().filter(|(_, line)| !says(line));
    if let Some((at, _)) = lines.find(|(_, line)| ends_keepalived(line)) {
        out.push(ends(&format!("line {} of {path}", at + 1), span, used));
    }
}

fn ends(what: &str, span: Span, used: Use) -> Diagnostic {
    let warning = Diagnostic::warning(span, format!("{what} ends keepalived, and vipd stays"))
        .note("with keepalived the end of the daemon moves the addresses");
    match used {
        Use::Check => warning.help(
            "let the check fail instead, by `exit 1`: with weight 0 the router is in FAULT and the addresses \
             move, with another weight its priority falls; they come back once it passes",
        ),
        Use::Notice => {
            warning.help("`vipd drain NAME` takes the router out of service until `vipd resume NAME`")
        }
    }
}

fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Whether a word means something to a shell only. What was quoted with blanks in it is for the command.
fn is_for_a_shell(word: &str) -> bool {
    let operators = ["|", "||", "&&", "&", ";", "<", ">", ">>", "2>&1", ">&2"];
    let redirections = [">/", "1>", "2>", "&>", ">>/"];
    let variable = |name: &str| {
        let name = name.trim_start_matches('{').trim_end_matches('}');
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    if word.chars().any(char::is_whitespace) {
        return false;
    }
    operators.contains(&word)
        || redirections.iter().any(|start| word.starts_with(start))
        || word.starts_with("$(")
        || word.starts_with('`')
        || word.strip_prefix('$').is_some_and(variable)
        || (word.len() > 1 && word.ends_with(';'))
}

/// Whether a command stops or kills keepalived. A signal 0 only asks whether it runs.
fn ends_keepalived(text: &str) -> bool {
    let cut = |c: char| c.is_whitespace() || "\"'`();|&$".contains(c);
    let words: Vec<&str> = text.split(cut).filter(|word| !word.is_empty()).map(base).collect();
    let is_it = |word: &str| {
        matches!(word, "keepalived" | "keepalived.service" | "keepalived.pid" | "vrrp.pid")
    };
    words.iter().enumerate().any(|(at, word)| {
        let rest = words.get(at + 1..).unwrap_or_default();
        let near = rest.get(..rest.len().min(4)).unwrap_or_default();
        let named = near.iter().any(|word| is_it(word));
        match *word {
            "systemctl" | "service" | "rc-service" => {
                named && near.iter().any(|word| matches!(*word, "stop" | "kill" | "disable"))
            }
            "killall" | "pkill" | "kill" => named && !near.contains(&"-0"),
            word => is_it(word) && rest.first() == Some(&"stop"),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_keepalived_is_told_from_what_asks_for_it() {
        for ends in [
            "systemctl stop keepalived",
            "/usr/bin/systemctl stop keepalived.service",
            "service keepalived stop",
            "/etc/init.d/keepalived stop",
            "killall keepalived",
            "killall -9 keepalived",
            "pkill -f keepalived",
            "/bin/sh -c pidof nginx || systemctl stop keepalived",
            "kill -9 $(cat /var/run/keepalived.pid)",
            "if [ $(pidof nginx | wc -l) -eq 0 ]; then pkill keepalived; fi",
        ] {
            assert!(ends_keepalived(ends), "{ends}");
        }
        for harmless in [
            "killall -0 haproxy",
            "killall -0 keepalived",
            "systemctl is-active keepalived",
            "systemctl restart nginx",
            "/etc/keepalived/check.sh stop",
            "/etc/keepalived/notify.sh MASTER",
        ] {
            assert!(!ends_keepalived(harmless), "{harmless}");
        }
    }

    #[test]
    fn what_a_shell_would_read_is_told_from_arguments() {
        for word in ["|", "&&", ">/dev/null", "2>&1", "$(pidof", "$HOME", "${X}", "0;"] {
            assert!(is_for_a_shell(word), "{word}");
        }
        for word in ["a > b", "-0", "$1", "^[0-9]+$", "50%", "a|b", "{print", "x=1"] {
            assert!(!is_for_a_shell(word), "{word}");
        }
    }
}
