//! The keys by which a person detaches, found in what is typed.
//!
//! A key comes as one byte, or as an escape sequence where the agent has asked its terminal for
//! that: `CSI code ; modifiers u` of the kitty keyboard protocol, or `CSI 27 ; modifiers ; code ~`
//! of xterm's modifyOtherKeys.

use std::fmt;
use std::str::FromStr;

/// What begins and ends pasted text, in which nothing is a key.
const PASTE_BEGINS: &[u8] = b"\x1b[200~";
const PASTE_ENDS: &[u8] = b"\x1b[201~";

/// Keys that are typed one after the other, such as `ctrl-\ d`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chord(Vec<Key>);

/// One key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    code: char,
    ctrl: bool,
    alt: bool,
}

/// The text names no chord.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidChord {
    /// It has no key.
    #[error("it names no key")]
    Empty,
    /// A word is no key.
    #[error("`{0}` is no key; a key is such as d, ctrl-a, ctrl-\\ or alt-x")]
    NoKey(String),
    /// The first key would be typed all the time.
    #[error("its first key must have ctrl or alt, or nothing else could be typed")]
    Plain,
}

impl FromStr for Chord {
    type Err = InvalidChord;

    fn from_str(text: &str) -> Result<Self, InvalidChord> {
        let keys = text
            .split_whitespace()
            .map(|word| {
                word.parse()
                    .map_err(|()| InvalidChord::NoKey(word.to_owned()))
            })
            .collect::<Result<Vec<Key>, _>>()?;
        match keys.first() {
            None => Err(InvalidChord::Empty),
            Some(key) if !key.ctrl && !key.alt => Err(InvalidChord::Plain),
            Some(_) => Ok(Self(keys)),
        }
    }
}

impl Chord {
    /// Reads a chord, if there is one.
    pub(crate) fn read(text: Option<&str>) -> Result<Option<Self>, InvalidChord> {
        text.map(str::parse).transpose()
    }
}

impl fmt::Display for Chord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, key) in self.0.iter().enumerate() {
            if number > 0 {
                f.write_str(" ")?;
            }
            let ctrl = if key.ctrl { "ctrl-" } else { "" };
            let alt = if key.alt { "alt-" } else { "" };
            write!(f, "{ctrl}{alt}{}", key.code)?;
        }
        Ok(())
    }
}

impl FromStr for Key {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        let (mut ctrl, mut alt) = (false, false);
        let mut rest = word;
        loop {
            let lower = rest.to_ascii_lowercase();
            let modifier = [("ctrl-", &mut ctrl), ("alt-", &mut alt)]
                .into_iter()
                .find(|(name, _)| lower.starts_with(name) && lower.len() > name.len());
            let Some((name, flag)) = modifier else { break };
            *flag = true;
            rest = rest.get(name.len()..).ok_or(())?;
        }
        let mut letters = rest.chars();
        let (Some(code), None) = (letters.next(), letters.next()) else {
            return Err(());
        };
        let has_control = matches!(code.to_ascii_uppercase(), '@'..='_');
        if code.is_control() || (ctrl && !has_control) {
            return Err(());
        }
        let code = if ctrl {
            code.to_ascii_lowercase()
        } else {
            code
        };
        Ok(Self { code, ctrl, alt })
    }
}

/// Something typed, as far as it matters for a chord.
enum Stroke {
    /// A key was pressed.
    Press(Key),
    /// A key was let go, or a modifier alone was pressed: that interrupts no chord.
    Aside,
}

/// Reads one key at the beginning of what was typed, with its length.
fn stroke(bytes: &[u8]) -> Option<(Stroke, usize)> {
    let plain = |code: char, ctrl, alt| Stroke::Press(Key { code, ctrl, alt });
    match bytes {
        [0x1b, b'[', rest @ ..] => escaped(rest).map(|(stroke, length)| (stroke, length + 2)),
        [0x1b, byte @ 0x21..=0x7e, ..] => Some((plain(char::from(*byte), false, true), 2)),
        [byte @ 0..=0x1f, ..] if *byte != 0x1b => {
            let code = char::from(byte | 0x40).to_ascii_lowercase();
            Some((plain(code, true, false), 1))
        }
        [_, ..] => {
            let most = bytes.get(..bytes.len().min(4)).unwrap_or_default();
            let text = match std::str::from_utf8(most) {
                Ok(text) => text,
                Err(error) => std::str::from_utf8(most.get(..error.valid_up_to())?).ok()?,
            };
            let code = text.chars().next()?;
            Some((plain(code, false, false), code.len_utf8()))
        }
        [] => None,
    }
}

