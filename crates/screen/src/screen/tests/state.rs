//! Everything that a screen knows, as lines that can be compared.

use std::collections::BTreeMap;

use alacritty_terminal::grid::{Cursor, Dimensions as _, Grid};
use alacritty_terminal::index::Line;
use alacritty_terminal::term::cell::Cell;

use super::super::Screen;
use crate::pen::Pen;

/// How much of a state is compared: the other screen has had a life of its own before.
#[derive(Debug, Clone)]
pub(super) struct Extent {
    history: usize,
    has_title: bool,
}

/// Returns what a redraw of the screen carries.
pub(super) fn extent(screen: &Screen) -> Extent {
    let emulator = &screen.emulator;
    let primary = if emulator.is_alternate() {
        emulator.hidden()
    } else {
        emulator.shown()
    };
    Extent {
        history: primary.history_size(),
        has_title: emulator.notes().title.is_some(),
    }
}

/// Returns the state in so far as it is compared.
pub(super) fn state(screen: &Screen, extent: &Extent) -> Vec<String> {
    let emulator = &screen.emulator;
    let notes = emulator.notes();
    let mut lines = Vec::new();
    if emulator.is_alternate() {
        lines.extend(rows("alternate", emulator.shown(), 0));
        lines.extend(rows("primary", emulator.hidden(), extent.history));
        lines.push(cursor("primary cursor", &emulator.hidden().cursor));
    } else {
        lines.extend(rows("primary", emulator.shown(), extent.history));
    }
    lines.push(cursor("cursor", &emulator.shown().cursor));
    lines.push(cursor("saved cursor", &emulator.shown().saved_cursor));
    if !emulator.is_alternate() {
        let saved = &emulator.hidden().saved_cursor;
        lines.push(cursor("alternate saved cursor", saved));
    }
    lines.push(format!("keys {:?}", notes.keyboards));
    if extent.has_title {
        lines.push(format!("title {:?}", notes.title));
        lines.push(format!("saved titles {:?}", notes.saved_titles));
    }
    lines.push(format!("{:?}", emulator.mode()));
    lines.push(format!("{:?}", modes(&notes.modes.sequences())));
    lines.push(format!("{:?}", notes.tabs));
    lines.push(format!("region {:?}", notes.region));
    lines.push(format!("charset {:?}", notes.charset));
    lines.push(format!("style {:?} {:?}", notes.cursor_style, notes.blinks));
    let keys = notes.modify_other_keys.filter(|keys| *keys as u8 > 0);
    lines.push(format!("other keys {keys:?}"));
    lines.push(format!(
        "colours {:?}",
        emulator.colors().collect::<Vec<_>>()
    ));
    lines.push(format!("updating {}", emulator.is_updating()));
    lines.push(format!("unfinished {:?}", screen.unfinished));
    lines
}

fn rows(name: &str, grid: &Grid<Cell>, history: usize) -> Vec<String> {
    let first = -i32::try_from(history.min(grid.history_size())).unwrap();
    let row = |line: i32| {
        let cells = grid[Line(line)][..].iter().enumerate();
        let cells: String = cells
            .map(|(column, cell)| describe(cell).map(|text| format!(" {column}{text}")))
            .map(Option::unwrap_or_default)
            .collect();
        format!("{name} {line}:{cells}")
    };
    (first..=grid.bottommost_line().0).map(row).collect()
}

fn describe(cell: &Cell) -> Option<String> {
    let zerowidth = cell.zerowidth().unwrap_or_default();
    let character = if cell.c == '\t' { ' ' } else { cell.c };
    let pen = Pen::of(cell);
    let look = if pen == Pen::default() {
        String::new()
    } else {
        look_of(&pen)
    };
    let is_blank = character == ' ' && zerowidth.is_empty() && look.is_empty();
    let text = format!("{character:?}{zerowidth:?}{look}{:?}", cell.flags);
    (!is_blank || !cell.flags.is_empty()).then_some(text)
}

fn cursor(name: &str, cursor: &Cursor<Cell>) -> String {
    let pen = look_of(&Pen::of(&cursor.template));
    let (wraps, sets) = (cursor.input_needs_wrap, cursor.charsets);
    format!("{name} {:?} {wraps} {sets:?} {pen}", cursor.point)
}

/// Describes a pen. A link without an id is given one that counts, which differs.
fn look_of(pen: &Pen) -> String {
    let text = format!("{pen:?}");
    let parts = text.split('"').map(|part| match part {
        made if made.ends_with("_alacritty") => "made",
        part => part,
    });
    parts.collect::<Vec<_>>().join("\"")
}

/// Returns the modes that are not as in a fresh terminal.
fn modes(sequences: &str) -> BTreeMap<String, bool> {
    let switches = sequences.split("\x1b[?").filter(|text| !text.is_empty());
    switches
        .map(|text| text.split_at(text.len() - 1))
        .map(|(mode, action)| (mode.to_owned(), action == "h"))
        .filter(|(mode, is_set)| matches!(mode.as_str(), "7" | "25") != *is_set)
        .collect()
}
