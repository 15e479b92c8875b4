//! Curves and points in SVG. Each point can be pointed at, and reached by keys: one of a chart is in the order of the tab
//! key, and the arrow keys lead from it to the others (`script.js`). What is drawn stands in a table, too.

use super::{
    html::{Element, element},
    parts::{Cell, table},
};
use crate::compare::scale::Scale;

/// The size of the picture, and of the room around its axes.
const WIDTH: f64 = 520.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 78.0;
const RIGHT: f64 = 16.0;
const ABOVE: f64 = 14.0;
const BELOW: f64 = 54.0;

/// Colours that the style has, and the dashes of those that share one.
const COLOURS: usize = 7;
const DASHES: usize = 3;
/// The most series that can be told apart.
pub const MOST_SERIES: usize = COLOURS * DASHES;

/// A chart.
#[derive(Clone, Debug)]
pub struct Chart {
    /// What it is called within its page, once.
    pub id: String,
    /// What it shows.
    pub title: String,
    /// What it shows, for who does not see it.
    pub description: String,
    /// What stands at the axes.
    pub axes: (String, String),
    /// The axes.
    pub scales: (Scale, Scale),
    /// The series, each with a look of its own unless `look` says otherwise.
    pub series: Vec<Series>,
    /// The names of looks, where there are several.
    pub legend: Vec<(usize, String)>,
}

/// Points that belong together.
#[derive(Clone, Debug)]
pub struct Series {
    /// Its name in the table.
    pub name: String,
    /// Its colour and its dashes, by a number.
    pub look: usize,
    /// Whether a line leads from point to point.
    pub is_line: bool,
    /// Its points, from left to right.
    pub points: Vec<Mark>,
}

/// A point.
#[derive(Clone, Debug)]
pub struct Mark {
    /// Its place.
    pub x: f64,
    /// Its place.
    pub y: f64,
    /// How far it may be from `y` to both sides.
    pub deviation: Option<f64>,
    /// What is said of it, as it is read.
    pub text: String,
    /// The cells of its line in the table, behind the name of the series.
    pub cells: [String; 2],
}

impl Chart {
    /// The chart with its legend and its table; a sentence where there is nothing to draw, or one point.
    pub fn drawn(&self) -> Element {
        let heading = element("h3").with("id", format!("{}-name", self.id)).text(&self.title);
        let mut all = self.series.iter().flat_map(|series| &series.points);
        match (all.next(), all.next()) {
            (None, _) => {
                let nothing = element("p").text("There is nothing to draw.");
                return element("figure").child(heading).child(nothing);
            }
            // A point alone shows no more than its numbers say.
            (Some(one), None) => {
                let said = element("p").with("dir", "auto").text(&one.text);
                return element("figure").child(heading).child(said);
            }
            _ => {}
        }
        let hint = "Point at the picture, or go from point to point with the arrow keys.";
        element("figure")
            .with("class", "chart")
            .child(heading)
            .child(self.picture())
            .child(
                element("p")
                    .with("class", "readout")
                    .with("aria-hidden", "true")
                    .with("data-hint", hint)
                    .text(hint),
            )
            .children((self.legend.len() > 1).then(|| self.list()))
            .child(self.values())
    }

    fn at(&self, x: f64, y: f64) -> (f64, f64) {
        let (across, along) = (WIDTH - LEFT - RIGHT, HEIGHT - ABOVE - BELOW);
        (LEFT + across * self.scales.0.place(x), ABOVE + along * (1.0 - self.scales.1.place(y)))
    }

    fn picture(&self) -> Element {
        let id = &self.id;
        let mut first = true;
        let series = self.series.iter().map(|series| {
            let group = element("g").with(
                "class",
                format!(
                    "series {}{}",
                    look(series.look),
                    if series.is_line { "" } else { " dots" }
                ),
            );
            let places: Vec<(f64, f64)> =
                series.points.iter().map(|mark| self.at(mark.x, mark.y)).collect();
            let line = (series.is_line && places.len() > 1).then(|| line(&places));
            let points = series.points.iter().zip(&places).map(|(mark, place)| {
                let is_first = std::mem::take(&mut first);
                self.point(mark, *place, is_first)
            });
            group.children(line).children(points.collect::<Vec<_>>())
        });
        let series: Vec<Element> = series.collect();
        element("svg")
            .with("viewBox", format!("0 0 {WIDTH} {HEIGHT}"))
            .with("role", "group")
            .with("aria-labelledby", format!("{id}-name {id}-description"))
            .child(element("desc").with("id", format!("{id}-description")).text(&self.description))
            .child(self.frame())
            .children(series)
    }

    fn point(&self, mark: &Mark, (x, y): (f64, f64), is_first: bool) -> Element {
        let bar = mark.deviation.map(|deviation| {
            let ends = [mark.y - deviation, mark.y + deviation].map(|y| self.at(mark.x, y).1);
            let across = |y: f64| format!("M{:.1} {y:.1}H{:.1}", x - 5.0, x + 5.0);
            let path = format!(
                "M{x:.1} {:.1}V{:.1}{}{}",
                ends[0],
                ends[1],
                across(ends[0]),
                across(ends[1])
            );
            element("path").with("class", "bar").with("d", path)
        });
        let circle = element("circle").with("cx", format!("{x:.1}")).with("cy", format!("{y:.1}"));
        element("g")
            .with("class", "pt")
            .with("role", "img")
            .with("tabindex", if is_first { "0" } else { "-1" })
            .child(element("title").text(&mark.text))
            .children(bar)
            .child(circle.with("r", "2.5"))
    }