/// Reads what follows `CSI` of a key, with its length.
fn escaped(bytes: &[u8]) -> Option<(Stroke, usize)> {
    let end = bytes
        .iter()
        .position(|byte| !matches!(byte, b'0'..=b'9' | b';' | b':'))?;
    let text = std::str::from_utf8(bytes.get(..end)?).ok()?;
    let mut fields = text.split(';');
    let mut number = || fields.next().unwrap_or_default().split(':');
    let (code, modifiers) = match bytes.get(end)? {
        b'u' => (number().next()?.parse::<u32>().ok()?, number()),
        b'~' => {
            if number().next()? != "27" {
                return None;
            }
            let modifiers = number();
            (number().next()?.parse().ok()?, modifiers)
        }
        _ => return None,
    };
    let mut modifiers = modifiers.map(|part| part.parse::<u32>().unwrap_or(1));
    let held = modifiers.next().unwrap_or(1).saturating_sub(1);
    let is_release = modifiers.next() == Some(3);
    // Codes of modifier keys by themselves, kitty keyboard protocol.
    let is_modifier = (57_441..=57_454).contains(&code);
    let stroke = if is_release || is_modifier {
        Stroke::Aside
    } else {
        Stroke::Press(Key {
            code: char::from_u32(code)?.to_ascii_lowercase(),
            ctrl: held & 4 != 0,
            alt: held & 2 != 0,
        })
    };
    Some((stroke, end + 1))
}

/// Finds the chord in what is typed, in pieces as they come.
#[derive(Debug)]
pub(crate) struct Watch {
    chord: Option<Chord>,
    /// How many keys of the chord have been typed.
    typed: usize,
    /// The bytes of those keys, which the agent has not got.
    held: Vec<u8>,
    /// How many of them are the first key.
    first: usize,
    is_pasting: bool,
    /// The last bytes, in which the mark of a paste may have begun.
    tail: Vec<u8>,
}

/// What came of something typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Typed {
    /// What the agent gets.
    pub(crate) to_agent: Vec<u8>,
    /// Whether the chord was typed.
    pub(crate) detach: bool,
}

impl Watch {
    /// Watches for a chord; without one everything goes to the agent.
    pub(crate) fn new(chord: Option<Chord>) -> Self {
        Self {
            chord,
            typed: 0,
            held: Vec::new(),
            first: 0,
            is_pasting: false,
            tail: Vec::new(),
        }
    }

