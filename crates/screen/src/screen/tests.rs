//! What a screen shows and draws.

mod answers;
mod carried;
mod endurance;
mod exact;
mod flood;
mod mended;
mod others;
mod state;
mod streams;
mod views;

use std::num::NonZeroU16;

use super::Screen;
use crate::size::Size;

/// Returns a screen that has been given these bytes.
fn screen(rows: u16, cols: u16, bytes: impl AsRef<[u8]>) -> Screen {
    let mut screen = Screen::new(Size { rows, cols }, 100);
    screen.advance(bytes.as_ref());
    screen
}

/// Returns a terminal that shares no code with ours.
fn terminal(size: Size) -> vt100::Parser {
    let [rows, cols] = [size.rows, size.cols].map(|count| NonZeroU16::new(count).unwrap());
    vt100::Parser::new(rows, cols, 50)
}
