//! Markup of HTML and of the SVG in it. Names of elements and attributes are those of this program; everything else is
//! escaped where it is put in, so that no text can leave its place.

use std::fmt::{Display, Write};

use crate::output::visible;

/// Elements that have no content and no end.
const VOID: [&str; 2] = ["meta", "br"];

/// An element with what is in it.
#[derive(Clone, Debug)]
pub struct Element {
    name: &'static str,
    attributes: String,
    content: String,
}

/// An empty element.
pub fn element(name: &'static str) -> Element {
    Element { name, attributes: String::new(), content: String::new() }
}

impl Element {
    /// An element that holds text of this program as it stands: a style or a script.
    pub fn embedded(name: &'static str, content: &'static str) -> Self {
        Self { content: content.to_string(), ..element(name) }
    }

    /// Adds an attribute.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Display) -> Self {
        // A string takes whatever is written.
        let _ = write!(self.attributes, " {name}=\"{}\"", escaped(&value.to_string()));
        self
    }

    /// Adds a text, whose control characters but for tabs and ends of lines are written out.
    #[must_use]
    pub fn text(mut self, text: impl AsRef<str>) -> Self {
        self.content += &escaped(&visible(text.as_ref(), &['\n', '\t']));
        self
    }

    /// Adds an element.
    #[must_use]
    pub fn child(mut self, child: Self) -> Self {
        child.write(&mut self.content);
        self
    }

    /// Adds elements.
    #[must_use]
    pub fn children(self, children: impl IntoIterator<Item = Self>) -> Self {
        children.into_iter().fold(self, Self::child)
    }

    /// Its markup.
    pub fn written(&self) -> String {
        let mut markup = String::new();
        self.write(&mut markup);
        markup
    }

    fn write(&self, markup: &mut String) {
        let Self { name, attributes, content } = self;
        let _ = match VOID.contains(name) {
            true => write!(markup, "<{name}{attributes}>"),
            false => write!(markup, "<{name}{attributes}>{content}</{name}>"),
        };
        // Lines, for who reads the source.
        if ["p", "tr", "g", "li", "div", "section", "h2", "h3"].contains(name) {
            markup.push('\n');
        }
    }
}

/// A text between tags or within an attribute.
pub fn escaped(text: &str) -> String {
    let mut found = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => found += "&amp;",
            '<' => found += "&lt;",
            '>' => found += "&gt;",
            '"' => found += "&quot;",
            '\'' => found += "&#39;",
            letter => found.push(letter),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn elements_are_written() {
        let found = element("td")
            .with("class", "a \"b\"")
            .text("x < y & z\u{1b}[31m\n")
            .child(element("br"))
            .children(["1", "2"].map(|text| element("b").text(text)));
        assert_eq!(
            found.written(),
            "<td class=\"a &quot;b&quot;\">x &lt; y &amp; z\\u{1b}[31m\n<br><b>1</b><b>2</b></td>"
        );
    }

    proptest! {
        /// Whatever is put in, there is no tag and no attribute but those of the program, and the text comes back.
        #[test]
        fn no_text_leaves_its_place(text in "[<>&\"'=/ a-z!\\-]{0,40}", value in "[<>&\"'=/ a-z]{0,40}") {
            let markup = element("i").with("title", &value).text(&text).written();
            prop_assert_eq!(markup.matches('<').count(), 2);
            prop_assert_eq!(markup.matches('>').count(), 2);
            prop_assert_eq!(markup.matches('"').count(), 2);
            let inside = markup.strip_prefix("<i title=\"").and_then(|rest| rest.strip_suffix("</i>"));
            let (title, content) = inside.and_then(|inside| inside.split_once("\">")).unwrap_or_default();
            prop_assert_eq!(unescaped(title), value);
            prop_assert_eq!(unescaped(content), text);
        }
    }

    fn unescaped(text: &str) -> String {
        let pairs =
            [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
        pairs.into_iter().fold(text.to_string(), |text, (from, to)| text.replace(from, to))
    }
}
