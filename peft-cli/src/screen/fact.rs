//! A named fact in as many lines as it takes, the later ones below the beginning of its text.

/// The column in which texts begin.
const TEXT: usize = 9;
/// The narrowest text that can be read.
const NARROW: usize = 20;

/// A name and a text, in lines of at most so many columns where there is a limit.
pub fn fact(name: &str, text: &str, columns: Option<usize>) -> String {
    let room = columns.map_or(usize::MAX, |columns| columns.saturating_sub(TEXT).max(NARROW));
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let last = lines.len() - 1;
        let line = &mut lines[last];
        match line.is_empty() || line.chars().count() + 1 + word.chars().count() <= room {
            true if line.is_empty() => line.push_str(word),
            true => {
                line.push(' ');
                line.push_str(word);
            }
            false => lines.push(word.to_string()),
        }
    }
    let indent = TEXT - 1;
    format!("{name:<indent$} {}", lines.join(&format!("\n{}", " ".repeat(TEXT))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_between_words() {
        let text = "430 of 32 rows, 143 an epoch: 3 epochs";
        assert_eq!(fact("steps", text, None), format!("steps    {text}"));
        assert_eq!(
            fact("steps", text, Some(32)),
            "steps    430 of 32 rows, 143 an\n         epoch: 3 epochs"
        );
        assert_eq!(
            fact("steps", "aaaaaaaaaaaaaaaaaaaaaaa b", Some(9)),
            "steps    aaaaaaaaaaaaaaaaaaaaaaa\n         b"
        );
    }
}
