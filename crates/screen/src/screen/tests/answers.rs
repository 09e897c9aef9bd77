//! What a terminal that is not there answers.

use super::super::Answer;
use super::screen;

fn answers(question: &str) -> Vec<String> {
    let answers = screen(24, 80, question).take_answers().into_iter();
    answers
        .map(|answer| String::from_utf8(answer.bytes).unwrap())
        .collect()
}

#[test]
fn questions_that_a_terminal_can_answer_blindly_are_answered() {
    let question =
        "\x1b[3;4H\x1b[5n\x1b[6n\x1b[18t\x1b[?2004$p\x1b[?2004h\x1b[?2004$p\x1b[>5u\x1b[?u\x1b[c";
    let expected = [
        "\x1b[0n",
        "\x1b[3;4R",
        "\x1b[8;24;80t",
        "\x1b[?2004;2$y",
        "\x1b[?2004;1$y",
        "\x1b[?5u",
        "\x1b[?6c",
    ];
    assert_eq!(answers(question), expected);
}

#[test]
fn nobody_answers_for_colours_pixels_and_the_clipboard() {
    let question = "\x1b]10;?\x07\x1b]11;?\x07\x1b]12;?\x07\x1b]4;1;?\x07\x1b]52;c;?\x07\x1b[14t";
    assert_eq!(answers(question), Vec::<String>::new());
}

#[test]
fn an_answer_says_how_much_had_been_written() {
    let mut screen = screen(24, 80, "hello\x1b[");
    screen.advance(b"5n");
    screen.advance(b"more\x1b[5n!");
    let answer = |asked_at| Answer {
        asked_at,
        bytes: b"\x1b[0n".to_vec(),
    };
    assert_eq!(screen.take_answers(), [answer(9), answer(18)]);
    assert_eq!(screen.take_answers(), []);
}
