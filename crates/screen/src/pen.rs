//! How characters look, as sequences.

use alacritty_terminal::term::cell::{Cell, Flags, Hyperlink};
use alacritty_terminal::vte::ansi::{Color, NamedColor};

/// Everything that a program sets before it writes characters. The default is that of a fresh
/// terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pen {
    foreground: Color,
    background: Color,
    flags: Flags,
    underline: Option<Color>,
    link: Option<Hyperlink>,
}

/// The flags of a cell that are looks, with their parameters.
const LOOKS: [(Flags, &str); 11] = [
    (Flags::BOLD, ";1"),
    (Flags::DIM, ";2"),
    (Flags::ITALIC, ";3"),
    (Flags::UNDERLINE, ";4"),
    (Flags::DOUBLE_UNDERLINE, ";4:2"),
    (Flags::UNDERCURL, ";4:3"),
    (Flags::DOTTED_UNDERLINE, ";4:4"),
    (Flags::DASHED_UNDERLINE, ";4:5"),
    (Flags::INVERSE, ";7"),
    (Flags::HIDDEN, ";8"),
    (Flags::STRIKEOUT, ";9"),
];

/// The flags that say how a cell belongs to others.
const STRUCTURE: Flags = Flags::WRAPLINE
    .union(Flags::WIDE_CHAR)
    .union(Flags::WIDE_CHAR_SPACER)
    .union(Flags::LEADING_WIDE_CHAR_SPACER);

impl Pen {
    /// Returns the pen that a cell was written with.
    pub(crate) fn of(cell: &Cell) -> Self {
        Self {
            foreground: cell.fg,
            background: cell.bg,
            flags: cell.flags - STRUCTURE,
            underline: cell.underline_color(),
            link: cell.hyperlink(),
        }
    }

    /// Returns what changes another pen to this one.
    pub(crate) fn change_from(&self, other: &Self) -> String {
        let mut text = String::new();
        if self.link != other.link {
            text += &link(self.link.as_ref());
        }
        let is_same_look = (self.foreground, self.background, self.flags, self.underline)
            == (
                other.foreground,
                other.background,
                other.flags,
                other.underline,
            );
        if !is_same_look {
            text += &self.look();
        }
        text
    }

    /// Returns the sequence that sets all but the link.
    fn look(&self) -> String {
        let mut parameters = String::new();
        for (flag, parameter) in LOOKS {
            if self.flags.contains(flag) {
                parameters += parameter;
            }
        }
        parameters += &color(self.foreground, 30);
        parameters += &color(self.background, 40);
        // With colons: a terminal that does not know these would take semicolons for other looks.
        let underline = match self.underline {
            Some(Color::Indexed(index)) => format!(";58:5:{index}"),
            Some(Color::Spec(rgb)) => format!(";58:2::{}:{}:{}", rgb.r, rgb.g, rgb.b),
            Some(Color::Named(_)) | None => String::new(),
        };
        parameters += &underline;
        match parameters.as_str() {
            "" => "\x1b[m".into(),
            _ => format!("\x1b[0{parameters}m"),
        }
    }
}

impl Default for Pen {
    fn default() -> Self {
        Self::of(&Cell::default())
    }
}

/// Returns the sequence that begins a link, or ends it.
fn link(link: Option<&Hyperlink>) -> String {
    match link {
        Some(link) => format!("\x1b]8;id={};{}\x1b\\", link.id(), link.uri()),
        None => "\x1b]8;;\x1b\\".into(),
    }
}

/// Returns the parameters of a colour: `base` is 30 before and 40 behind the characters.
fn color(color: Color, base: usize) -> String {
    match color {
        Color::Named(name) if name <= NamedColor::White => format!(";{}", base + name as usize),
        Color::Named(name) if name <= NamedColor::BrightWhite => {
            format!(
                ";{}",
                base + 60 + name as usize - NamedColor::BrightBlack as usize
            )
        }
        Color::Named(_) => String::new(),
        Color::Indexed(index) => format!(";{};5;{index}", base + 8),
        Color::Spec(rgb) => format!(";{};2;{};{};{}", base + 8, rgb.r, rgb.g, rgb.b),
    }
}
