//! Tables whose cells are shaded by their values.

use super::{
    html::{Element, element},
    parts::scrolled,
};

/// A cell: how strongly it is shaded, from 0 to 1, and what stands in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Shaded {
    /// From 0 to 1.
    pub strength: f64,
    /// The text.
    pub text: String,
}

/// A table with a name for each row and each column; `corner` says which is which. What is not known is `None`.
pub fn heat_map(
    caption: &str,
    corner: &str,
    columns: &[String],
    rows: &[(String, Vec<Option<Shaded>>)],
) -> Element {
    let title = |text: &String| element("th").with("scope", "col").with("dir", "auto").text(text);
    let head = element("tr").child(element("th").with("scope", "col").text(corner));
    let cell = |cell: &Option<Shaded>| match cell {
        Some(Shaded { strength, text }) => {
            let percent = 100.0 * strength.clamp(0.0, 1.0);
            element("td").with("style", format!("--v:{percent:.0}%")).text(text)
        }
        None => element("td").with("class", "unknown").text("-"),
    };
    let body = rows.iter().map(|(name, cells)| {
        let name = element("th").with("scope", "row").with("dir", "auto").text(name);
        element("tr").child(name).children(cells.iter().map(cell))
    });
    let table = element("table")
        .with("class", "heat")
        .child(element("caption").text(caption))
        .child(element("thead").child(head.children(columns.iter().map(title))))
        .child(element("tbody").children(body));
    scrolled(caption, table)
}

/// How many of each class (first index) are predicted to be of each (second index), shaded by the part of the class.
pub fn confusion(names: &[String], counts: &[Vec<usize>]) -> Element {
    let row = |(name, counts): (&String, &Vec<usize>)| {
        let all = counts.iter().sum::<usize>().max(1) as f64;
        let cells = counts.iter().map(|count| {
            let strength = *count as f64 / all;
            Some(Shaded { strength, text: count.to_string() })
        });
        (name.clone(), cells.collect())
    };
    let rows: Vec<_> = names.iter().zip(counts).map(row).collect();
    heat_map(
        "Rows by their class and by the one that is predicted, shaded by the part of the class",
        "class \\ predicted",
        names,
        &rows,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_shaded_by_their_part_of_the_row() {
        let names = ["no", "<yes>"].map(String::from);
        let found = confusion(&names, &[vec![3, 1], vec![0, 0]]).written();
        for part in [
            "<td style=\"--v:75%\">3</td><td style=\"--v:25%\">1</td>",
            "<td style=\"--v:0%\">0</td>",
            "<th scope=\"row\" dir=\"auto\">&lt;yes&gt;</th>",
        ] {
            assert!(found.contains(part), "{part}: {found}");
        }
        let known = heat_map("c", "x", &names, &[("r".into(), vec![None, None])]).written();
        assert_eq!(known.matches("<td class=\"unknown\">-</td>").count(), 2);
    }
}
