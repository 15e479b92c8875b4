//! Shapes of a picture, written as SVG.

use std::fmt::Write;

use crate::{output::visible, report::html};

/// A picture that grows shape by shape.
#[derive(Clone, Debug)]
pub struct Svg {
    width: f64,
    height: f64,
    body: String,
}

/// Where a text stands from its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// To the right.
    Start,
    /// Around it.
    Middle,
    /// To the left.
    End,
}

impl Svg {
    /// An empty picture of a size in pixels.
    pub fn new(width: f64, height: f64) -> Self {
        Self { width, height, body: String::new() }
    }

    /// A straight line.
    pub fn line(&mut self, from: (f64, f64), to: (f64, f64), colour: &str, width: f64) {
        let ((x1, y1), (x2, y2)) = (from, to);
        self.add(&format!(
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{colour}\" stroke-width=\"{width}\"/>"
        ));
    }

    /// Lines from point to point, with a text that is shown where the pointer rests.
    pub fn path(&mut self, points: &[(f64, f64)], colour: &str, dashes: &str, text: &str) {
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        self.add(&format!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.8\" stroke-dasharray=\"{dashes}\">\
             <title>{}</title></polyline>",
            points.join(" "),
            escaped(text)
        ));
    }

    /// A dot, with a text that is shown where the pointer rests.
    pub fn dot(&mut self, (x, y): (f64, f64), radius: f64, colour: &str, text: &str) {
        self.add(&format!(
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\" fill=\"{colour}\"><title>{}</title></circle>",
            escaped(text)
        ));
    }

    /// A rectangle, with a text that is shown where the pointer rests.
    pub fn rectangle(
        &mut self,
        (x, y): (f64, f64),
        (width, height): (f64, f64),
        colour: &str,
        text: &str,
    ) {
        self.add(&format!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{colour}\">\
             <title>{}</title></rect>",
            escaped(text)
        ));
    }

    /// A text.
    pub fn text(&mut self, at: (f64, f64), anchor: Anchor, text: &str) {
        self.write(at, anchor, "", text);
    }

    /// A text in a colour of its own, through which the pointer reaches what is below it.
    pub fn coloured_text(&mut self, at: (f64, f64), anchor: Anchor, colour: &str, text: &str) {
        self.write(at, anchor, &format!(" fill=\"{colour}\" pointer-events=\"none\""), text);
    }

    fn write(&mut self, (x, y): (f64, f64), anchor: Anchor, look: &str, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        self.add(&format!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\"{look}>{}</text>",
            escaped(text)
        ));
    }

    /// The file; `title` says what the picture shows.
    pub fn finish(self, title: &str) -> String {
        let Self { width, height, body } = self;
        let title = escaped(title);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
             role=\"img\" aria-label=\"{title}\" font-family=\"sans-serif\" font-size=\"12\" fill=\"#222\">\n<title>{title}</title>\n\
             <rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n{body}</svg>\n"
        )
    }

    fn add(&mut self, shape: &str) {
        // A string takes whatever is written.
        let _ = writeln!(self.body, "{shape}");
    }
}

/// A text inside of XML, without what no XML may hold.
fn escaped(text: &str) -> String {
    html::escaped(&visible(text, &[]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_cannot_leave_their_place() {
        let mut picture = Svg::new(10.0, 5.0);
        picture.text((1.0, 2.0), Anchor::End, "a<b & \"c\"\u{1b}[31m");
        picture.dot((1.0, 2.0), 3.0, "#000", "</title>");
        let found = picture.finish("x > y");
        assert!(found.contains(">a&lt;b &amp; &quot;c&quot;\\u{1b}[31m</text>"), "{found}");
        assert!(
            found.contains("<title>&lt;/title&gt;</title>")
                && found.contains("<title>x &gt; y</title>")
        );
        assert!(found.starts_with("<svg ") && found.ends_with("</svg>\n"));
    }
}
