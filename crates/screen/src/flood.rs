//! Which part of a flood of plain text leaves nothing behind.
//!
//! Text that scrolls out of the screen and out of its scrollback need not be drawn first. What else
//! text could change, such as character sets, looks and tab stops, takes control characters.

use memchr::{memchr, memchr3, memrchr_iter};

const ESCAPE: u8 = 0x1b;
const SHIFT_OUT: u8 = 0x0e;
const SHIFT_IN: u8 = 0x0f;
/// Begins the control characters above ASCII, in UTF-8.
const ABOVE_ASCII: u8 = 0xc2;

/// Returns how many bytes at the beginning need not be drawn, given how many lines a screen and its
/// scrollback have. What is left begins in the first column.
pub(crate) fn without_effect(bytes: &[u8], lines: usize) -> usize {
    let mut ends = memrchr_iter(b'\n', bytes).skip(lines);
    let begins_at_first =
        |end: &usize| end.checked_sub(1).and_then(|before| bytes.get(before)) == Some(&b'\r');
    let Some(end) = ends.find(begins_at_first) else {
        return 0;
    };
    let (flood, rest) = bytes.split_at(end + 1);
    let is_plain = memchr3(ESCAPE, SHIFT_OUT, SHIFT_IN, flood).is_none()
        && memchr(ABOVE_ASCII, flood).is_none();
    // The last character may be asked to be repeated.
    let has_text = rest.iter().any(u8::is_ascii_graphic);
    if is_plain && has_text { flood.len() } else { 0 }
}
