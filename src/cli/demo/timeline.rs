//! The picture: a row per host, a column per slice of time.

use std::fmt::Write;
use std::time::Duration;

/// The time one column stands for.
pub(super) const SLICE: Duration = Duration::from_millis(250);

/// Columns of everything that is not the strip: the name before it and the note after it.
const AROUND: usize = NAME + NOTE + 2;
const NAME: usize = 10;
const NOTE: usize = 18;

/// What a load balancer was during a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Master,
    Backup,
    Fault,
    /// No daemon answers.
    Down,
}

impl Role {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Role::Master => "MASTER",
            Role::Backup => "BACKUP",
            Role::Fault => "FAULT",
            Role::Down => "down",
        }
    }
}

/// How many of a slice's pings were answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    All,
    Some,
    None,
}

impl Reach {
    /// One in twenty may be on its way when the slice ends, or late on a busy machine.
    pub(super) fn of(sent: u64, answered: u64) -> Reach {
        match answered {
            0 => Reach::None,
            _ if answered.saturating_mul(20) >= sent.saturating_mul(19) => Reach::All,
            _ => Reach::Some,
        }
    }
}

/// One slice of time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    pub(super) balancers: [Role; 2],
    pub(super) client: Reach,
    /// What the clients of the database got, if there are any.
    pub(super) rows: Option<Reach>,
}

/// How the picture may look on this terminal.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    /// Columns that may be used.
    pub(super) width: usize,
    pub(super) colour: bool,
    /// Line-drawing characters instead of ASCII.
    pub(super) lines: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Paint {
    Good,
    Quiet,
    Bad,
}

impl Paint {
    const fn code(self) -> &'static str {
        match self {
            Paint::Good => "\x1b[32m",
            Paint::Quiet => "\x1b[2m",
            Paint::Bad => "\x1b[31m",
        }
    }
}

const PLAIN: &str = "\x1b[0m";

impl Style {
    /// The rows, the newest columns at the right end of the strip, and after each its note.
    pub(super) fn rows(
        self,
        names: [&str; 3],
        columns: &[Column],
        notes: &[String; 4],
    ) -> Vec<String> {
        let room = self.width.saturating_sub(AROUND).max(1);
        let shown = columns.get(columns.len().saturating_sub(room)..).unwrap_or_default();
        let [first, second, client] = names;
        let [first_note, second_note, client_note, rows_note] = notes;
        let balancer = |name, note: &str, of: fn(&Column) -> Role| {
            self.row(name, room, note, shown.iter().map(|column| self.role(of(column))))
        };
        let mut rows = vec![
            balancer(first, first_note, |column| column.balancers[0]),
            balancer(second, second_note, |column| column.balancers[1]),
            self.row(client, room, client_note, shown.iter().map(|c| self.reach(c.client))),
        ];
        let written: Option<Vec<_>> = shown.iter().map(|column| column.rows).collect();
        if let Some(written) = written.filter(|written| !written.is_empty()) {
            let strip = written.into_iter().map(|reach| self.reach(reach));
            rows.push(self.row("writers", room, rows_note, strip));
        }
        rows
    }

    /// What the glyphs mean.
    pub(super) fn legend(self) -> String {
        let [master, backup, down] =
            [Role::Master, Role::Backup, Role::Down].map(|role| self.painted(self.role(role)));
        let [all, some, none] =
            [Reach::All, Reach::Some, Reach::None].map(|reach| self.painted(self.reach(reach)));
        format!(
            "  lb       {master} master   {backup} backup   {down} down          \
             one column is {} ms\n  client   {all} every ping answered   {some} some lost   \
             {none} all lost",
            SLICE.as_millis()
        )
    }

    /// Less important text.
    pub(super) fn quiet(self, text: &str) -> String {
        if self.colour { format!("{}{text}{PLAIN}", Paint::Quiet.code()) } else { text.to_owned() }
    }

    /// A heading.
    pub(super) fn strong(self, text: &str) -> String {
        if self.colour { format!("\x1b[1m{text}{PLAIN}") } else { text.to_owned() }
    }

