//! What a terminal is set to, as far as the emulator cannot be asked.

use std::ops::Range;

use alacritty_terminal::grid::Dimensions as _;
use alacritty_terminal::vte::ansi::{CharsetIndex, CursorStyle, ModifyOtherKeys};

use crate::keyboard::Keyboard;
use crate::modes::Modes;
use crate::size::Size;
use crate::tabs::TabStops;

/// More saved titles than a terminal keeps; the oldest are dropped.
const MOST_TITLES: usize = 10;

/// What `Term` does not tell, as far as a reset of the terminal clears it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Notes {
    pub(crate) modes: Modes,
    /// Of the primary and of the alternate screen.
    pub(crate) keyboards: [Keyboard; 2],
    pub(crate) modify_other_keys: Option<ModifyOtherKeys>,
    pub(crate) cursor_style: Option<CursorStyle>,
    /// Whether the cursor was told to blink, or not to, after its style.
    pub(crate) blinks: Option<bool>,
    pub(crate) tabs: TabStops,
    /// The rows that scroll.
    pub(crate) region: Range<i32>,
    pub(crate) charset: CharsetIndex,
    pub(crate) title: Option<String>,
    pub(crate) saved_titles: Vec<Option<String>>,
}

impl Notes {
    pub(crate) fn new(size: Size) -> Self {
        Self {
            modes: Modes::default(),
            keyboards: [Keyboard::default(), Keyboard::default()],
            modify_other_keys: None,
            cursor_style: None,
            blinks: None,
            tabs: TabStops::new(size.columns()),
            region: 0..size.rows.into(),
            charset: CharsetIndex::G0,
            title: None,
            saved_titles: Vec::new(),
        }
    }
    pub(crate) fn save_title(&mut self) {
        if self.saved_titles.len() == MOST_TITLES {
            self.saved_titles.remove(0);
        }
        self.saved_titles.push(self.title.clone());
    }

    pub(crate) fn restore_title(&mut self) {
        if let Some(title) = self.saved_titles.pop() {
            self.title = title;
        }
    }
}
