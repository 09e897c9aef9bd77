//! Telling text from escape sequences in what goes to a terminal or comes from one, byte by byte.
//!
//! The states are those of ECMA-48 as terminals read it in UTF-8: control characters act even inside
//! a sequence, CAN and SUB give one up, ESC begins another.

/// Reads bytes one at a time, however they are cut into chunks.
#[derive(Clone, Debug, Default)]
pub struct Scanner {
    state: State,
    parameters: Parameters,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Ground,
    Escape,
    /// Behind an escape with an intermediate byte, such as the choice of a character set.
    Intermediate,
    Control,
    /// In a string; whether BEL ends it.
    Text {
        ends_at_bell: bool,
    },
    /// In a string, behind an ESC that may end it.
    TextEscape,
}

/// The first two numbers of a control sequence; `None` where none is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parameters {
    numbers: [Option<u16>; 2],
    place: usize,
    is_private: bool,
}

/// What a byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A byte of text.
    Text,
    /// A control character outside of strings, such as a line feed.
    Control,
    /// A byte of a string that an escape sequence holds, such as a title or a link.
    Aside,
    /// A byte of a sequence that goes on.
    Inside,
    /// The last byte of a plain escape sequence.
    Escape(u8),
    /// The last byte of a control sequence, with its numbers.
    Sequence(u8, Parameters),
}

impl Parameters {
    /// Returns the number at a place, or 1 where none or zero is given.
    pub fn count(&self, place: usize) -> u16 {
        let number = self.numbers.get(place).copied().flatten();
        number.unwrap_or(1).max(1)
    }

    /// Returns whether the sequence is one of a private kind, which moves nothing.
    pub fn is_private(&self) -> bool {
        self.is_private
    }

    fn push(&mut self, byte: u8) {
        match byte {
            b'0'..=b'9' => {
                if let Some(number) = self.numbers.get_mut(self.place) {
                    let digit = u16::from(byte - b'0');
                    let longer = number.unwrap_or(0).saturating_mul(10);
                    *number = Some(longer.saturating_add(digit));
                }
            }
            b';' | b':' => self.place += 1,
            _ => self.is_private = true,
        }
    }
}

impl Scanner {
    /// Takes the next byte.
    pub fn step(&mut self, byte: u8) -> Step {
        match (self.state, byte) {
            (State::Text { .. }, 0x1b) => self.go_on(State::TextEscape, Step::Inside),
            (State::TextEscape, b'\\') => self.go_on(State::Ground, Step::Inside),
            (_, 0x1b) => self.go_on(State::Escape, Step::Inside),
            (State::Ground, 0x00..0x20 | 0x7f) => Step::Control,
            (_, 0x18 | 0x1a) => self.go_on(State::Ground, Step::Inside),
            (State::Ground, _) => Step::Text,
            (State::Text { ends_at_bell: true }, 0x07) => self.go_on(State::Ground, Step::Inside),
            (State::Text { .. }, _) => Step::Aside,
            (_, 0x00..0x20 | 0x7f) => Step::Control,
            (State::Escape | State::TextEscape, byte) => self.escape(byte),
            (State::Intermediate, 0x20..0x30) => Step::Inside,
            (State::Intermediate, byte) => self.go_on(State::Ground, Step::Escape(byte)),
            (State::Control, 0x30..0x40) => {
                self.parameters.push(byte);
                Step::Inside
            }
            (State::Control, 0x20..0x30) => {
                // An intermediate byte makes it another sequence, and none of those moves.
                self.parameters.is_private = true;
                Step::Inside
            }
            (State::Control, byte) => {
                let step = Step::Sequence(byte, self.parameters);
                self.go_on(State::Ground, step)
            }
        }
    }

    fn escape(&mut self, byte: u8) -> Step {
        match byte {
            b'[' => {
                self.parameters = Parameters::default();
                self.go_on(State::Control, Step::Inside)
            }
            b']' => self.go_on(State::Text { ends_at_bell: true }, Step::Inside),
            b'P' | b'X' | b'^' | b'_' => self.go_on(
                State::Text {
                    ends_at_bell: false,
                },
                Step::Inside,
            ),
            0x20..0x30 => self.go_on(State::Intermediate, Step::Inside),
            _ => self.go_on(State::Ground, Step::Escape(byte)),
        }
    }

    fn go_on(&mut self, state: State, step: Step) -> Step {
        self.state = state;
        step
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(bytes: &[u8]) -> String {
        let mut scanner = Scanner::default();
        let text = bytes
            .iter()
            .filter(|byte| scanner.step(**byte) == Step::Text);
        String::from_utf8(text.copied().collect()).unwrap()
    }

    #[test]
    fn sequences_are_told_from_text() {
        for (bytes, text) in [
            ("a\x1b[1;31mb\x1b[0mc", "abc"),
            ("a\x1b]0;title\x07b\x1b]8;;http://x\x1b\\c", "abc"),
            ("a\x1bPq#0\x07still\x1b\\b", "ab"),
            ("a\x1b(Bb\x1b7c\x1b[?25ld", "abcd"),
            ("a\x1b[3\x181b", "a1b"),
            ("a\x1b[3\x1b[4mb", "ab"),
            ("a\x1b]0;torn\x1b[31mb", "ab"),
            ("é\x1b[31mü", "éü"),
        ] {
            assert_eq!(text_of(bytes.as_bytes()), text, "{bytes:?}");
        }
    }

    #[test]
    fn numbers_of_a_sequence_are_read() {
        let mut scanner = Scanner::default();
        let last = "\x1b[12;7H".bytes().map(|byte| scanner.step(byte)).last();
        let Some(Step::Sequence(b'H', parameters)) = last else {
            panic!("{last:?}");
        };
        assert_eq!((parameters.count(0), parameters.count(1)), (12, 7));
        assert_eq!(parameters.count(2), 1);
    }
}
