//! Tables without lines: columns two blanks apart, as wide as they need to be.
//!
//! On a terminal nothing wraps: the last column takes the room that is left, and columns that can
//! be done without make way when there is too little. Elsewhere everything is shown in full.

use anstyle::Style;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::output::HEADING;

/// The room that the last column is given before others make way.
const LAST: usize = 16;

const GAP: &str = "  ";

/// One cell: parts with a style each. What it holds must be fit for a terminal already.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cell(Vec<(Style, String)>);

/// A table.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

#[derive(Debug)]
struct Column {
    title: &'static str,
    can_go: bool,
}

impl Cell {
    /// Makes a cell of one style.
    pub(crate) fn styled(style: Style, text: impl Into<String>) -> Self {
        Self(vec![(style, text.into())])
    }

    /// Adds a part.
    #[must_use]
    pub(crate) fn and(mut self, style: Style, text: impl Into<String>) -> Self {
        self.0.push((style, text.into()));
        self
    }

    fn width(&self) -> usize {
        self.0.iter().map(|(_, text)| text.width()).sum()
    }

    /// Writes the cell, cut to `room` where that is too little.
    fn write(&self, out: &mut String, room: Option<usize>) {
        let room = room.filter(|room| self.width() > *room);
        let mut left = room.map_or(usize::MAX, |room| room.saturating_sub(1));
        for (style, text) in &self.0 {
            let kept = fitting(text, left);
            left -= kept.width().min(left);
            if style.is_plain() {
                out.push_str(kept);
            } else {
                out.extend([format!("{style}{kept}{style:#}")]);
            }
            if kept.len() < text.len() {
                break;
            }
        }
        if room.is_some() {
            out.push('…');
        }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::styled(Style::new(), text)
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::styled(Style::new(), text)
    }
}

/// Returns as much of the text as fits.
fn fitting(text: &str, room: usize) -> &str {
    let mut width = 0;
    for (place, character) in text.char_indices() {
        width += character.width().unwrap_or(0);
        if width > room {
            return &text[..place];
        }
    }
    text
}

impl Table {
    /// Makes a table with these columns; a title in brackets marks a column that makes way where
    /// there is too little room, the last of them first.
    pub(crate) fn new(titles: &[&'static str]) -> Self {
        let columns = titles.iter().map(|title| {
            let bare = title
                .strip_prefix('[')
                .and_then(|title| title.strip_suffix(']'));
            Column {
                title: bare.unwrap_or(title),
                can_go: bare.is_some(),
            }
        });
        Self {
            columns: columns.collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row: one cell a column.
    pub(crate) fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// Returns the lines, each behind `indent`, for a terminal of this width.
    pub(crate) fn text(&self, indent: &str, width: Option<usize>) -> String {
        let widths = self.widths();
        let room = width.map(|width| width.saturating_sub(indent.width()));
        let shown = self.shown(&widths, room);
        let mut out = String::new();
        if self.columns.iter().any(|column| !column.title.is_empty()) {
            let titles = self.columns.iter();
            let titles: Vec<Cell> = titles
                .map(|column| Cell::styled(HEADING, column.title))
                .collect();
            write_line(&mut out, indent, &titles, (&shown, &widths), room);
        }
        for cells in &self.rows {
            write_line(&mut out, indent, cells, (&shown, &widths), room);
        }
        out
    }

    fn widths(&self) -> Vec<usize> {
        let widths = self.columns.iter().enumerate().map(|(place, column)| {
            let cells = self.rows.iter().filter_map(|row| row.get(place));
            let widest = cells.map(Cell::width).max().unwrap_or(0);
            widest.max(column.title.width())
        });
        widths.collect()
    }

    /// Returns the places of the columns for which there is room.
    fn shown(&self, widths: &[usize], room: Option<usize>) -> Vec<usize> {
        let mut shown: Vec<usize> = (0..self.columns.len()).collect();
        let Some(room) = room else { return shown };
        let needed = |shown: &[usize]| {
            let Some((last, others)) = shown.split_last() else {
                return 0;
            };
            let others: usize = others.iter().map(|place| widths[*place] + GAP.len()).sum();
            others + widths[*last].min(LAST)
        };
        while needed(&shown) > room {
            let Some(goes) = shown.iter().rposition(|place| self.columns[*place].can_go) else {
                break;
            };
            shown.remove(goes);
        }
        shown
    }
}

fn write_line(
    out: &mut String,
    indent: &str,
    cells: &[Cell],
    (shown, widths): (&[usize], &[usize]),
    room: Option<usize>,
) {
    out.push_str(indent);
    let mut used = 0;
    for (number, place) in shown.iter().enumerate() {
        let Some(cell) = cells.get(*place) else { break };
        let left = room.map(|room| room.saturating_sub(used));
        if left == Some(0) {
            break;
        }
        cell.write(out, left);
        if number + 1 < shown.len() {
            let padding = widths[*place] - cell.width() + GAP.len();
            out.extend(std::iter::repeat_n(' ', padding));
            used += widths[*place] + GAP.len();
        }
    }
    let end = out.trim_end_matches(' ').len();
    out.truncate(end);
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&["ID", "[AGENT]", "WHAT"]);
        table.row(vec![
            "1".into(),
            "claude".into(),
            "fix the parser of dates".into(),
        ]);
        table.row(vec![
            "22".into(),
            "日本".into(),
            "日本語のテキスト日本語".into(),
        ]);
        table
    }

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn wide_characters_count_as_wide() {
        assert_eq!(
            plain(&table().text("", None)),
            "ID  AGENT   WHAT\n\
             1   claude  fix the parser of dates\n\
             22  日本    日本語のテキスト日本語\n"
        );
    }

    #[test]
    fn the_last_column_is_cut_and_no_line_is_wider_than_the_terminal() {
        assert_eq!(
            plain(&table().text("", Some(30))),
            "ID  AGENT   WHAT\n\
             1   claude  fix the parser of…\n\
             22  日本    日本語のテキスト…\n"
        );
        for width in 0..60 {
            for line in plain(&table().text(" ", Some(width))).lines() {
                assert!(line.width() <= width.max(3), "{width}: {line:?}");
            }
        }
    }

    #[test]
    fn a_column_that_can_go_makes_way() {
        assert_eq!(
            plain(&table().text("", Some(25))),
            "ID  WHAT\n\
             1   fix the parser of da…\n\
             22  日本語のテキスト日本…\n"
        );
    }
}
