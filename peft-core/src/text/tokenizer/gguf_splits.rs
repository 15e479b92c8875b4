//! How the byte-level tokenizers of GGUF files divide a text into words, by the names of llama.cpp.

use super::parts::QWEN2;

/// How a tokenizer divides a text into words.
#[derive(Clone, Copy, Debug)]
pub(super) struct Split {
    /// Words, separators and everything between them, by each in turn; empty for those of GPT-2.
    pub patterns: &'static [&'static str],
    /// Whether each digit is then a word.
    pub digits: bool,
    /// Whether a word that is a token stays whole, whatever the merges are.
    pub ignore_merges: bool,
    /// Whether a text begins with a special token if the file does not say.
    pub begins: bool,
    /// Whether characters are composed first (NFC).
    pub composes: bool,
}

const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Line ends, words, marks and what of Chinese, Japanese and Korean the words before it leave.
const DEEPSEEK_CODER: &[&str] = &[r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥ࠀ-一가-퟿]+"];

/// Names and what they mean. Those of one line are the same to llama.cpp; those of the first begin no text with a
/// special token, nor do GPT-2's.
const KNOWN: [(&[&str], Split); 8] = [
    (
        &["default", "gpt-2", "gpt2", "phi-2", "mpt", "olmo", "jais", "roberta-bpe", "modern-bert"],
        Split {
            patterns: &[],
            digits: false,
            ignore_merges: false,
            begins: false,
            composes: false,
        },
    ),
    (
        &["smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"],
        Split { patterns: &[], digits: true, ignore_merges: false, begins: false, composes: false },
    ),
    (
        &["llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2"],
        Split {
            patterns: &[LLAMA3],
            digits: false,
            ignore_merges: true,
            begins: true,
            composes: false,
        },
    ),
    // Llama 3's words with none of its other rules; `smaug-bpe` is what many of its finetunes are called.
    (
        &["smaug-bpe", "dbrx"],
        Split {
            patterns: &[LLAMA3],
            digits: false,
            ignore_merges: false,
            begins: false,
            composes: false,
        },
    ),
    (
        &["qwen2"],
        Split {
            patterns: &[QWEN2],
            digits: false,
            ignore_merges: false,
            begins: false,
            composes: true,
        },
    ),
    (
        &["deepseek-r1-qwen", "kormo", "f2llmv2", "megrez"],
        Split {
            patterns: &[QWEN2],
            digits: false,
            ignore_merges: false,
            begins: false,
            composes: false,
        },
    ),
    (
        &["deepseek-coder"],
        Split {
            patterns: DEEPSEEK_CODER,
            digits: true,
            ignore_merges: false,
            begins: false,
            composes: false,
        },
    ),
    (
        &["tekken"],
        Split {
            patterns: &[TEKKEN],
            digits: false,
            ignore_merges: true,
            begins: true,
            composes: false,
        },
    ),
];

/// What a file's `tokenizer.ggml.pre` means; files from before there was such a key divide as GPT-2 does.
///
/// # Errors
/// A message with the known names for any other.
pub(super) fn split_of(name: Option<&str>) -> Result<Split, String> {
    let name = name.unwrap_or("default");
    let found = KNOWN.iter().find(|(names, _)| names.contains(&name));
    found.map(|(_, split)| *split).ok_or_else(|| {
        let names: Vec<&str> = KNOWN.iter().flat_map(|(names, _)| *names).copied().collect();
        format!(
            "found {name:?}, this version knows {}; give the folder of the model that the file was made from, with its \
             tokenizer.json",
            names.join(", ")
        )
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn finetunes_of_llama_3_divide_as_it_does() {
        for (name, as_a_whole) in [("llama-bpe", true), ("smaug-bpe", false), ("dbrx", false)] {
            let split = split_of(Some(name)).unwrap();
            assert_eq!(split.patterns, [LLAMA3], "{name}");
            assert_eq!((split.ignore_merges, split.begins), (as_a_whole, as_a_whole), "{name}");
        }
        let error = split_of(Some("gpt-4o")).unwrap_err();
        assert!(error.contains("found \"gpt-4o\"") && error.contains("smaug-bpe"), "{error}");
    }
}
