//! Checks of the HAProxy that vipd replaces. `killall -0 haproxy` asks whether the proxy of this host
//! lives; where vipd is that proxy, its own listeners have the answer, and the command would fail for
//! good. Which commands ask that is decided here, before anything else is checked.

use crate::config::checks::{Command, ProcessPattern};
use crate::config::diag::{Diagnostic, Span, Spanned};
use crate::config::explain::Statement;
use crate::config::raw::{CheckKind, Raw, RawTracker};

/// What a check asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asks {
    /// Whether HAProxy lives.
    Haproxy,
    /// Whatever a script with this purpose in its name does.
    ByName,
    /// Something about HAProxy.
    Unclear,
    /// Something else.
    Other,
}

/// Has the listeners answer the checks of HAProxy. `beside`: a haproxy.cfg says what vipd serves, so
/// HAProxy does not run any more.
pub(super) fn read(
    raw: &mut Raw,
    beside: bool,
    statements: &mut [Statement],
    out: &mut Vec<Diagnostic>,
) {
    let pages: Vec<u16> = raw
        .pages
        .iter()
        .flat_map(|page| &page.binds)
        .map(|bind| bind.value.address.port())
        .collect();
    let listens = !raw.listeners.is_empty();
    for tracker in &mut raw.trackers {
        if let Some(on) = tracker.settings.listeners {
            if on.value && !listens {
                out.push(
                    Diagnostic::error(on.span, "there are no listeners that could answer")
                        .help("give the haproxy.cfg too, or let the check run"),
                );
            }
            continue;
        }
        if !listens {
            continue;
        }
        let (asks, at) = asked(tracker, &pages);
        match (asks, beside) {
            (Asks::Other, _) | (Asks::ByName | Asks::Unclear, false) => continue,
            (Asks::Haproxy, true) => {}
            (Asks::ByName, true) => out.push(by_name(tracker, at)),
            (Asks::Unclear, true) => {
                out.push(unclear(tracker, at));
                continue;
            }
            (Asks::Haproxy, false) => {
                out.push(undecided(tracker, at));
                continue;
            }
        }
        tracker.settings.listeners = Some(Spanned::new(true, at));
        if let Some(statement) = statements.iter_mut().find(|s| s.places.contains(&at)) {
            statement.why =
                "vipd is the proxy here: not run, up while all listeners are open".to_owned();
        }
    }
}

fn by_name(tracker: &RawTracker, at: Span) -> Diagnostic {
    let [_, run] = tracker.words.listeners;
    let name = &tracker.name.value;
    Diagnostic::warning(at, format!("{name} is taken for a check of HAProxy, by its name"))
        .note("vipd is the proxy here: its listeners answer, and the script does not run")
        .help(format!("if it checks something else, have it run: {run}"))
}

fn unclear(tracker: &RawTracker, at: Span) -> Diagnostic {
    let [answer, run] = tracker.words.listeners;
    let error = Diagnostic::error(at, format!("{} asks for HAProxy", tracker.name.value)).note(
        "vipd is the proxy here and HAProxy does not run: the check would always fail; its bonus \
         would be lost for good, or (weight 0) the router stay in FAULT",
    );
    if tracker.kind == CheckKind::Haproxy {
        return error.help(tracker.words.of_a_listener);
    }
    error
        .help(format!("have vipd's listeners answer: {answer}"))
        .help(format!("or, if it works without HAProxy, have it run: {run}"))
}

fn undecided(tracker: &RawTracker, at: Span) -> Diagnostic {
    let [answer, run] = tracker.words.listeners;
    Diagnostic::error(
        at,
        format!("{} asks for HAProxy, but vipd is a proxy here", tracker.name.value),
    )
    .note(
        "if HAProxy does not run any more, the check always fails: its bonus is lost for good, \
             or (weight 0) the router stays in FAULT",
    )
    .help(format!("have vipd's listeners answer: {answer}"))
    .help(format!("or, if HAProxy runs beside vipd, have the check run: {run}"))
}

