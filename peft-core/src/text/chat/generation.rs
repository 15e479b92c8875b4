//! `{% generation %}` ... `{% endgeneration %}`, the blocks in which a template marks what the assistant says.
//!
//! transformers adds this tag to Jinja. minijinja has no tags of one's own, so the source is rewritten: the block
//! becomes the call block of a function, which has the same scope and the same white-space control.

use std::ops::Range;

/// What surrounds a marked text in the output: two noncharacters, which no text holds by accident.
pub(super) const MARKS: [char; 2] = ['\u{fdd0}', '\u{fdd1}'];

/// Returns the source with call blocks of `function` in place of generation blocks, and whether it has any. Lines
/// stay where they are.
pub(super) fn rewritten(source: &str, function: &str) -> (String, bool) {
    let (mut out, mut rest, mut marked) = (String::with_capacity(source.len()), source, false);
    while let Some(at) = rest.find('{') {
        let tag = &rest[at..];
        let length = match tag.as_bytes().get(1) {
            Some(b'#') => tag.find("#}").map_or(tag.len(), |end| end + 2),
            Some(b'{') => 2 + code(&tag[2..], "}}"),
            Some(b'%') => 2 + code(&tag[2..], "%}"),
            _ => 1,
        };
        out.push_str(&rest[..at]);
        rest = &tag[length..];
        let tag = &tag[..length];
        match name_of(tag) {
            Some((name, "generation")) => {
                marked = true;
                out.push_str(&tag[..name.start]);
                out.push_str(&format!("call {function}()"));
                out.push_str(&tag[name.end..]);
            }
            Some((name, "endgeneration")) => {
                out.push_str(&tag[..name.start]);
                out.push_str("endcall");
                out.push_str(&tag[name.end..]);
            }
            Some((_, "raw")) => {
                out.push_str(tag);
                let end = raw_end(rest);
                out.push_str(&rest[..end]);
                rest = &rest[end..];
            }
            _ => out.push_str(tag),
        }
    }
    out.push_str(rest);
    (out, marked)
}

/// The length of a tag's code up to and with its end, which does not count within strings.
fn code(text: &str, end: &str) -> usize {
    let (mut at, mut quote) = (0, None);
    while at < text.len() {
        let byte = text.as_bytes()[at];
        match quote {
            None if text[at..].starts_with(end) => return at + end.len(),
            None if matches!(byte, b'"' | b'\'') => quote = Some(byte),
            Some(_) if byte == b'\\' => at += 1,
            Some(open) if open == byte => quote = None,
            _ => {}
        }
        at += 1;
        while at < text.len() && !text.is_char_boundary(at) {
            at += 1;
        }
    }
    text.len()
}

/// The name of a statement, and where it stands in the tag, if nothing follows it there.
fn name_of(tag: &str) -> Option<(Range<usize>, &str)> {
    let inner = tag.strip_prefix("{%")?.strip_suffix("%}")?;
    let control = |letter: char| letter.is_whitespace() || matches!(letter, '-' | '+');
    let name = inner.trim_matches(control);
    let start = 2 + (inner.len() - inner.trim_start_matches(control).len());
    Some((start..start + name.len(), name))
}

/// Where the text of a raw block ends: at its closing tag.
fn raw_end(text: &str) -> usize {
    let mut at = 0;
    while let Some(found) = text[at..].find("{%") {
        let tag = &text[at + found..];
        let length = tag.find("%}").map_or(tag.len(), |end| end + 2);
        if name_of(&tag[..length]).is_some_and(|(_, name)| name == "endraw") {
            return at + found;
        }
        at += found + 2;
    }
    text.len()
}

/// Takes the marks out of a rendered text and returns what they surrounded, in bytes. `None` if they do not stand in
/// pairs.
pub(super) fn unmarked(marked: &str) -> Option<(String, Vec<Range<usize>>)> {
    let (mut text, mut spans) = (String::with_capacity(marked.len()), Vec::new());
    let (mut depth, mut start) = (0_usize, 0);
    for letter in marked.chars() {
        match MARKS.iter().position(|mark| *mark == letter) {
            None => text.push(letter),
            Some(0) => {
                if depth == 0 {
                    start = text.len();
                }
                depth += 1;
            }
            Some(_) => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    spans.push(start..text.len());
                }
            }
        }
    }
    (depth == 0).then_some((text, spans))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_rewritten_with_their_white_space_control() {
        for (source, expected, marked) in [
            ("a{% generation %}b{% endgeneration %}", "a{% call f() %}b{% endcall %}", true),
            ("{%- generation -%}\nb{%-endgeneration+%}", "{%- call f() -%}\nb{%-endcall+%}", true),
            ("{{ '{% generation %}' }}", "{{ '{% generation %}' }}", false),
            ("{% set x = '%}{% generation %}' %}", "{% set x = '%}{% generation %}' %}", false),
            ("{# {% generation %} #}", "{# {% generation %} #}", false),
            (
                "{% raw %}{% generation %}{% endraw %}{%generation%}",
                "{% raw %}{% generation %}{% endraw %}{%call f()%}",
                true,
            ),
            ("{% generation x %}", "{% generation x %}", false),
            ("{{ 'é' }} { {% if x", "{{ 'é' }} { {% if x", false),
            ("{{ 'a\\'{%' }}{% generation %}", "{{ 'a\\'{%' }}{% call f() %}", true),
        ] {
            assert_eq!(rewritten(source, "f"), (expected.to_owned(), marked));
        }
    }

    #[test]
    fn marks_become_places() {
        let [open, close] = MARKS;
        let marked = format!("é{open}ab{close}c{open}{close}{open}d{open}e{close}{close}");
        let (text, spans) = unmarked(&marked).unwrap();
        assert_eq!((text.as_str(), spans), ("éabcde", vec![2..4, 5..5, 5..7]));
        assert!(unmarked(&format!("{close}{open}")).is_none());
        assert!(unmarked(&format!("{open}")).is_none());
    }

    proptest::proptest! {
        /// No source makes the scanner panic or lose text.
        #[test]
        fn other_sources_stay_as_they_are(source in "[{}%#'\"\\\\a é\n-]{0,40}") {
            proptest::prop_assert_eq!(rewritten(&source, "f"), (source.clone(), false));
        }
    }
}