    fn row(
        self,
        name: &str,
        room: usize,
        note: &str,
        strip: impl ExactSizeIterator<Item = (char, Paint)>,
    ) -> String {
        let padding = room.saturating_sub(strip.len()) + 2;
        let mut row = format!("  {name:<width$}", width = NAME - 2);
        let mut current = None;
        for (glyph, paint) in strip {
            if self.colour && current != Some(paint) {
                if current.is_some() {
                    row.push_str(PLAIN);
                }
                row.push_str(paint.code());
                current = Some(paint);
            }
            row.push(glyph);
        }
        if current.is_some() {
            row.push_str(PLAIN);
        }
        // Writing to a string cannot fail.
        let _ = write!(row, "{:padding$}{note}", "");
        row.trim_end().to_owned()
    }

    const fn role(self, role: Role) -> (char, Paint) {
        match (role, self.lines) {
            (Role::Master, true) => ('━', Paint::Good),
            (Role::Master, false) => ('=', Paint::Good),
            (Role::Backup, true) => ('─', Paint::Quiet),
            (Role::Backup, false) => ('-', Paint::Quiet),
            (Role::Fault, _) => ('F', Paint::Bad),
            (Role::Down, _) => ('x', Paint::Bad),
        }
    }

    const fn reach(self, reach: Reach) -> (char, Paint) {
        match (reach, self.lines) {
            (Reach::All, true) => ('━', Paint::Good),
            (Reach::All, false) => ('=', Paint::Good),
            (Reach::Some, true) => ('╍', Paint::Bad),
            (Reach::Some, false) => ('~', Paint::Bad),
            (Reach::None, true) => ('·', Paint::Bad),
            (Reach::None, false) => ('.', Paint::Bad),
        }
    }

    fn painted(self, (glyph, paint): (char, Paint)) -> String {
        if self.colour { format!("{}{glyph}{PLAIN}", paint.code()) } else { glyph.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STYLE: Style = Style { width: 80, colour: false, lines: true };
    const NAMES: [&str; 3] = ["lb-01", "lb-02", "client"];

    fn column(one: Role, two: Role, client: Reach) -> Column {
        Column { balancers: [one, two], client, rows: None }
    }

    #[test]
    fn a_takeover_is_a_thick_line_that_moves_and_a_gap() {
        let columns = [
            column(Role::Master, Role::Backup, Reach::All),
            column(Role::Down, Role::Backup, Reach::Some),
            column(Role::Down, Role::Backup, Reach::None),
            column(Role::Down, Role::Master, Reach::All),
        ];
        let style = Style { width: 40, ..STYLE };
        let notes = ["down", "MASTER", "answers: lb-02", "wait"].map(str::to_owned);
        assert_eq!(
            style.rows(NAMES, &columns, &notes),
            [
                "  lb-01   ━xxx        down",
                "  lb-02   ───━        MASTER",
                "  client  ━╍·━        answers: lb-02",
            ]
        );
        let with_rows = columns.map(|column| Column { rows: Some(Reach::None), ..column });
        assert_eq!(style.rows(NAMES, &with_rows, &notes)[3], "  writers ····        wait");
        let ascii = Style { lines: false, ..style };
        assert_eq!(ascii.rows(NAMES, &columns, &notes)[2], "  client  =~.=        answers: lb-02");
    }

    #[test]
    fn the_picture_never_outgrows_the_terminal() {
        let columns = vec![column(Role::Master, Role::Fault, Reach::Some); 500];
        let note = "x".repeat(NOTE);
        for width in [60, 80] {
            let style = Style { width, colour: false, lines: true };
            for row in
                style.rows(NAMES, &columns, &[const { String::new() }; 4].map(|_| note.clone()))
            {
                assert_eq!(row.chars().count(), width, "{row}");
            }
        }
        for line in STYLE.legend().lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }

    #[test]
    fn colour_is_switched_only_where_it_changes_and_off_at_the_end() {
        let columns = [
            column(Role::Master, Role::Backup, Reach::All),
            column(Role::Master, Role::Backup, Reach::All),
            column(Role::Down, Role::Backup, Reach::None),
        ];
        let style = Style { width: 34, colour: true, lines: false };
        let rows = style.rows(NAMES, &columns, &Default::default());
        assert_eq!(rows[0], "  lb-01   \x1b[32m==\x1b[0m\x1b[31mx\x1b[0m");
    }

    #[test]
    fn a_slice_is_answered_if_only_the_last_pings_are_missing() {
        assert_eq!(Reach::of(125, 124), Reach::All);
        assert_eq!(Reach::of(125, 100), Reach::Some);
        assert_eq!(Reach::of(125, 0), Reach::None);
        assert_eq!(Reach::of(0, 0), Reach::None);
    }
}
