//! The bytes that give a terminal back to a shell.

/// The steps, in an order that matters: what leaving the alternate screen or restoring the cursor
/// brings back is reset after it.
const STEPS: [&str; 16] = [
    // Whatever was begun has ended; cancelling before terminating gives it no effect.
    "\x18\x1b\\",
    // No update is open any more.
    "\x1b[?2026l",
    // Keys are reported as ever, on the alternate screen if that is shown.
    "\x1b[<99u\x1b[=0;1u",
    // The primary screen. On that screen the same sequence restores a cursor, so one is saved.
    "\x1b7\x1b[?1049l",
    // Keys again, for the primary screen.
    "\x1b[<99u\x1b[=0;1u\x1b[>4m",
    // Where terminals know it, this resets margins and origin and leaves the cursor alone.
    "\x1b[!p",
    // Where they do not: each of these moves the cursor.
    "\x1b7\x1b[?6l\x1b[?69l\x1b[r\x1b8",
    // No insert mode, no line feed mode, wrapping, no reverse video, no reverse wrapping.
    "\x1b[4l\x1b[20l\x1b[?7h\x1b[?5l\x1b[?45l",
    // Cursor keys and keypad.
    "\x1b[?1l\x1b[?66l\x1b>",
    // Mouse: what is reported, then how.
    "\x1b[?9l\x1b[?1000l\x1b[?1001l\x1b[?1002l\x1b[?1003l",
    "\x1b[?1005l\x1b[?1006l\x1b[?1015l\x1b[?1016l",
    // Focus, pastes, and what newer terminals tell unasked: colours and size.
    "\x1b[?1004l\x1b[?2004l\x1b[?2031l\x1b[?2048l",
    // The cursor.
    "\x1b[0 q\x1b[?25h",
    // No link, no looks.
    "\x1b]8;;\x1b\\\x1b[m",
    // Character sets.
    "\x1b(B\x1b)B\x1b*B\x1b+B",
    "\x0f",
];

/// Returns the bytes that bring the modes of a terminal back to what a shell expects, whatever a
/// program has left. What the primary screen shows stays, and so does the cursor.
pub fn reset() -> Vec<u8> {
    STEPS.concat().into_bytes()
}
