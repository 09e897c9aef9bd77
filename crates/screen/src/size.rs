//! How large a terminal is.

use alacritty_terminal::grid::Dimensions;

/// Rows and columns of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// How many lines are visible.
    pub rows: u16,
    /// How many characters fit into a line.
    pub cols: u16,
}

impl Size {
    const MOST_ROWS: u16 = 1000;
    const MOST_COLS: u16 = 2000;

    /// Returns the size that a screen of this size really has. A terminal that does not know its
    /// size says zero and is taken as 24 by 80; a wide character needs two columns; and nobody has
    /// a terminal so large that its cells would fill the memory.
    #[must_use]
    pub fn clamped(self) -> Self {
        if self.rows == 0 || self.cols == 0 {
            return Self::default();
        }
        Self {
            rows: self.rows.min(Self::MOST_ROWS),
            cols: self.cols.clamp(2, Self::MOST_COLS),
        }
    }
}

impl Default for Size {
    fn default() -> Self {
        Self { rows: 24, cols: 80 }
    }
}

impl Dimensions for Size {
    fn total_lines(&self) -> usize {
        self.screen_lines()
    }

    fn screen_lines(&self) -> usize {
        self.rows.into()
    }

    fn columns(&self) -> usize {
        self.cols.into()
    }
}
