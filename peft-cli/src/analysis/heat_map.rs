//! A picture of a matrix: a coloured field for each number.

use crate::compare::svg::{Anchor, Svg};

/// The side of a field.
const SIDE: f64 = 46.0;
/// Room around the fields.
const ROOM: f64 = 16.0;
/// The height of the title.
const TITLE: f64 = 34.0;
/// The width of a letter, about.
const LETTER: f64 = 7.0;
/// The room below for the numbers of the columns.
const BELOW: f64 = 26.0;

/// The colours of 0, 1 and -1.
const ZERO: [f64; 3] = [255.0, 255.0, 255.0];
const ONE: [f64; 3] = [0.0, 90.0, 160.0];
const MINUS_ONE: [f64; 3] = [200.0, 80.0, 0.0];

/// A matrix with names of its rows and, shorter, of its columns.
#[derive(Clone, Copy, Debug)]
pub struct HeatMap<'a> {
    /// What it shows.
    pub title: &'a str,
    /// What the rows are called.
    pub rows: &'a [String],
    /// What the columns are called.
    pub columns: &'a [String],
    /// The numbers, from -1 to 1, row by row.
    pub values: &'a [Vec<f64>],
}

impl HeatMap<'_> {
    /// The picture as SVG.
    pub fn drawn(&self) -> String {
        let longest = self.rows.iter().map(|name| name.chars().count()).max().unwrap_or(0);
        let left = ROOM + LETTER * longest as f64 + 8.0;
        let fields = self.columns.len() as f64 * SIDE;
        let width = (left + fields).max(ROOM + LETTER * self.title.chars().count() as f64) + ROOM;
        let height = TITLE + self.rows.len() as f64 * SIDE + BELOW + ROOM;
        let mut svg = Svg::new(width, height);
        svg.text((ROOM, TITLE - 14.0), Anchor::Start, self.title);
        for (row, (name, values)) in self.rows.iter().zip(self.values).enumerate() {
            let y = TITLE + row as f64 * SIDE;
            let middle = y + 0.5 * SIDE + 4.0;
            svg.text((left - 8.0, middle), Anchor::End, name);
            for (column, (other, value)) in self.columns.iter().zip(values).enumerate() {
                let x = left + column as f64 * SIDE;
                let text = format!("{name}, {other}: {value:.4}");
                svg.rectangle((x, y), (SIDE, SIDE), &colour(*value), &text);
                let shown = format!("{value:.2}");
                // Dark fields have light numbers.
                let ink = if value.abs() > 0.6 { "#fff" } else { "#222" };
                svg.coloured_text((x + 0.5 * SIDE, middle), Anchor::Middle, ink, &shown);
            }
        }
        for (column, name) in self.columns.iter().enumerate() {
            let x = left + (column as f64 + 0.5) * SIDE;
            let y = TITLE + self.rows.len() as f64 * SIDE + 18.0;
            svg.text((x, y), Anchor::Middle, name);
        }
        svg.finish(self.title)
    }
}

/// The colour of a number from -1 to 1.
fn colour(value: f64) -> String {
    let end = if value < 0.0 { MINUS_ONE } else { ONE };
    let part = value.abs().min(1.0);
    let [r, g, b] = [0, 1, 2].map(|at| (ZERO[at] + part * (end[at] - ZERO[at])).round() as u8);
    format!("#{r:02x}{g:02x}{b:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_have_colours_numbers_and_names() {
        let names = ["a<b".to_string(), "c".to_string()];
        let columns = ["1".to_string(), "2".to_string()];
        let values = [vec![1.0, -0.25], vec![-0.25, 1.0]];
        let map = HeatMap { title: "t", rows: &names, columns: &columns, values: &values };
        let found = map.drawn();
        assert_eq!(found.matches("<rect x=").count(), 4, "{found}");
        assert!(found.contains("<title>a&lt;b, 2: -0.2500</title>"), "{found}");
        assert!(found.contains(">1.00</text>") && found.contains(">-0.25</text>"), "{found}");
        assert_eq!([colour(0.0), colour(1.0), colour(-1.0)], ["#ffffff", "#005aa0", "#c85000"]);
        assert_eq!(colour(2.0), colour(1.0));
    }
}
