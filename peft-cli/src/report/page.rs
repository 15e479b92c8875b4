//! A whole page.

use super::html::{Element, element};

/// Nothing is loaded from anywhere; style and script stand in the page.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// A part of a page with a heading.
#[derive(Clone, Debug)]
pub struct Section {
    /// Its place, to be linked to.
    pub id: &'static str,
    /// Its heading.
    pub title: &'static str,
    /// What it holds; a section without anything is left out.
    pub body: Vec<Element>,
}

/// The file of a page: a title, a sentence, and sections.
pub fn page(title: &str, lead: &str, sections: Vec<Section>) -> String {
    let sections: Vec<Section> =
        sections.into_iter().filter(|section| !section.body.is_empty()).collect();
    let meta = |name, content| element("meta").with("name", name).with("content", content);
    let head = element("head").children([
        element("meta").with("charset", "utf-8"),
        element("meta").with("http-equiv", "Content-Security-Policy").with("content", POLICY),
        meta("viewport", "width=device-width, initial-scale=1"),
        meta("color-scheme", "light dark"),
        element("title").text(title),
        Element::embedded("style", include_str!("style.css")),
    ]);
    let links = sections.iter().map(|section| {
        let link = element("a").with("href", format!("#{}", section.id)).text(section.title);
        element("li").child(link)
    });
    let body = sections.iter().map(|section| {
        let heading = format!("{}-heading", section.id);
        element("section")
            .with("id", section.id)
            .with("aria-labelledby", &heading)
            .child(element("h2").with("id", &heading).text(section.title))
            .children(section.body.iter().cloned())
    });
    let made = concat!("Written by peft ", env!("CARGO_PKG_VERSION"), ".");
    let page = element("html").with("lang", "en").child(head).child(element("body").children([
        element("a").with("class", "skip").with("href", "#main").text("Skip to the content"),
        element("header").children([element("h1").text(title), element("p").text(lead)]),
        element("nav").with("aria-label", "Sections").child(element("ul").children(links)),
        element("main").with("id", "main").with("tabindex", "-1").children(body),
        element("footer").child(element("p").text(made)),
        Element::embedded("script", include_str!("script.js")),
    ]));
    format!("<!DOCTYPE html>\n{}\n", page.written())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_stands_alone() {
        let of = |id, body| Section { id, title: "A part", body };
        let found = page("<t>", "l", vec![of("a", vec![element("p").text("x")]), of("b", vec![])]);
        assert!(found.starts_with("<!DOCTYPE html>\n<html lang=\"en\"><head>"));
        assert!(found.contains("<title>&lt;t&gt;</title>") && !found.contains("id=\"b\""));
        let outside = ["http://", "https://", " src=", "@import", "url("];
        assert!(outside.into_iter().all(|from| !found.contains(from)), "{found}");
        // Headings in order, landmarks once each.
        for (tag, count) in
            [("<h1", 1), ("<h2", 1), ("<main", 1), ("<nav", 1), ("<header", 1), ("<footer", 1)]
        {
            assert_eq!(found.matches(tag).count(), count, "{tag}");
        }
    }
}