/// What a tracker asks, and where that stands.
fn asked(tracker: &RawTracker, pages: &[u16]) -> (Asks, Span) {
    let settings = &tracker.settings;
    let nothing = (Asks::Other, tracker.name.span);
    match (tracker.kind, &settings.command, &settings.processes, &settings.socket) {
        (CheckKind::Script, Some(command), ..) => {
            (script(&tracker.name.value, &command.value, pages), command.span)
        }
        (CheckKind::Process, _, Some(pattern), _) => {
            let (ProcessPattern::Name(program) | ProcessPattern::CommandLine { program, .. }) =
                &pattern.value;
            let none = settings.quorum_max.is_some_and(|most| most.value == 0);
            let asks = match (is_about(base(program)), none) {
                (false, _) => Asks::Other,
                (true, false) => Asks::Haproxy,
                (true, true) => Asks::Unclear,
            };
            (asks, pattern.span)
        }
        (CheckKind::Haproxy, .., Some(socket)) => (Asks::Unclear, socket.span),
        _ => nothing,
    }
}

fn script(name: &str, command: &Command, pages: &[u16]) -> Asks {
    let commands = simple_commands(command);
    let parts: Vec<Part> = commands.iter().map(|words| part(words, pages)).collect();
    let lists = commands.iter().any(|words| {
        let program = words.first().map_or("", |word| base(word));
        ["ps", "ss", "netstat", "lsof"].contains(&program)
    });
    let looks = |part: &Part| *part == Part::Looks || (*part == Part::Finds && lists);
    if parts.iter().all(|part| *part != Part::Other) && parts.iter().any(looks) {
        return Asks::Haproxy;
    }
    let [only] = commands.as_slice() else {
        let about = commands.iter().flatten().any(|word| is_about(word));
        return if about { Asks::Unclear } else { Asks::Other };
    };
    let file = match only.as_slice() {
        [interpreter, file, ..] if is_interpreter(interpreter) => file,
        [program, ..] => program,
        [] => return Asks::Other,
    };
    if base(file) == "haproxy" {
        // `haproxy -c`
        return Asks::Other;
    }
    if file.contains('/') && is_about(file) || is_script(file) && is_about(name) {
        return Asks::ByName;
    }
    if only.iter().any(|word| is_about(word)) { Asks::Unclear } else { Asks::Other }
}

/// What one simple command of a check does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// Asks whether HAProxy lives.
    Looks,
    /// Does if it reads a list of processes or sockets.
    Finds,
    /// Belongs to asking, or to what its author had it do about the answer.
    Neutral,
    /// Something else.
    Other,
}

fn part(words: &[String], pages: &[u16]) -> Part {
    let Some((program, args)) = words.split_first() else { return Part::Neutral };
    let about = args.iter().any(|word| is_about(word));
    let has = |wanted: &[&str]| args.iter().any(|word| wanted.contains(&word.as_str()));
    let keeps = args.iter().any(|word| word.contains("keepalived"));
    let looks = |yes: bool| if yes && about { Part::Looks } else { Part::Other };
    match base(program) {
        "killall" | "pkill" if keeps => Part::Neutral,
        "kill" if has(&["-0"]) && !about => Part::Neutral,
        "killall" | "pkill" | "kill" => looks(has(&["-0", "0"])),
        "pidof" | "pgrep" | "cat" | "ls" | "stat" | "socat" | "nc" | "ncat" => looks(true),
        "systemctl" if has(&["start", "restart", "stop", "reload"]) && (about || keeps) => {
            Part::Neutral
        }
        "systemctl" => looks(has(&["is-active", "status", "show", "is-failed"])),
        "service" | "rc-service" if has(&["start", "restart", "stop"]) && (about || keeps) => {
            Part::Neutral
        }
        "service" | "rc-service" => looks(has(&["status"])),
        "haproxy" if program.contains("init.d/") && has(&["status"]) => Part::Looks,
        "haproxy" if program.contains("init.d/") => Part::Neutral,
        "curl" | "wget" => {
            let shown =
                args.iter().any(|word| port(word).is_some_and(|port| pages.contains(&port)));
            if about || shown { Part::Looks } else { Part::Other }
        }
        "ps" | "test" | "[" if about => Part::Looks,
        "grep" | "egrep" | "fgrep" if about => Part::Finds,
        "ps" | "ss" | "netstat" | "lsof" | "test" | "[" | "]" | "grep" | "egrep" | "fgrep"
        | "awk" | "sed" | "cut" | "wc" | "head" | "tail" | "tr" | "echo" | "printf" | "true"
        | "false" | "exit" | "sleep" | ":" => Part::Neutral,
        // What follows a command in brackets: `-gt 0 ]`.
        rest if rest.starts_with(['-', '=']) => Part::Neutral,
        _ => Part::Other,
    }
}

/// The port of a URL.
fn port(word: &str) -> Option<u16> {
    let rest = word.split_once("://").map_or(word, |(_, rest)| rest);
    let host = rest.split(['/', ';', '?']).next()?;
    host.rsplit_once(':')?.1.parse().ok()
}

