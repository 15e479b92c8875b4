//! A line that fits the terminal: where there is no room for all its parts, those that matter least are left out.

use super::manners::{Tone, paint};

/// Between two parts of a line.
const GAP: usize = 2;
/// The narrowest bar that tells anything, and the widest that is needed.
const BAR: (usize, usize) = (10, 40);

#[derive(Clone, Debug)]
struct Part {
    text: String,
    tone: Tone,
    rank: u8,
}

/// Parts of a line, with a bar before some of them.
#[derive(Clone, Debug, Default)]
pub struct Line {
    parts: Vec<Part>,
    /// The part that the bar stands before, and how much of it is filled.
    bar: Option<(usize, f64)>,
}

impl Line {
    /// Adds a part. The ones of the highest rank are left out first, those of rank 0 never.
    #[must_use]
    pub fn with(self, rank: u8, text: impl Into<String>) -> Self {
        self.toned(rank, text, Tone::Plain)
    }

    /// Adds a part that has a colour where there are colours.
    #[must_use]
    pub fn toned(mut self, rank: u8, text: impl Into<String>, tone: Tone) -> Self {
        self.parts.push(Part { text: text.into(), tone, rank });
        self
    }

    /// Adds a part if there is one.
    #[must_use]
    pub fn maybe(self, rank: u8, text: Option<String>) -> Self {
        match text {
            Some(text) => self.with(rank, text),
            None => self,
        }
    }

    /// Puts the bar here, of which the share `filled` is full. Only a terminal shows it.
    #[must_use]
    pub fn bar(mut self, filled: f64) -> Self {
        self.bar = Some((self.parts.len(), filled));
        self
    }

    /// The line in a terminal of so many columns; all of it, without the bar, where there is none.
    pub fn fit(&self, columns: Option<usize>) -> String {
        let mut kept: Vec<(usize, &Part)> = self.parts.iter().enumerate().collect();
        let Some(columns) = columns else { return joined(kept.iter().map(|(_, part)| *part)) };
        let least = if self.bar.is_some() { GAP + BAR.0 } else { 0 };
        while width(&kept) + least > columns {
            let of_rank = kept.iter().map(|(_, part)| part.rank).max().unwrap_or(0);
            match kept.iter().rposition(|(_, part)| part.rank == of_rank) {
                Some(last) if of_rank > 0 => drop(kept.remove(last)),
                _ => break,
            }
        }
        let Some((at, filled)) = self.bar else {
            return joined(kept.iter().map(|(_, part)| *part));
        };
        let room = columns.saturating_sub(width(&kept) + GAP).min(BAR.1);
        if room == 0 {
            return joined(kept.iter().map(|(_, part)| *part));
        }
        let full = (filled.clamp(0.0, 1.0) * room as f64) as usize;
        let text = format!("{}{}", "█".repeat(full), "░".repeat(room - full));
        let bar = Part { text, tone: Tone::Plain, rank: 0 };
        let before = kept.iter().filter(|(index, _)| *index < at).map(|(_, part)| *part);
        let after = kept.iter().filter(|(index, _)| *index >= at).map(|(_, part)| *part);
        joined(before.chain([&bar]).chain(after))
    }
}

fn joined<'a>(parts: impl Iterator<Item = &'a Part>) -> String {
    parts.map(|part| paint(&part.text, part.tone)).collect::<Vec<_>>().join(&" ".repeat(GAP))
}

fn width(parts: &[(usize, &Part)]) -> usize {
    let texts: usize = parts.iter().map(|(_, part)| part.text.chars().count()).sum();
    texts + GAP * parts.len().saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> Line {
        Line::default()
            .with(0, "ptv2")
            .bar(0.5)
            .with(2, "epoch 1.5/3")
            .with(1, "loss 0.4")
            .with(3, "best 0.9")
    }

    #[test]
    fn what_matters_least_is_left_out_first() {
        assert_eq!(line().fit(None), "ptv2  epoch 1.5/3  loss 0.4  best 0.9");
        for (columns, expected) in [
            (60, "ptv2  ██████████░░░░░░░░░░░  epoch 1.5/3  loss 0.4  best 0.9"),
            (49, "ptv2  █████░░░░░  epoch 1.5/3  loss 0.4  best 0.9"),
            (45, "ptv2  ████████░░░░░░░░  epoch 1.5/3  loss 0.4"),
            (30, "ptv2  ███████░░░░░░░  loss 0.4"),
            (20, "ptv2  ███████░░░░░░░"),
            (5, "ptv2"),
        ] {
            let found = line().fit(Some(columns));
            assert_eq!(found, expected, "{columns}");
            assert!(found.chars().count() <= columns, "{columns}: {found}");
        }
        let wide = line().fit(Some(200));
        assert_eq!(wide.matches(['█', '░']).count(), 40);
    }
}
