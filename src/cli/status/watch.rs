//! `vipd status --watch`: on a terminal a screen that is drawn over, on anything else one picture
//! after the other.

use std::io::{self, IsTerminal, Read as _, Write as _};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::style::{Attribute, SetAttribute};
use crossterm::terminal::{
    self, BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, EnterAlternateScreen,
    LeaveAlternateScreen,
};
use crossterm::{Command, execute};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, raise};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGWINCH};

use super::{Args, NoStatus, colour, width};
use crate::cli::{complain, exit, render};

/// What ends it in raw mode: q, Q, Ctrl-C, Ctrl-D.
const ENDS: [u8; 4] = [b'q', b'Q', 0x03, 0x04];
/// Ctrl-Z.
const SUSPENDS: u8 = 0x1a;

pub(super) fn run(args: &Args, every: Duration) -> u8 {
    // Whoever is not there at all is not worth waiting for.
    let first = args.ask().and_then(|snapshot| args.text(&snapshot, 80, render::live));
    if let Err(why) = first {
        return args.complain(why);
    }
    let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    let outcome = if io::stdout().is_terminal() && !dumb && !args.is_json() {
        on_screen(args, every)
    } else {
        one_by_one(args, every)
    };
    match outcome {
        Ok(status) => status,
        // A reader that has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => exit::OK,
        Err(error) => {
            complain(&format!("cannot draw: {error}"));
            exit::IO_ERR
        }
    }
}

