//! Random streams of what programs write.

use proptest::prelude::*;

use crate::size::Size;

/// One thing that happens to a terminal.
#[derive(Debug, Clone)]
pub(super) enum Event {
    Write(String),
    Resize(Size),
}

/// What needs no numbers.
const FIXED: [&str; 90] = [
    "hello, world ",
    "the quick brown fox jumps over the lazy dog ",
    "lqqqk x",
    "漢字",
    "幅の広い文字",
    "e\u{301}",
    "\u{308}",
    "😀",
    "👩\u{200d}👩\u{200d}👧",
    "☺\u{fe0f}",
    "a b  ",
    "\r\n",
    "\r\n",
    "\n",
    "\r",
    "\t",
    "\x08",
    "\x07",
    "\x1b[m",
    "\x1b[H",
    "\x1b[J",
    "\x1b[1J",
    "\x1b[2J",
    "\x1b[3J",
    "\x1b[K",
    "\x1b[1K",
    "\x1b[2K",
    "\x1bM",
    "\x1bD",
    "\x1bE",
    "\x1b7",
    "\x1b8",
    "\x1b[s",
    "\x1b[u",
    "\x1b[r",
    "\x1bH",
    "\x1b[g",
    "\x1b[3g",
    "\x1b(0",
    "\x1b(B",
    "\x1b)0",
    "\x1b)B",
    "\x1b*0",
    "\x1b+0",
    "\x0e",
    "\x0f",
    "\x1b=",
    "\x1b>",
    "\x1b#8",
    "\x1bc",
    "\x1b[4h",
    "\x1b[4l",
    "\x1b[20h",
    "\x1b[20l",
    "\x1b[?1049h",
    "\x1b[?1049h",
    "\x1b[?1049l",
    "\x1b[?47h",
    "\x1b[?1047l",
    "\x1b[?1048h",
    "\x1b[?1048l",
    "\x1b[?2026h",
    "\x1b[?2026l",
    "\x1b[>1u",
    "\x1b[>31u",
    "\x1b[<u",
    "\x1b[<5u",
    "\x1b[=5;1u",
    "\x1b[=2;2u",
    "\x1b[=1;3u",
    "\x1b[>4;1m",
    "\x1b[>4;2m",
    "\x1b[>4m",
    "\x1b]8;;http://example.org/a?b=c;d\x1b\\",
    "\x1b]8;id=one:x=y;file:///tmp\x07",
    "\x1b]8;;\x1b\\",
    "\x1b]2;a title; of two parts\x07",
    "\x1b]0;\x1b\\",
    "\x1b[22;0t",
    "\x1b[23;0t",
    "\x1b]4;1;rgb:12/34/56;200;#abcdef\x1b\\",
    "\x1b]104;1\x07",
    "\x1b]10;rgb:ff/00/80\x07",
    "\x1b]11;#102030\x07",
    "\x1b]12;rgb:0/f/0\x1b\\",
    "\x1b]111\x07",
    "\x1b]52;c;aGk=\x07",
    "\x1b[c\x1b[6n\x1b[?u\x1b]11;?\x07\x1b[?1$p",
    "\x1bP+q544e\x1b\\",
    "\x1b_Gi=1;AAAA\x1b\\",
];

const LOOKS: [&str; 34] = [
    "0",
    "1",
    "2",
    "3",
    "4",
    "4:2",
    "4:3",
    "4:4",
    "4:5",
    "4:0",
    "5",
    "7",
    "8",
    "9",
    "22",
    "23",
    "24",
    "27",
    "28",
    "29",
    "31",
    "37",
    "92",
    "39",
    "42",
    "107",
    "49",
    "38;5;123",
    "48;2;1;2;3",
    "38:2::9:8:7",
    "58:5:9",
    "58:2::1:2:3",
    "59",
    "38;5;7",
];

const MODES: [u16; 30] = [
    1, 3, 5, 6, 6, 7, 7, 9, 12, 25, 45, 66, 67, 69, 1000, 1002, 1003, 1004, 1005, 1006, 1007, 1015,
    1016, 1042, 2004, 2027, 2031, 2048, 4711, 2004,
];

fn write(text: impl Strategy<Value = String>) -> impl Strategy<Value = Event> {
    text.prop_map(Event::Write)
}

/// Something that a program writes.
fn written() -> impl Strategy<Value = Event> {
    let number = 0_u16..14;
    let look = prop::collection::vec(prop::sample::select(&LOOKS[..]), 1..4);
    let move_or_edit = prop::sample::select(&b"ABCDEFGd`ea@PXLMSTIZ"[..]);
    prop_oneof![
        10 => write(prop::sample::select(&FIXED[..]).prop_map(str::to_owned)),
        2 => write((prop::sample::select(&["x", "漢", "- "][..]), 1_usize..60)
            .prop_map(|(text, count)| text.repeat(count))),
        3 => write(look.prop_map(|looks| format!("\x1b[{}m", looks.join(";")))),
        4 => write((number.clone(), move_or_edit)
            .prop_map(|(count, action)| format!("\x1b[{count}{}", char::from(action)))),
        3 => write((number.clone(), 0_u16..30)
            .prop_map(|(line, column)| format!("\x1b[{line};{column}H"))),
        1 => write((number.clone(), number)
            .prop_map(|(top, bottom)| format!("\x1b[{top};{bottom}r"))),
        2 => write((prop::sample::select(&MODES[..]), prop::sample::select(&['h', 'l'][..]))
            .prop_map(|(mode, action)| format!("\x1b[?{mode}{action}"))),
        1 => write((0_u8..8).prop_map(|style| format!("\x1b[{style} q"))),
    ]
}

pub(super) fn size() -> impl Strategy<Value = Size> {
    (1_u16..12, 5_u16..30).prop_map(|(rows, cols)| Size { rows, cols })
}

/// What a program writes while its terminal stays as large as it is.
pub(super) fn writing() -> impl Strategy<Value = Vec<Event>> {
    prop::collection::vec(written(), 0..60)
}

/// What happens to a terminal.
pub(super) fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![30 => written(), 1 => size().prop_map(Event::Resize)];
    prop::collection::vec(event, 0..120)
}
