//! What sections consist of.

use super::html::{Element, element};

/// A cell of a table.
#[derive(Clone, Debug)]
pub enum Cell {
    /// Words.
    Text(String),
    /// A number, which stands at the right.
    Number(String),
    /// A link with its text.
    Link(String, String),
}

impl Cell {
    /// A text as what it looks like: a number, or words.
    pub fn of(text: impl Into<String>) -> Self {
        let text = text.into();
        let is_number =
            text == "-" || text.starts_with(|c: char| c.is_ascii_digit() || "-+<".contains(c));
        match is_number {
            true => Self::Number(text),
            false => Self::Text(text),
        }
    }

    fn put_into(&self, cell: Element) -> Element {
        match self {
            Self::Text(text) => cell.with("dir", "auto").text(text),
            Self::Number(text) => cell.with("class", "number").text(text),
            Self::Link(to, text) => cell.child(element("a").with("href", to).text(text)),
        }
    }
}

/// A table, whose first column says what its rows are.
pub fn table(caption: &str, header: &[String], rows: &[Vec<Cell>]) -> Element {
    let is_number = |column: usize| {
        !rows.is_empty()
            && rows.iter().all(|row| matches!(row.get(column), Some(Cell::Number(_)) | None))
    };
    let titles = header.iter().enumerate().map(|(column, title)| {
        let title = element("th").with("scope", "col").text(title);
        if is_number(column) { title.with("class", "number") } else { title }
    });
    let body = rows.iter().map(|row| {
        let cells = row.iter().enumerate().map(|(column, cell)| match column {
            0 => cell.put_into(element("th").with("scope", "row")),
            _ => cell.put_into(element("td")),
        });
        element("tr").children(cells)
    });
    let table = element("table")
        .child(element("caption").text(caption))
        .child(element("thead").child(element("tr").children(titles)))
        .child(element("tbody").children(body));
    scrolled(caption, table)
}

/// Something wide, which is scrolled on a narrow screen, with keys too.
pub fn scrolled(name: &str, wide: Element) -> Element {
    let name = format!("{name}, to be scrolled");
    let box_of = element("div").with("class", "scroll").with("tabindex", "0");
    box_of.with("role", "group").with("aria-label", name).child(wide)
}

/// Names with what they stand for.
pub fn facts(pairs: impl IntoIterator<Item = (String, String)>) -> Element {
    let pair = |(name, value): (String, String)| {
        let value = element("dd").with("dir", "auto").text(value);
        element("div").child(element("dt").text(name)).child(value)
    };
    element("dl").with("class", "facts").children(pairs.into_iter().map(pair))
}

/// A paragraph.
pub fn paragraph(text: impl AsRef<str>) -> Element {
    element("p").text(text)
}

/// A heading below that of a section.
pub fn heading(text: impl AsRef<str>) -> Element {
    element("h3").text(text)
}

/// A command to copy.
pub fn command(text: impl AsRef<str>) -> Element {
    let code = element("pre").child(element("code").text(text));
    scrolled("Command", code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_say_what_their_cells_are_of() {
        let rows = vec![vec![
            Cell::of("a<b"),
            Cell::of("0.5 ± 0.1"),
            Cell::Link("x.html".into(), "x".into()),
        ]];
        let header = ["name", "score", "run"].map(String::from);
        let found = table("Scores", &header, &rows).written();
        for part in [
            "<caption>Scores</caption>",
            "<th scope=\"col\" class=\"number\">score</th>",
            "<th scope=\"row\" dir=\"auto\">a&lt;b</th>",
            "<td class=\"number\">0.5 ± 0.1</td>",
            "<td><a href=\"x.html\">x</a></td>",
            "tabindex=\"0\" role=\"group\" aria-label=\"Scores, to be scrolled\"",
        ] {
            assert!(found.contains(part), "{part}: {found}");
        }
    }
}
