//! Where a tab stops.

/// How far apart the stops of a fresh terminal are.
const DISTANCE: usize = 8;

/// For each column whether a tab stops there. The emulator keeps its own to itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TabStops(Vec<bool>);

impl TabStops {
    pub(crate) fn new(columns: usize) -> Self {
        let mut stops = Self(Vec::new());
        stops.resize(columns);
        stops
    }

    /// Changes the number of columns; new ones have the stops of a fresh terminal.
    pub(crate) fn resize(&mut self, columns: usize) {
        self.0.truncate(columns);
        let new = self.0.len()..columns;
        self.0.extend(new.map(|column| column % DISTANCE == 0));
    }

    /// Says whether a tab stops at this column.
    pub(crate) fn set(&mut self, column: usize, stops: bool) {
        if let Some(known) = self.0.get_mut(column) {
            *known = stops;
        }
    }

    pub(crate) fn clear(&mut self) {
        self.0.fill(false);
    }

    /// Returns the columns at which a tab stops.
    pub(crate) fn columns(&self) -> impl Iterator<Item = usize> {
        let columns = self.0.iter().enumerate();
        columns.filter_map(|(column, stops)| stops.then_some(column))
    }
}