fn is_about(word: &str) -> bool {
    word.to_ascii_lowercase().contains("haproxy")
}

fn base(program: &str) -> &str {
    program.rsplit('/').next().unwrap_or(program)
}

fn is_shell(program: &str) -> bool {
    ["sh", "bash", "dash", "ash"].contains(&base(program))
}

fn is_interpreter(program: &str) -> bool {
    let name = base(program);
    is_shell(program) || name.starts_with("python") || name.starts_with("perl")
}

/// Whether it is a file somebody here wrote, rather than a program of the system.
fn is_script(file: &str) -> bool {
    let own = ["/etc/", "/usr/local/", "/opt/", "/root/", "/home/", "/var/", "/srv/"];
    let ends = file.rsplit_once('.').map_or("", |(_, end)| end);
    file.contains('/')
        && (own.iter().any(|dir| file.starts_with(dir))
            || ["sh", "bash", "py", "pl"].contains(&ends))
}

/// The commands between the operators of a shell, those inside others included.
fn simple_commands(command: &Command) -> Vec<Vec<String>> {
    let words: Vec<&str> = match command {
        Command::Shell(line) => return in_shell(line.trim_start_matches('<')),
        Command::Argv { program, args } => {
            std::iter::once(program).chain(args).map(String::as_str).collect()
        }
    };
    let wrappers = ["env", "sudo", "timeout", "nice", "ionice"];
    let mut rest = words.as_slice();
    while let Some((first, behind)) = rest.split_first()
        && wrappers.contains(&base(first))
    {
        let option = |word: &&&str| {
            word.starts_with('-')
                || word.contains('=')
                || word.starts_with(|c: char| c.is_ascii_digit())
        };
        rest = behind.get(behind.iter().take_while(option).count()..).unwrap_or_default();
    }
    match rest {
        [shell, option, line, ..]
            if is_shell(shell) && option.starts_with('-') && option.ends_with('c') =>
        {
            in_shell(line)
        }
        // keepalived hands operators over as arguments; whoever wrote them meant a shell.
        _ => rest.split(|word| ["|", "||", "&", "&&", ";"].contains(word)).map(meant).collect(),
    }
}

/// The commands in the words of a shell, without its operators and quotes.
fn in_shell(text: &str) -> Vec<Vec<String>> {
    let text = text.replace("&>", ">").replace(">&", ">");
    let mut commands: Vec<Vec<String>> = vec![Vec::new()];
    let mut word = String::new();
    let mut quote = None;
    // The quotes around `$(…)` and around backquotes.
    let mut around = Vec::new();
    let mut backquoted = None;
    for c in text.chars() {
        let (ends_word, ends_command) = match (c, quote) {
            (c, Some(open)) if c == open => {
                quote = None;
                (false, false)
            }
            (c, Some('\'')) => {
                word.push(c);
                (false, false)
            }
            ('\'' | '"', None) => {
                quote = Some(c);
                (false, false)
            }
            ('$', _) => (false, false),
            ('(', _) => {
                around.push(quote.take());
                (true, true)
            }
            (')', _) => {
                quote = around.pop().flatten();
                (true, true)
            }
            ('`', _) => {
                match backquoted.take() {
                    Some(outer) => quote = outer,
                    None => backquoted = Some(quote.take()),
                }
                (true, true)
            }
            ('|' | '&' | ';' | '\n', None) => (true, true),
            (c, None) if c.is_whitespace() => (true, false),
            (c, _) => {
                word.push(c);
                (false, false)
            }
        };
        if ends_word && !word.is_empty() {
            let word = std::mem::take(&mut word);
            commands.last_mut().into_iter().for_each(|command| command.push(word.clone()));
        }
        if ends_command {
            commands.push(Vec::new());
        }
    }
    commands.last_mut().into_iter().for_each(|command| command.push(word.clone()));
    let words = |words: &Vec<String>| meant(&words.iter().map(String::as_str).collect::<Vec<_>>());
    commands.iter().map(words).filter(|words| !words.is_empty()).collect()
}

