//! Rules about what a file may contain: no flags in libraries, no features in formulas, no matches on message
//! texts, no reads that are not counted, no definitions in a `mod.rs`.

use super::{
    CRATES, LIBRARIES, check,
    lexer::{Placed, Token, code},
    sources,
};

/// Applies a rule, which gives the lines and what is wrong there, to the files of some crates.
fn found(
    crates: &[&str],
    concerns: impl Fn(&str) -> bool,
    rule: impl Fn(&[Placed]) -> Vec<(usize, String)>,
) -> Vec<String> {
    let mut all = Vec::new();
    for krate in crates {
        for (file, source) in sources(krate) {
            if !concerns(&file) || is_of_tests(&file) {
                continue;
            }
            let lines = rule(&code(&source)).into_iter();
            all.extend(lines.map(|(line, what)| format!("{krate}/src/{file}:{line}: {what}")));
        }
    }
    all
}

/// Files that only tests have: their `mod` declaration has the attribute, not they.
fn is_of_tests(file: &str) -> bool {
    let stem = file.trim_end_matches(".rs");
    stem.split('/').any(|part| part == "tests" || part == "test_model" || part == "doc_block")
}

/// Strings that name a flag, `--` and a letter.
fn flags(tokens: &[Placed]) -> Vec<(usize, String)> {
    let names_flag = |text: &str| {
        text.match_indices("--")
            .any(|(at, _)| text[at + 2..].starts_with(|c: char| c.is_ascii_lowercase()))
    };
    let texts = tokens.iter().filter_map(|placed| Some((placed.line, placed.text()?)));
    texts
        .filter(|(_, text)| names_flag(text))
        .map(|(line, text)| (line, text.to_string()))
        .collect()
}

/// `feature = "cpu"`, in whatever attribute or macro.
fn cpu_features(tokens: &[Placed]) -> Vec<(usize, String)> {
    let asks = |three: &&[Placed]| {
        three[0].word() == Some("feature") && three[1].is('=') && three[2].text() == Some("cpu")
    };
    let places = tokens.windows(3).filter(asks);
    places.map(|three| (three[0].line, "feature = \"cpu\"".to_string())).collect()
}

/// What texts of errors are called.
const NAMES: [&str; 6] = ["message", "setting", "error", "err", "reason", "to_string"];
/// What looks into a text.
const LOOKS: [&str; 7] =
    ["starts_with", "ends_with", "contains", "find", "strip_prefix", "strip_suffix", "eq"];

/// `message.starts_with(...)`, `error.to_string().contains(...)`, `message == "..."` and the like.
fn message_texts(tokens: &[Placed]) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (at, placed) in tokens.iter().enumerate() {
        let Some(name) = placed.word().filter(|word| NAMES.contains(word)) else { continue };
        let called = name == "to_string";
        let rest = &tokens[at + 1..];
        let rest = match rest {
            [open, close, rest @ ..] if called && open.is('(') && close.is(')') => rest,
            _ if called => continue,
            _ => rest,
        };
        let looks = match rest {
            [dot, method, open, ..] if dot.is('.') && open.is('(') => {
                method.word().filter(|method| LOOKS.contains(method))
            }
            [a, b, Placed { token: Token::Text(_), .. }, ..]
                if (a.is('=') || a.is('!')) && b.is('=') && name != "setting" =>
            {
                Some("==")
            }
            _ => None,
        };
        found.extend(looks.map(|looks| (placed.line, format!("{name} {looks}"))));
    }
    found
}

/// Values read from a device in another way than by `contract/readback.rs`.
fn uncounted_reads(tokens: &[Placed]) -> Vec<(usize, String)> {
    const READ: [&str; 6] = [
        "into_scalar",
        "try_into_scalar",
        "into_data",
        "try_into_data",
        "to_data",
        "into_data_async",
    ];
    let read = |placed: &Placed| {
        let word = placed.word().filter(|word| READ.contains(word))?;
        Some((placed.line, word.to_string()))
    };
    tokens.iter().filter_map(read).collect()
}