fn one_by_one(args: &Args, every: Duration) -> io::Result<u8> {
    let mut next = Instant::now();
    loop {
        let text = args.ask().and_then(|s| args.text(&s, width(), render::overview));
        match text {
            Ok(text) => {
                let end = if args.is_json() { "" } else { "\n" };
                let mut out = io::stdout().lock();
                out.write_all((text + end).as_bytes())?;
                out.flush()?;
            }
            // A daemon that is started again will answer again.
            Err(why) => drop(args.complain(why)),
        }
        next += every;
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
}

fn on_screen(args: &Args, every: Duration) -> io::Result<u8> {
    let wake_ups = WakeUps::new()?;
    let mut screen = Screen::enter()?;
    let mut page = String::new();
    let mut answered = Instant::now();
    loop {
        let asked = Instant::now();
        let (columns, rows) = terminal::size()?;
        let foot = match args.ask().and_then(|s| args.text(&s, columns, render::live)) {
            Ok(text) => {
                (page, answered) = (text, asked);
                format!("every {} s; q ends", every.as_secs_f64())
            }
            Err(why) => {
                let since = answered.elapsed().as_secs();
                format!("NO ANSWER for {since} s: {}; asking again; q ends", reason(&why))
            }
        };
        screen.draw(&page, &foot, (columns, rows))?;
        loop {
            let left = every.saturating_sub(asked.elapsed());
            match wake_ups.wait(left)? {
                Wake::Later | Wake::Resized => break,
                Wake::Key(key) if ENDS.contains(&key) => return Ok(exit::OK),
                Wake::Key(SUSPENDS) => {
                    drop(screen);
                    raise(Signal::SIGTSTP)?;
                    screen = Screen::enter()?;
                    break;
                }
                Wake::Key(_) => {}
                Wake::Ended(signal) => return Ok(u8::try_from(128 + signal).unwrap_or(u8::MAX)),
            }
        }
    }
}

fn reason(why: &NoStatus) -> String {
    match why {
        NoStatus::Unavailable(error) => error.to_string(),
        NoStatus::Unknown(_) => "it is configured no more".to_owned(),
        NoStatus::Strange(_) => "it makes no sense".to_owned(),
    }
}

/// The terminal while it is ours; dropping it gives it back as it was.
struct Screen;

impl Screen {
    fn enter() -> io::Result<Screen> {
        terminal::enable_raw_mode()?;
        // From here on dropping it undoes everything.
        let screen = Screen;
        execute!(io::stdout(), EnterAlternateScreen, Hide)?;
        Ok(screen)
    }

    /// Draws a page over the last one, without clearing it first, and `foot` in the last row.
    fn draw(&mut self, page: &str, foot: &str, (columns, rows): (u16, u16)) -> io::Result<()> {
        let mut text = String::new();
        put(&mut text, BeginSynchronizedUpdate);
        put(&mut text, MoveTo(0, 0));
        for (n, line) in fit(page, columns.into(), rows.into()).iter().enumerate() {
            text += &colour::word(line, n == 0 && colour::is_wanted());
            put(&mut text, Clear(ClearType::UntilNewLine));
            text += "\r\n";
        }
        put(&mut text, Clear(ClearType::FromCursorDown));
        put(&mut text, MoveTo(0, rows.saturating_sub(1)));
        put(&mut text, SetAttribute(Attribute::Dim));
        text.extend(foot.chars().take(columns.into()));
        put(&mut text, SetAttribute(Attribute::Reset));
        put(&mut text, Clear(ClearType::UntilNewLine));
        put(&mut text, EndSynchronizedUpdate);
        // In one piece: a terminal never shows half of it.
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // There is nothing to be done about a terminal that is gone.
        let _ = execute!(io::stdout(), Show, LeaveAlternateScreen);
        let _ = terminal::disable_raw_mode();
    }
}

/// Writing to a string cannot fail.
fn put(text: &mut String, command: impl Command) {
    let _ = command.write_ansi(text);
}

/// The lines of a page that fit above the last row, cut to the screen's width.
fn fit(page: &str, columns: usize, rows: usize) -> Vec<String> {
    let room = rows.saturating_sub(2);
    let all: Vec<&str> = page.lines().collect();
    let cut = |line: &&str| line.chars().take(columns).collect::<String>();
    if all.len() <= room {
        return all.iter().map(cut).collect();
    }
    let shown = room.saturating_sub(1);
    let more = format!("... {} more lines: a taller window shows them", all.len() - shown);
    all.iter().take(shown).map(cut).chain([cut(&more.as_str())]).collect()
}

/// What can happen between two pictures.
enum Wake {
    /// It is time for the next.
    Later,
    /// The window has another size.
    Resized,
    /// A key was pressed.
    Key(u8),
    /// A signal wants the program to end.
    Ended(usize),
}

struct WakeUps {
    signals: UnixStream,
    /// The one that wants the program to end, or 0.
    ended: Arc<AtomicUsize>,
    keys: bool,
}

impl WakeUps {
    fn new() -> io::Result<WakeUps> {
        let (signals, sender) = UnixStream::pair()?;
        signals.set_nonblocking(true)?;
        let ended = Arc::default();
        for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
            let number = usize::try_from(signal).unwrap_or_default();
            signal_hook::flag::register_usize(signal, Arc::clone(&ended), number)?;
            signal_hook::low_level::pipe::register(signal, sender.try_clone()?)?;
        }
        signal_hook::low_level::pipe::register(SIGWINCH, sender)?;
        Ok(WakeUps { signals, ended, keys: io::stdin().is_terminal() })
    }

    fn wait(&self, time: Duration) -> io::Result<Wake> {
        let stdin = io::stdin();
        let mut sources = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        if self.keys {
            sources.push(PollFd::new(stdin.as_fd(), PollFlags::POLLIN));
        }
        // Rounded up: never too early, which would be a busy loop.
        let timeout = PollTimeout::try_from(time + Duration::from_millis(1));
        match poll(&mut sources, timeout.unwrap_or(PollTimeout::MAX)) {
            Ok(0) => return Ok(Wake::Later),
            Ok(_) | Err(nix::Error::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut bytes = [0; 64];
        if (&self.signals).read(&mut bytes).is_ok_and(|count| count > 0) {
            return Ok(match self.ended.load(Ordering::SeqCst) {
                0 => Wake::Resized,
                signal => Wake::Ended(signal),
            });
        }
        let pressed =
            |source: &PollFd<'_>| source.revents().is_some_and(|events| !events.is_empty());
        if !sources.get(1).is_some_and(pressed) {
            return Ok(Wake::Key(0));
        }
        let count = nix::unistd::read(stdin.as_fd(), &mut bytes)?;
        let typed = bytes.get(..count).unwrap_or_default();
        // The terminal has gone, or what counts among what was typed.
        let last = if typed.is_empty() { ENDS.first() } else { typed.last() };
        let key = typed.iter().find(|key| ENDS.contains(key) || **key == SUSPENDS).or(last);
        Ok(Wake::Key(key.copied().unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_cut_to_the_screen_and_says_so() {
        let page = "1\n2 is longer\n3\n4\n5\n6\n7\n8\n";
        assert_eq!(fit(page, 80, 10), ["1", "2 is longer", "3", "4", "5", "6", "7", "8"]);
        assert_eq!(fit(page, 6, 6), ["1", "2 is l", "3", "... 5 "]);
        assert_eq!(fit(page, 80, 2).len(), 1);
        assert_eq!(fit(page, 80, 0).len(), 1);
    }
}
