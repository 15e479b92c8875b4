//! `{% generation %}` ... `{% endgeneration %}`, the blocks in which a template marks what the assistant says.
//!
//! transformers adds this tag to Jinja. minijinja has no tags of one's own, so the source is rewritten: the block
//! becomes the call block of a function, which has the same scope and the same white-space control.

use std::ops::Range;

use super::{
    statements::{printed, statement},
    tokens::{Token, code},
};

/// What surrounds a marked text in the output: two noncharacters, which no text holds by accident.
pub(super) const MARKS: [char; 2] = ['\u{fdd0}', '\u{fdd1}'];

/// Returns the source as minijinja computes what Jinja would (see `expressions`), with call blocks of `function` in
/// place of generation blocks, and whether it has any. Lines stay where they are.
///
/// # Errors
/// The line, and what is wrong there.
pub(super) fn rewritten(source: &str, function: &str) -> Result<(String, bool), (usize, String)> {
    let (mut out, mut rest, mut marked) = (String::with_capacity(source.len()), source, false);
    while let Some(at) = rest.find('{') {
        out.push_str(&rest[..at]);
        let tag = &rest[at..];
        let line = || 1 + source[..source.len() - tag.len()].matches('\n').count();
        let length = match tag.as_bytes().get(1) {
            Some(b'#') => tag.find("#}").map_or(tag.len(), |end| end + 2),
            Some(b'{') => {
                let written = rewrite(tag, "}}", |tokens| printed(tokens).map(Some));
                let (written, length) = written.map_err(|message| (line(), message))?;
                out.push_str(&written);
                rest = &tag[length..];
                continue;
            }
            Some(b'%') => match raw_tag(tag) {
                Some(length) => length + raw_end(&tag[length..]),
                None => {
                    let written = rewrite(tag, "%}", |tokens| match tokens {
                        [Token::Name(name)] if name == "generation" => {
                            marked = true;
                            Ok(Some(format!("call {function}()")))
                        }
                        [Token::Name(name)] if name == "endgeneration" => {
                            Ok(Some("endcall".to_owned()))
                        }
                        tokens => statement(tokens),
                    });
                    let (written, length) = written.map_err(|message| (line(), message))?;
                    out.push_str(&written);
                    rest = &tag[length..];
                    continue;
                }
            },
            _ => 1,
        };
        out.push_str(&tag[..length]);
        rest = &tag[length..];
    }
    out.push_str(rest);
    Ok((out, marked))
}

/// Rewrites a tag's code, and returns the tag with the length that it had.
fn rewrite(
    tag: &str,
    end: &str,
    mut written: impl FnMut(&[Token]) -> Result<Option<String>, String>,
) -> Result<(String, usize), String> {
    let begin = 2 + usize::from(matches!(tag.as_bytes().get(2), Some(b'-' | b'+')));
    let found = code(&tag[begin..], end)?;
    let (end, after) = (begin + found.end, begin + found.after);
    let Some(written) = written(&found.tokens)? else {
        return Ok((tag[..after].to_owned(), after));
    };
    // The lines that the code had.
    let lines = "\n".repeat(tag[..after].matches('\n').count());
    Ok((format!("{} {written} {lines}{}", &tag[..begin], &tag[end..after]), after))
}

/// The length of the tag that begins a raw block, if this is one.
fn raw_tag(tag: &str) -> Option<usize> {
    let length = tag.find("%}")? + 2;
    (name_of(&tag[..length])?.1 == "raw").then_some(length)
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
            (
                "{%- generation -%}\nb{%-endgeneration+%}",
                "{%- call f() -%}\nb{%- endcall +%}",
                true,
            ),
            ("{{ '{% generation %}' }}", "{{ \"{% generation %}\" }}", false),
            ("{% set x = '%}{% generation %}' %}", "{% set x = \"%}{% generation %}\" %}", false),
            ("{# {% generation %} #}", "{# {% generation %} #}", false),
            (
                "{% raw %}{% generation %}{% endraw %}{%generation%}",
                "{% raw %}{% generation %}{% endraw %}{% call f() %}",
                true,
            ),
            ("{{ 'a\\'{%' }}{% generation %}", "{{ \"a'{%\" }}{% call f() %}", true),
            ("{{ {'a': {}}\n}}{%if x\n\n%}", "{{ _dict(\"a\",_dict()) \n}}{% if x \n\n%}", false),
        ] {
            assert_eq!(rewritten(source, "f"), Ok((expected.to_owned(), marked)));
        }
        for (source, line, says) in [
            ("a\n{{ 'é' }} { {% if x", 2, "a tag does not end"),
            ("\n\n{{ 1 + }}", 3, "expected an expression"),
            ("{% include 'x' %}", 1, "the tag `include` is not supported"),
        ] {
            let (found, message) = rewritten(source, "f").unwrap_err();
            assert!(found == line && message.contains(says), "{source}: {found}, {message}");
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
        /// No source makes the scanner panic, and what has no tags stays as it is.
        #[test]
        fn other_sources_stay_as_they_are(source in "[{}%#'\"\\\\a é\n.,|()\\[\\]1~-]{0,40}") {
            let written = rewritten(&source, "f");
            if !source.contains("{{") && !source.contains("{%") {
                proptest::prop_assert_eq!(written, Ok((source.clone(), false)));
            }
        }
    }
}