/// A command without redirections and without the shell's own words before it.
fn meant(words: &[&str]) -> Vec<String> {
    const RESERVED: &[&str] =
        &["if", "then", "else", "elif", "fi", "do", "done", "while", "!", "exec", "{", "}"];
    let mut left = Vec::new();
    let mut is_target = false;
    for word in words.iter().filter(|word| !word.is_empty()) {
        if std::mem::take(&mut is_target) {
            continue;
        }
        match word.trim_start_matches(|c: char| c.is_ascii_digit()).strip_prefix(['>', '<']) {
            Some(path) => is_target = path.trim_start_matches('>').is_empty(),
            None if left.is_empty() && RESERVED.contains(word) => {}
            None => left.push((*word).to_owned()),
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::command;

    fn asks(name: &str, line: &str) -> Asks {
        script(name, &command::parse(line).unwrap(), &[7000])
    }

    #[test]
    fn the_usual_checks_of_haproxy_are_known() {
        for line in [
            "killall -0 haproxy",
            "/usr/bin/killall -0 haproxy",
            "killall -s 0 haproxy",
            "pkill -0 -x haproxy",
            "pidof haproxy",
            "/sbin/pidof haproxy",
            "pgrep -x haproxy",
            "systemctl is-active haproxy",
            "/usr/bin/systemctl is-active --quiet haproxy.service",
            "systemctl status haproxy",
            "service haproxy status",
            "/usr/sbin/service haproxy status",
            "/etc/init.d/haproxy status",
            "timeout 2 pidof haproxy",
            "/usr/bin/env LC_ALL=C pidof haproxy",
            "sh -c 'kill -0 $(cat /var/run/haproxy.pid)'",
            "/bin/sh -c 'kill -0 `cat /run/haproxy.pid` 2>/dev/null'",
            "bash -c '[ -f /run/haproxy.pid ]'",
            "test -f /var/run/haproxy.pid",
            "/usr/bin/test -S /run/haproxy/admin.sock",
            "bash -c 'ps aux | grep -v grep | grep -q haproxy'",
            "sh -c '[ $(ps -C haproxy --no-header | wc -l) -gt 0 ]'",
            "sh -c 'ss -ltnp | grep haproxy'",
            "bash -c 'echo show info | socat stdio /var/run/haproxy.sock >/dev/null 2>&1'",
            "sh -c 'echo \"show stat\" | nc -U /run/haproxy/admin.sock | grep -q UP'",
            "curl -sf http://127.0.0.1:7000/",
            "/usr/bin/curl -s -o /dev/null http://localhost:7000/stats;csv",
            "sh -c 'curl -sf \"http://127.0.0.1:7000/;csv\" | grep -q UP'",
            "bash -c '[ \"$(pidof haproxy)\" ] || exit 1'",
            "killall -0 haproxy || exit 1",
            "wget -q -O /dev/null http://127.0.0.1/haproxy?stats",
            "bash -c 'if ! pidof haproxy; then systemctl restart haproxy; sleep 2; fi'",
            "sh -c 'killall -0 haproxy || systemctl stop keepalived'",
            "< killall -0 haproxy",
        ] {
            assert_eq!(asks("chk", line), Asks::Haproxy, "{line}");
        }
    }

    #[test]
    fn a_script_says_by_its_name_what_it_is_for() {
        for (name, line) in [
            ("chk", "/etc/keepalived/check_haproxy.sh"),
            ("chk", "/bin/bash /etc/keepalived/check_haproxy.sh 5000"),
            ("chk_haproxy", "/etc/keepalived/check.sh"),
            ("haproxy", "/usr/bin/python3 /opt/lb/alive.py"),
        ] {
            assert_eq!(asks(name, line), Asks::ByName, "{line}");
        }
    }

    #[test]
    fn other_checks_stay_what_they_are() {
        for (name, line) in [
            ("chk", "/etc/keepalived/check.sh"),
            ("chk_haproxy", "nc -z 127.0.0.1 5000"),
            ("chk_haproxy", "/usr/bin/nc -z 127.0.0.1 5000"),
            ("chk_haproxy", "curl -sf http://127.0.0.1:8008/primary"),
            ("chk", "pidof pgbouncer"),
            ("chk", "systemctl is-active pgbouncer"),
            ("chk", "haproxy -c -f /etc/haproxy/haproxy.cfg"),
            ("chk", "sh -c 'pidof pgbouncer || exit 1'"),
        ] {
            assert_eq!(asks(name, line), Asks::Other, "{line}");
        }
        for line in [
            "sh -c 'pidof haproxy && pidof pgbouncer'",
            "killall -HUP haproxy",
            "bash -c '/opt/x --haproxy && true'",
        ] {
            assert_eq!(asks("chk", line), Asks::Unclear, "{line}");
        }
    }
}
