//! Who answers what the agent asks of its terminal: the typist's terminal if the question reached
//! it, otherwise the host in place of a terminal, and never both.

use std::ops::Range;

use amps_screen::Answer;

/// Questions that are not settled yet, and which part of the output a terminal has seen.
#[derive(Debug, Default)]
pub(super) struct Answers {
    open: Vec<Answer>,
    /// What a terminal saw that was the typist's before.
    seen_before: Range<u64>,
}

impl Answers {
    /// Adds what a terminal would have answered.
    pub(super) fn add(&mut self, answers: Vec<Answer>) {
        self.open.extend(answers);
    }

    /// Notes what a terminal has seen that will see nothing more.
    pub(super) fn saw(&mut self, seen: Range<u64>) {
        self.seen_before = seen;
    }

    /// Returns what the host has to answer. `sees` is what the typist's terminal has seen, and how
    /// far it will have seen when it has taken all that waits for it.
    pub(super) fn settle(&mut self, sees: Option<(&Range<u64>, u64)>) -> Vec<u8> {
        let mut own = Vec::new();
        let seen_before = self.seen_before.clone();
        // A question that ends at a place lies before it.
        let has = |seen: &Range<u64>, at: u64| seen.start < at && at <= seen.end;
        self.open.retain(|answer| {
            let at = answer.asked_at;
            match sees {
                Some((seen, _)) if has(seen, at) => false,
                Some((seen, until)) if has(&(seen.start..until), at) => true,
                _ => {
                    if !has(&seen_before, at) {
                        own.extend_from_slice(&answer.bytes);
                    }
                    false
                }
            }
        });
        own
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(at: u64) -> Vec<Answer> {
        vec![Answer {
            asked_at: at,
            bytes: at.to_string().into_bytes(),
        }]
    }

    #[test]
    fn without_a_typist_the_host_answers_once() {
        let mut answers = Answers::default();
        answers.add(asked(4));
        assert_eq!(answers.settle(None), b"4");
        assert_eq!(answers.settle(None), b"");
    }

    #[test]
    fn what_a_terminal_has_seen_it_answers() {
        let mut answers = Answers::default();
        for at in [10, 11, 20] {
            answers.add(asked(at));
        }
        let settled = answers.settle(Some((&(10..15), 20)));
        assert_eq!(settled, b"10", "asked before it came");
        assert_eq!(answers.settle(Some((&(10..20), 20))), b"");
        assert_eq!(answers.settle(None), b"", "each is settled once");
    }

    #[test]
    fn what_a_terminal_never_got_the_host_answers() {
        let mut answers = Answers::default();
        answers.add(asked(20));
        assert_eq!(
            answers.settle(Some((&(10..15), 30))),
            b"",
            "it is on its way"
        );
        answers.saw(10..15);
        assert_eq!(answers.settle(None), b"20");
        answers.add(asked(12));
        assert_eq!(
            answers.settle(None),
            b"",
            "known late, but that terminal had seen it"
        );
    }
}