    /// The axes with their numbers.
    fn frame(&self) -> Element {
        let (bottom, right) = (HEIGHT - BELOW, WIDTH - RIGHT);
        let text = |x: f64, y: f64, anchor: &str, text: &str| {
            let place = element("text").with("x", format!("{x:.1}")).with("y", format!("{y:.1}"));
            place.with("text-anchor", anchor).text(text)
        };
        let rule = |class: &str, path: String| element("path").with("class", class).with("d", path);
        let mut frame = element("g").with("class", "frame").with("aria-hidden", "true");
        for (value, mark) in self.scales.1.marks() {
            let (_, y) = self.at(0.0, value);
            frame = frame.child(rule("grid", format!("M{LEFT} {y:.1}H{right}"))).child(text(
                LEFT - 8.0,
                y + 4.5,
                "end",
                &mark,
            ));
        }
        for (value, mark) in self.scales.0.marks() {
            let (x, _) = self.at(value, 0.0);
            frame = frame.child(rule("axis", format!("M{x:.1} {bottom}v5"))).child(text(
                x,
                bottom + 21.0,
                "middle",
                &mark,
            ));
        }
        let middle = 0.5 * (LEFT + right);
        frame.child(rule("axis", format!("M{LEFT} {bottom}H{right}"))).child(text(
            middle,
            HEIGHT - 8.0,
            "middle",
            &self.axes.0,
        ))
    }

    fn list(&self) -> Element {
        let entry = |(number, name): &(usize, String)| {
            let path = element("path").with("d", "M1 8H31");
            let sample = element("svg").with("viewBox", "0 0 32 16").with("aria-hidden", "true");
            let sample = sample.with("class", format!("sample {}", look(*number))).child(path);
            element("li").child(sample).child(element("span").with("dir", "auto").text(name))
        };
        let name = format!("{}: what the lines are", self.title);
        let list = element("ul").with("class", "legend").with("aria-label", name);
        list.children(self.legend.iter().map(entry))
    }

    /// All that is drawn, as a table.
    fn values(&self) -> Element {
        let is_one = self.series.len() == 1;
        let mut header = vec!["series".to_string(), self.axes.0.clone(), self.axes.1.clone()];
        if is_one {
            header.remove(0);
        }
        let mut rows = Vec::new();
        for series in &self.series {
            for mark in &series.points {
                let mut row = vec![Cell::Text(series.name.clone())];
                row.extend(mark.cells.iter().map(|cell| Cell::Number(cell.clone())));
                if is_one {
                    row.remove(0);
                }
                rows.push(row);
            }
        }
        let summary = element("summary").text(format!("{} in numbers", self.title));
        element("details").child(summary).child(table(&self.title, &header, &rows))
    }
}

fn look(number: usize) -> String {
    format!("c{} d{}", number % COLOURS, number / COLOURS % DASHES)
}

fn line(places: &[(f64, f64)]) -> Element {
    let points: Vec<String> = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    element("polyline").with("class", "line").with("points", points.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: usize) -> Chart {
        let mark = |x: usize| Mark {
            x: x as f64,
            y: 0.5,
            deviation: (x == 1).then_some(0.25),
            text: format!("step {x}: <0.5>"),
            cells: [x.to_string(), "0.5".into()],
        };
        let series = |look: usize| Series {
            name: format!("run {look}"),
            look,
            is_line: true,
            points: (0..points).map(mark).collect(),
        };
        Chart {
            id: "loss".into(),
            title: "Loss & more".into(),
            description: "It stays.".into(),
            axes: ("step".into(), "loss".into()),
            scales: (Scale::from_zero([1.0].into_iter()), Scale::linear([0.0, 1.0].into_iter())),
            series: vec![series(0), series(8)],
            legend: vec![(0, "run 0".into()), (8, "run 8".into())],
        }
    }

    #[test]
    fn points_are_reached_by_keys_and_stand_in_a_table() {
        let found = chart(2).drawn().written();
        assert_eq!(found.matches("class=\"pt\"").count(), 4);
        assert_eq!(
            (
                found.matches("tabindex=\"0\" role=\"group\"").count(),
                found.matches("tabindex=\"-1\"").count()
            ),
            (1, 3)
        );
        for part in [
            "<h3 id=\"loss-name\">Loss &amp; more</h3>",
            "<svg viewBox=\"0 0 520 300\" role=\"group\" aria-labelledby=\"loss-name loss-description\">",
            "<g class=\"pt\" role=\"img\" tabindex=\"0\"><title>step 0: &lt;0.5&gt;</title>",
            "<polyline class=\"line\"",
            "class=\"series c1 d1\"",
            "<th scope=\"row\" dir=\"auto\">run 8</th><td class=\"number\">1</td>",
        ] {
            assert!(found.contains(part), "{part}: {found}");
        }
        assert_eq!(found.matches("class=\"bar\"").count(), 2);
    }

    #[test]
    fn nothing_to_draw_is_said() {
        let found = chart(0).drawn().written();
        assert!(found.contains("There is nothing to draw.") && !found.contains("<svg"), "{found}");
        let one = Chart { series: vec![chart(1).series.remove(0)], ..chart(1) };
        let found = one.drawn().written();
        assert!(found.contains("step 0: &lt;0.5&gt;") && !found.contains("<svg"), "{found}");
    }
}
