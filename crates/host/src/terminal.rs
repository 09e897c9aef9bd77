//! The line of a person's terminal: its size, and its modes while an agent is shown on it.

use std::io;
use std::os::fd::AsFd;

use amps_proto::hold::{TerminalModes, TerminalSize};
use rustix::termios::{
    ControlModes, InputModes, LocalModes, OptionalActions, OutputModes, SpecialCodeIndex, Termios,
    Winsize, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize,
};

/// Returns the modes of a line.
pub fn modes(line: impl AsFd) -> io::Result<TerminalModes> {
    let termios = tcgetattr(line)?;
    Ok(TerminalModes {
        input: termios.input_modes.bits(),
        output: termios.output_modes.bits(),
        control: termios.control_modes.bits(),
        local: termios.local_modes.bits(),
        min: termios.special_codes[SpecialCodeIndex::VMIN],
        time: termios.special_codes[SpecialCodeIndex::VTIME],
    })
}

/// Has a line pass everything on as it is typed and written.
pub fn make_raw(line: impl AsFd) -> io::Result<()> {
    let mut termios = tcgetattr(&line)?;
    termios.make_raw();
    set(line, &termios)
}

/// Brings the modes of a line back.
pub fn restore(line: impl AsFd, modes: &TerminalModes) -> io::Result<()> {
    let mut termios = tcgetattr(&line)?;
    termios.input_modes = InputModes::from_bits_retain(modes.input);
    termios.output_modes = OutputModes::from_bits_retain(modes.output);
    termios.control_modes = ControlModes::from_bits_retain(modes.control);
    termios.local_modes = LocalModes::from_bits_retain(modes.local);
    termios.special_codes[SpecialCodeIndex::VMIN] = modes.min;
    termios.special_codes[SpecialCodeIndex::VTIME] = modes.time;
    set(line, &termios)
}

/// At once: a terminal that was stopped by Ctrl-S would never have shown all that was written.
fn set(line: impl AsFd, termios: &Termios) -> io::Result<()> {
    Ok(tcsetattr(line, OptionalActions::Now, termios)?)
}

/// Returns the size of a terminal; what tells none has 24 rows of 80 columns.
pub fn size(line: impl AsFd) -> TerminalSize {
    let told = tcgetwinsize(line).unwrap_or(Winsize {
        ws_row: 0,
        ws_col: 0,
        ws_xpixel: 0,
        ws_ypixel: 0,
    });
    match (told.ws_row, told.ws_col) {
        (0, _) | (_, 0) => TerminalSize { rows: 24, cols: 80 },
        (rows, cols) => TerminalSize { rows, cols },
    }
}

/// Gives a line a size; the kernel tells its foreground group of a change.
pub(crate) fn set_size(line: impl AsFd, size: TerminalSize) -> io::Result<()> {
    Ok(tcsetwinsize(
        line,
        Winsize {
            ws_row: size.rows,
            ws_col: size.cols,
            ws_xpixel: 0,
            ws_ypixel: 0,
        },
    )?)
}
