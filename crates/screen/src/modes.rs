//! The private modes that a program has switched.

/// Modes of which setting one unsets the others.
const EXCLUSIVE: [&[u16]; 2] = [&[1000, 1002, 1003], &[1005, 1006]];

/// Modes that are no state, are kept elsewhere, or after which a terminal would understand other
/// sequences: VT52 (2), 132 columns (3), origin (6), blinking (12), Tektronix (38), the alternate
/// screen (47 and 1047 to 1049), a synchronised update (2026).
const ELSEWHERE: [u16; 10] = [2, 3, 6, 12, 38, 47, 1047, 1048, 1049, 2026];

/// Modes that a terminal has set at first: wrapping, the cursor, wheel keys on the alternate screen.
const SET_AT_FIRST: [u16; 3] = [7, 25, 1007];

/// More modes than any terminal has; the oldest are dropped.
const MOST: usize = 64;

/// Every private mode that the program has set or unset, known to the emulator or not, in the order
/// in which it was switched last. Those that it never touched stay as the person has them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Modes(Vec<(u16, bool)>);

impl Modes {
    /// Notes that the program switched a mode.
    pub(crate) fn switch(&mut self, mode: u16, is_set: bool) {
        if ELSEWHERE.contains(&mode) {
            return;
        }
        let group = EXCLUSIVE.iter().find(|group| group.contains(&mode));
        let replaced = group.filter(|_| is_set).copied().unwrap_or_default();
        (self.0).retain(|(known, _)| *known != mode && !replaced.contains(known));
        if self.0.len() == MOST {
            self.0.remove(0);
        }
        self.0.push((mode, is_set));
    }

    /// Returns whether all of them are as a shell expects.
    pub(crate) fn are_plain(&self) -> bool {
        self.0
            .iter()
            .all(|(mode, is_set)| *is_set == SET_AT_FIRST.contains(mode))
    }

    /// Returns the sequences that switch all of them again.
    pub(crate) fn sequences(&self) -> String {
        let sequence = |(mode, is_set): &(u16, bool)| {
            let action = if *is_set { 'h' } else { 'l' };
            format!("\x1b[?{mode}{action}")
        };
        self.0.iter().map(sequence).collect()
    }
}