    /// Returns whether part of the chord has been typed and is being held back.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.held.is_empty()
    }

    /// Returns what was held back: no more of the chord came.
    pub(crate) fn give_up(&mut self) -> Vec<u8> {
        self.typed = 0;
        std::mem::take(&mut self.held)
    }

    /// Takes what was typed. The first key of the chord typed twice reaches the agent once. What
    /// comes after the chord is dropped.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Typed {
        let Some(Chord(keys)) = self.chord.clone() else {
            return Typed {
                to_agent: bytes.to_vec(),
                detach: false,
            };
        };
        let mut typed = Typed::default();
        let mut rest = bytes;
        while !rest.is_empty() {
            let (stroke, length) = match stroke(rest).filter(|_| !self.is_pasting) {
                Some((stroke, length)) => (Some(stroke), length),
                None => (None, 1),
            };
            let (piece, later) = rest.split_at(length.min(rest.len()));
            rest = later;
            match (stroke, keys.get(self.typed)) {
                (Some(Stroke::Press(key)), Some(wanted)) if key == *wanted => {
                    self.held.extend_from_slice(piece);
                    self.typed += 1;
                    if self.typed == 1 {
                        self.first = self.held.len();
                    }
                    if self.typed == keys.len() {
                        self.give_up();
                        typed.detach = true;
                        return typed;
                    }
                }
                (Some(Stroke::Press(key)), _) if self.typed == 1 && keys.first() == Some(&key) => {
                    let mut held = self.give_up();
                    held.truncate(self.first);
                    typed.to_agent.extend(held);
                }
                (Some(Stroke::Aside), _) if self.typed > 0 => self.held.extend_from_slice(piece),
                _ => {
                    typed.to_agent.extend(self.give_up());
                    typed.to_agent.extend_from_slice(piece);
                    self.look_for_paste(piece);
                }
            }
        }
        typed
    }

    fn look_for_paste(&mut self, piece: &[u8]) {
        self.tail.extend_from_slice(piece);
        let keep = self.tail.len().saturating_sub(PASTE_BEGINS.len());
        self.tail.drain(..keep);
        let mark = if self.is_pasting {
            PASTE_ENDS
        } else {
            PASTE_BEGINS
        };
        if self.tail == mark {
            self.is_pasting = !self.is_pasting;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn watch(chord: &str) -> Watch {
        Watch::new(Some(chord.parse().unwrap()))
    }

    fn passed(bytes: &[u8]) -> Typed {
        Typed {
            to_agent: bytes.to_vec(),
            detach: false,
        }
    }

    fn detached() -> Typed {
        Typed {
            to_agent: Vec::new(),
            detach: true,
        }
    }

    #[test]
    fn a_chord_reads_back_and_mistakes_are_named() {
        for text in ["ctrl-\\ d", "ctrl-a ctrl-d", "alt-x", "ctrl-alt-q d d"] {
            assert_eq!(text.parse::<Chord>().unwrap().to_string(), text);
        }
        assert_eq!("".parse::<Chord>(), Err(InvalidChord::Empty));
        assert_eq!("d".parse::<Chord>(), Err(InvalidChord::Plain));
        for text in ["ctrl-", "ctrl-1 d", "hyper-x", "ctrl-ab"] {
            assert!(
                matches!(text.parse::<Chord>(), Err(InvalidChord::NoKey(_))),
                "{text}"
            );
        }
    }

    #[test]
    fn the_chord_detaches_in_every_form_that_terminals_send() {
        for bytes in [
            &b"\x1cd"[..],
            b"\x1b[92;5ud",
            b"\x1b[92;5u\x1b[100u",
            b"\x1b[92;5:1u\x1b[92;5:3u\x1b[57442;5:3u\x1b[100;1:1u",
            b"\x1b[92;69u\x1b[100;65u",
            b"\x1b[27;5;92~d",
        ] {
            assert_eq!(
                watch("ctrl-\\ d").take(bytes),
                detached(),
                "{}",
                bytes.escape_ascii()
            );
        }
        let mut slow = watch("ctrl-\\ d");
        assert_eq!(slow.take(b"\x1c"), passed(b""));
        assert!(slow.is_waiting());
        assert_eq!(slow.take(b"d"), detached());
        assert_eq!(watch("alt-x").take(b"\x1bx"), detached());
        assert_eq!(watch("alt-x").take(b"\x1b[120;3u"), detached());
    }

    #[test]
    fn a_chord_that_is_also_the_agents_key_reaches_it_when_typed_twice_or_alone() {
        let mut watch = watch("ctrl-\\ d");
        assert_eq!(watch.take(b"\x1c\x1cd"), passed(b"\x1cd"));
        assert_eq!(watch.take(b"\x1cx"), passed(b"\x1cx"));
        assert_eq!(watch.take(b"a\x1c"), passed(b"a"));
        assert_eq!(watch.give_up(), b"\x1c");
        assert_eq!(watch.take(b"d"), passed(b"d"));
    }

    #[test]
    fn what_is_pasted_is_no_chord() {
        let mut watch = watch("ctrl-\\ d");
        let pasted = b"\x1b[200~x\x1cd\x1b[201~";
        for (number, byte) in pasted.iter().enumerate() {
            assert_eq!(watch.take(&[*byte]), passed(&[*byte]), "byte {number}");
        }
        assert_eq!(watch.take(pasted), passed(pasted));
        assert_eq!(watch.take(b"\x1cd"), detached());
    }

    #[test]
    fn the_escape_key_alone_is_not_held_back() {
        assert_eq!(watch("alt-x d").take(b"\x1b"), passed(b"\x1b"));
        assert_eq!(
            watch("ctrl-\\ d").take(b"\x1b[A\x1bOP"),
            passed(b"\x1b[A\x1bOP")
        );
    }

    proptest! {
        #[test]
        fn without_the_first_key_every_byte_passes(bytes: Vec<u8>, cut: usize) {
            let bytes: Vec<u8> = bytes.into_iter().filter(|byte| *byte != 0x1c && *byte != 0x1b).collect();
            let (one, two) = bytes.split_at(cut % (bytes.len() + 1));
            let mut watch = watch("ctrl-\\ d");
            let mut out = watch.take(one).to_agent;
            out.extend(watch.take(two).to_agent);
            prop_assert_eq!(out, bytes);
        }
    }
}
