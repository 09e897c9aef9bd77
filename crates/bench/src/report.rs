//! What is printed: one row per goal, and the figures behind the rows.

use serde::Serialize;
use serde_json::json;

use crate::{
    series::{Series, Track},
    stats::{self, Spread},
};

/// On which side of its limit a value has to be.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) enum Sense {
    /// The limit or less.
    AtMost,
    /// The limit or more.
    AtLeast,
}

/// A limit.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Goal {
    limit: f64,
    sense: Sense,
}

/// Returns the goal of staying at or below a limit.
pub(crate) fn at_most(limit: f64) -> Goal {
    let sense = Sense::AtMost;
    Goal { limit, sense }
}

/// Returns the goal of reaching a limit.
pub(crate) fn at_least(limit: f64) -> Goal {
    let sense = Sense::AtLeast;
    Goal { limit, sense }
}

impl Goal {
    fn holds(self, value: f64) -> bool {
        match self.sense {
            Sense::AtMost => value <= self.limit,
            Sense::AtLeast => value >= self.limit,
        }
    }

    fn text(self, unit: &str) -> String {
        let sign = match self.sense {
            Sense::AtMost => "≤",
            Sense::AtLeast => "≥",
        };
        format!("{sign} {} {unit}", number(self.limit))
    }
}

/// One goal with its verdict.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    id: &'static str,
    what: String,
    yardstick: String,
    ours: String,
    value: Option<Spread>,
    unit: &'static str,
    must: Option<Goal>,
    stretch: Option<Goal>,
    why_not: String,
}

impl Row {
    /// Begins a row that is not measured yet.
    pub(crate) fn new(id: &'static str, what: &str) -> Self {
        Self {
            id,
            what: what.to_owned(),
            yardstick: "–".to_owned(),
            ours: "–".to_owned(),
            value: None,
            unit: "x",
            must: None,
            stretch: None,
            why_not: "not measured".to_owned(),
        }
    }

    /// Names the yardstick and, when there are samples, their median.
    pub(crate) fn yardstick(mut self, name: &str, samples: &[f64], unit: &str) -> Self {
        self.yardstick = match Spread::of(samples) {
            Some(spread) => format!("{name} {} {unit}", number(spread.median)),
            None => format!("{name}: not measured"),
        };
        self
    }

    /// Sets the must and the stretch goal, in a unit.
    pub(crate) fn goals(mut self, must: Goal, stretch: Goal, unit: &'static str) -> Self {
        self.must = Some(must);
        self.stretch = Some(stretch);
        self.unit = unit;
        self
    }

    /// Tells what ours took.
    pub(crate) fn ours(mut self, samples: &[f64], unit: &str) -> Self {
        if let Some(spread) = Spread::of(samples) {
            self.ours = format!("{} {unit}", number(spread.median));
        }
        self
    }

    /// Sets what is held against the goals; its median decides.
    pub(crate) fn judged(mut self, values: &[f64]) -> Self {
        self.value = Spread::of(values);
        self
    }

    /// Says why there is no verdict.
    pub(crate) fn because(mut self, reason: &str) -> Self {
        reason.clone_into(&mut self.why_not);
        self
    }

    fn verdict(&self) -> String {
        let (Some(value), Some(must)) = (self.value, self.must) else {
            return self.why_not.clone();
        };
        let stretch = self.stretch.is_some_and(|goal| goal.holds(value.median));
        match (must.holds(value.median), stretch) {
            (true, true) => "met, stretch too".to_owned(),
            (true, false) => "met".to_owned(),
            (false, _) => "**missed**".to_owned(),
        }
    }

    fn cells(&self) -> [String; 7] {
        let goal = |goal: Option<Goal>| goal.map_or("–".to_owned(), |goal| goal.text(self.unit));
        [
            format!("{} {}", self.id, self.what),
            self.yardstick.clone(),
            self.ours.clone(),
            self.value
                .map_or("–".to_owned(), |value| spread(value, self.unit)),
            goal(self.must),
            goal(self.stretch),
            self.verdict(),
        ]
    }
}

/// The samples of one contender, and how it compares with another.
#[derive(Clone, Debug, Serialize)]
struct Figure {
    id: &'static str,
    what: String,
    contender: String,
    unit: &'static str,
    spread: Option<Spread>,
    over: Option<(String, &'static str, Spread)>,
    failure: Option<String>,
    samples: Vec<f64>,
}

/// How contenders are compared with the first of their series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compare {
    /// Not at all.
    Nothing,
    /// By what they take beyond it.
    Difference,
    /// By how many times they take it.
    Ratio,
}

/// Everything that was measured.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    rows: Vec<Row>,
    figures: Vec<Figure>,
    notes: Vec<String>,
}

