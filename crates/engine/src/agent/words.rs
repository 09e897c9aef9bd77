//! Command lines of agents.

/// A command line in the making.
#[derive(Debug, Default)]
pub(super) struct Words(Vec<String>);

impl Words {
    /// Begins with these words.
    pub(super) fn of(words: &[&str]) -> Self {
        Self::default().and(words)
    }

    /// Adds words.
    pub(super) fn and(mut self, words: &[&str]) -> Self {
        self.0.extend(words.iter().map(|&word| word.to_owned()));
        self
    }

    /// Adds an option, if it has a value.
    pub(super) fn option(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.and(&[name, value]),
            None => self,
        }
    }

    /// Adds words that hold unless the further arguments have one of `others`: some agents refuse an
    /// option that is given twice, and two options that contradict each other.
    pub(super) fn unless(self, others: &[&str], further: &[String], words: &[&str]) -> Self {
        let says = |word: &String| {
            others.iter().any(|other| {
                let rest = word.strip_prefix(other);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
            })
        };
        if further.iter().any(says) {
            self
        } else {
            self.and(words)
        }
    }

    /// Ends with the further arguments.
    pub(super) fn further(mut self, further: &[String]) -> Vec<String> {
        self.0.extend_from_slice(further);
        self.0
    }
}