/// What is defined at the top level of a file.
fn definitions(tokens: &[Placed]) -> Vec<(usize, String)> {
    const KEYWORDS: [&str; 10] = [
        "fn",
        "struct",
        "enum",
        "union",
        "trait",
        "type",
        "const",
        "static",
        "impl",
        "macro_rules",
    ];
    let mut found = Vec::new();
    let mut depth = 0usize;
    for (at, placed) in tokens.iter().enumerate() {
        match &placed.token {
            Token::Mark('(' | '[' | '{') => depth += 1,
            Token::Mark(')' | ']' | '}') => depth = depth.saturating_sub(1),
            Token::Word(word) if depth == 0 && KEYWORDS.contains(&word.as_str()) => {
                // Not the `fn` of `const fn`, the `const` of `<const N: usize>`, the `impl` of `-> impl Trait`.
                let goes_on = tokens[..at].last().is_some_and(|before| {
                    let is_keyword = before.word().is_some_and(|word| KEYWORDS.contains(&word));
                    is_keyword || ['<', ',', '>'].into_iter().any(|mark| before.is(mark))
                });
                let name = tokens.get(at + 1).and_then(Placed::word).unwrap_or_default();
                found.extend((!goes_on).then(|| (placed.line, format!("{word} {name}"))));
            }
            _ => {}
        }
    }
    found
}

#[test]
fn libraries_name_fields_not_flags() {
    check("flags in strings of libraries", &found(&LIBRARIES, |_| true, flags));
}

#[test]
fn formulas_ask_for_no_feature() {
    let concerns = |file: &str| file.starts_with("blocks/") || file.starts_with("families/");
    let found = found(&["peft-models"], concerns, cpu_features);
    check("uses of the feature `cpu` in formulas", &found);
}

#[test]
fn nothing_hangs_on_the_text_of_a_message() {
    check("matches on message texts", &found(&CRATES, |_| true, message_texts));
}

#[test]
fn steps_batches_and_tokens_are_read_where_reads_are_counted() {
    let concerns = |file: &str| {
        let folders = ["train/", "evaluate/", "generate/"];
        folders.iter().any(|folder| file.starts_with(folder)) || file == "optim/clip.rs"
    };
    let found = found(&["peft-core", "peft-models"], concerns, uncounted_reads);
    check("reads that nobody counts", &found);
}

#[test]
fn mod_files_only_declare() {
    let concerns = |file: &str| file.ends_with("mod.rs");
    check("definitions in a mod.rs", &found(&CRATES, concerns, definitions));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(rule: fn(&[Placed]) -> Vec<(usize, String)>, source: &str) -> Vec<String> {
        rule(&code(source)).into_iter().map(|(_, what)| what).collect()
    }

    #[test]
    fn flags_are_told_from_dashes_comments_and_tests() {
        let source = "f(\"--lr: found\", \"a -- b\", \"|---|\", r\"x --y\") // --z\n
            #[cfg(test)] mod tests { f(\"--lr\") }";
        assert_eq!(told(flags, source), ["--lr: found", "x --y"]);
    }

    #[test]
    fn features_are_told_in_attributes_and_macros() {
        let source = "#[cfg(feature = \"cpu\")] fn f() {} if cfg!(not(feature = \"cpu\")) {}
            #[cfg(feature = \"wgpu\")] mod x;";
        assert_eq!(told(cpu_features, source).len(), 2);
    }

    #[test]
    fn looks_into_messages_are_told() {
        let source = "Error::Data { message, .. } if message.starts_with(\"x\") => error.to_string().contains(y),
            setting.ends_with(\"z\"), message == \"a\", name.contains(\"b\"), x.to_string(), setting == \"c\"";
        let expected =
            ["message starts_with", "to_string contains", "setting ends_with", "message =="];
        assert_eq!(told(message_texts, source), expected);
    }

    #[test]
    fn reads_are_told() {
        let source = "x.into_scalar::<f64>(); // y.to_data()\n values.into_data();
            #[cfg(test)] mod tests { x.into_data() }";
        assert_eq!(told(uncounted_reads, source), ["into_scalar", "into_data"]);
    }

    #[test]
    fn definitions_are_told_from_declarations() {
        let source = "//! fn\nmod a; pub use a::B; #[cfg(feature = \"x\")] pub mod c;";
        assert_eq!(told(definitions, source), Vec::<String>::new());
        let source = "pub const fn f<const N: usize>() -> impl Sized { struct Inner; } impl B { fn g() {} } static S: u8 = 1;";
        assert_eq!(told(definitions, source), ["const fn", "impl B", "static S"]);
    }
}