impl Report {
    /// Adds a row.
    pub(crate) fn row(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// Adds a remark, once.
    pub(crate) fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// Adds a contender's single figure.
    pub(crate) fn figure(
        &mut self,
        (id, what, unit): (&'static str, &str, &'static str),
        contender: &str,
        value: f64,
    ) {
        let track = Track {
            name: contender.to_owned(),
            samples: vec![value],
            failure: None,
        };
        let tracks = vec![track];
        self.series((id, what, unit), &Series { tracks }, Compare::Nothing);
    }

    /// Adds the figures of all contenders of a series.
    pub(crate) fn series(
        &mut self,
        (id, what, unit): (&'static str, &str, &'static str),
        series: &Series,
        compare: Compare,
    ) {
        let Some(base) = series.tracks.first() else {
            return;
        };
        for (index, track) in series.tracks.iter().enumerate() {
            let compared = match compare {
                Compare::Nothing => Vec::new(),
                Compare::Difference => stats::differences(&track.samples, &base.samples),
                Compare::Ratio => stats::ratios(&track.samples, &base.samples),
            };
            let shown = if compare == Compare::Ratio { "x" } else { unit };
            let over = Spread::of(&compared).filter(|_| index > 0);
            if let Some(noise) = over.filter(|_| track.name == "bare again") {
                self.doubt(id, what, compare, noise);
            }
            self.figures.push(Figure {
                id,
                what: what.to_owned(),
                contender: track.name.clone(),
                unit,
                spread: Spread::of(&track.samples),
                over: over.map(|over| (base.name.clone(), shown, over)),
                failure: track.failure.clone(),
                samples: track.samples.clone(),
            });
        }
    }

    /// Says so when a contender differs from itself by more than a goal could tell apart.
    fn doubt(&mut self, id: &str, what: &str, compare: Compare, noise: Spread) {
        let off = match compare {
            Compare::Ratio => (noise.median - 1.0).abs() > 0.05,
            Compare::Difference | Compare::Nothing => noise.median.abs() > 0.1,
        };
        if off {
            let noise = number(noise.median);
            self.note(format!(
                "{id} {what}: bare differs from itself by {noise} in the median; verdicts of this \
                 measure prove nothing at this load"
            ));
        }
    }

    /// Returns the Markdown text.
    pub(crate) fn markdown(&self, machine: &str) -> String {
        let mut text = format!("# Measured\n\n{machine}\n\n## Goals\n\n");
        let head = [
            "measure",
            "yardstick",
            "ours",
            "ratio",
            "must",
            "stretch",
            "verdict",
        ];
        let rows: Vec<_> = self.rows.iter().map(Row::cells).collect();
        table(&mut text, &head, &rows);
        text.push_str("\n## Figures\n\n");
        let head = [
            "measure",
            "contender",
            "median (min..max)",
            "pair by pair",
            "n",
        ];
        let figures: Vec<_> = self.figures.iter().map(figure_cells).collect();
        table(&mut text, &head, &figures);
        if !self.notes.is_empty() {
            text.push_str("\n## Notes\n\n");
            for note in &self.notes {
                text.push_str("- ");
                text.push_str(note);
                text.push('\n');
            }
        }
        text
    }

    /// Returns everything with all samples, for machines.
    pub(crate) fn json(&self, machine: &str) -> serde_json::Value {
        let verdicts: Vec<String> = self.rows.iter().map(Row::verdict).collect();
        json!({"machine": machine, "verdicts": verdicts, "report": self})
    }
}

fn figure_cells(figure: &Figure) -> [String; 5] {
    let over = figure.over.as_ref();
    [
        format!("{} {}", figure.id, figure.what),
        figure.contender.clone(),
        match (&figure.failure, figure.spread) {
            (Some(failure), _) => format!("failed: {}", failure.replace(['|', '\n'], " ")),
            (None, Some(value)) => spread(value, figure.unit),
            (None, None) => "–".to_owned(),
        },
        over.map_or("–".to_owned(), |(base, unit, value)| {
            let sign = if *unit == "x" { "" } else { "+" };
            let text = spread(*value, unit);
            if sign == "+" {
                format!("{base} + {text}")
            } else {
                format!("{text} {base}")
            }
        }),
        figure.samples.len().to_string(),
    ]
}

fn spread(value: Spread, unit: &str) -> String {
    if value.n == 1 {
        return format!("{} {unit}", number(value.median));
    }
    let [median, min, max] = [value.median, value.min, value.max].map(number);
    format!("{median} {unit} ({min}..{max})")
}

fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 1000.0 || value.fract() == 0.0 => format!("{value:.0}"),
        size if size >= 100.0 => format!("{value:.1}"),
        size if size >= 0.1 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

fn table<const N: usize>(text: &mut String, head: &[&str; N], rows: &[[String; N]]) {
    line(text, &head.join(" | "));
    line(text, &["---"; N].join(" | "));
    for row in rows {
        line(text, &row.join(" | "));
    }
}

fn line(text: &mut String, cells: &str) {
    text.push_str("| ");
    text.push_str(cells);
    text.push_str(" |\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_held_against_must_and_stretch() {
        let row = Row::new("P0", "row").goals(at_most(2.0), at_most(1.3), "x");
        assert_eq!(row.clone().verdict(), "not measured");
        assert_eq!(
            row.clone().judged(&[1.0, 1.2, 9.0]).verdict(),
            "met, stretch too"
        );
        assert_eq!(row.clone().judged(&[1.5]).verdict(), "met");
        assert_eq!(row.judged(&[2.5]).verdict(), "**missed**");
    }
}
