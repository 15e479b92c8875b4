//! Texts in as many lines as they take: a named fact, whose later lines are below the beginning of its text; a sentence; a
//! command.

/// The column in which texts begin.
const TEXT: usize = 9;
/// The narrowest text that can be read.
const NARROW: usize = 20;

/// A name and a text, in lines of at most so many columns where there is a limit.
pub fn fact(name: &str, text: &str, columns: Option<usize>) -> String {
    let room = columns.map_or(usize::MAX, |columns| columns.saturating_sub(TEXT).max(NARROW));
    let lines = broken(text.split(' '), room, room);
    let indent = TEXT - 1;
    format!("{name:<indent$} {}", lines.join(&format!("\n{}", " ".repeat(TEXT))))
}

/// A message, each of its lines in lines of at most so many columns. Those that begin with a space stay as they are:
/// commands, to be copied.
pub fn sentences(text: &str, columns: usize) -> String {
    let lines = text.split('\n').map(|line| match line.starts_with(' ') {
        true => line.to_string(),
        false => broken(line.split(' '), columns, columns).join("\n"),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A command behind some text in lines of at most so many columns, as a shell takes it: broken in front of flags.
pub fn command(before: &str, command: &str, columns: Option<usize>) -> String {
    const END: &str = " \\";
    let line = format!("{before}{command}");
    // Within quotes, what breaks a line would be a part of the text.
    let is_too_long = |columns: &usize| line.chars().count() > *columns && !line.contains('\'');
    let Some(columns) = columns.filter(is_too_long) else { return line };
    let mut parts: Vec<String> = Vec::new();
    for part in command.split(" --") {
        let is_first = parts.is_empty();
        parts.push(if is_first { part.to_string() } else { format!("--{part}") });
    }
    let room = columns.saturating_sub(END.len());
    let first = room.saturating_sub(before.chars().count());
    let lines = broken(parts.iter().map(String::as_str), first, room.saturating_sub(INDENT.len()));
    format!("{before}{}", lines.join(&format!("{END}\n{INDENT}")))
}

/// Before the later lines of a command.
const INDENT: &str = "    ";

/// Words in lines of at most so many columns, the first and the others; one that is longer has a line of its own.
fn broken<'t>(words: impl Iterator<Item = &'t str>, first: usize, others: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words {
        let room = if lines.len() > 1 { others } else { first };
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= room => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_string()),
        }
    }
    lines
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

    #[test]
    fn messages_are_broken_between_words_and_commands_stay() {
        let text = "error: a.jsonl, line 3: found 5\n  peft train --resume --out a\nexpected 4";
        assert_eq!(
            sentences(text, 20),
            "error: a.jsonl, line\n3: found 5\n  peft train --resume --out a\nexpected 4"
        );
        assert_eq!(sentences("a-very-long-path and more", 8), "a-very-long-path\nand more");
    }

    #[test]
    fn commands_are_broken_as_a_shell_takes_them() {
        let text = "peft predict --model a --adapter b c --top-k 3";
        assert_eq!(command("next: ", text, None), format!("next: {text}"));
        assert_eq!(command("next: ", text, Some(52)), format!("next: {text}"));
        assert_eq!(
            command("next: ", text, Some(40)),
            "next: peft predict --model a \\\n    --adapter b c --top-k 3"
        );
        assert_eq!(
            command("next: ", text, Some(20)),
            "next: peft predict \\\n    --model a \\\n    --adapter b c \\\n    --top-k 3"
        );
    }
}
