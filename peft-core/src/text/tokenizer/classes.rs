//! The parts that each tokenizer class of transformers 5.23 builds anew from a vocabulary.

use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokenizers::{PostProcessorWrapper, Tokenizer};

use super::{
    byt5,
    class::Class,
    definition::{BytePairs, TokenizerDefinition, TokenizerModel},
    fill_in,
    finish::{
        Specials, add_specials_again, add_tokens, set_bos_and_eos, set_template, set_template_with,
    },
    parts,
    settings::Settings,
    source::{Source, Vocabulary},
    token::{Token, TokenSpec},
};
use crate::error::{Error, Result};

/// Builds the tokenizer of a class other than the backend.
///
/// # Errors
/// [`Error::Config`] for a setting that is not what the class takes, [`Error::File`] for a
/// vocabulary of another kind.
pub(super) fn build(
    class: Class,
    mut source: Source,
    settings: &Settings,
) -> Result<(Tokenizer, Specials)> {
    let specials = specials(class, settings, source.pad_token.as_deref())?;
    let path = source.path.clone();
    let (post_processor, is_json) = (source.post_processor.take(), source.is_json);
    let mut tokenizer = definition(class, source, settings, &specials)?.build(&path)?;
    tokenizer.with_post_processor(post_processor);
    add_tokens(&mut tokenizer, settings, &specials, &path)?;
    let asks =
        settings.value("add_bos_token").is_some() || settings.value("add_eos_token").is_some();
    let updates = asks && !is_json || tokenizer.get_post_processor().is_none();
    if updates || matches!(class, Class::GptNeoX | Class::CodeLlama) {
        set_bos_and_eos(&mut tokenizer, settings, &specials, &path, is_json)?;
    }
    if class == Class::Qwen2 {
        add_specials_again(&mut tokenizer, &specials, &path)?;
    }
    surround(class, &mut tokenizer, settings, &specials, &path)?;
    Ok((tokenizer, specials))
}

/// The special tokens of the settings, and named ones that the class has where no file names them. `pad_token` is that of
/// the padding of `tokenizer.json`.
///
/// # Errors
/// [`Error::Config`] at `extra_ids` where it contradicts the tokens.
pub(super) fn specials(
    class: Class,
    settings: &Settings,
    pad_token: Option<&str>,
) -> Result<Specials> {
    const BERT: &[(&str, &str)] = &[
        ("unk_token", "[UNK]"),
        ("sep_token", "[SEP]"),
        ("pad_token", "[PAD]"),
        ("cls_token", "[CLS]"),
        ("mask_token", "[MASK]"),
    ];
    const ROBERTA: &[(&str, &str)] = &[
        ("bos_token", "<s>"),
        ("eos_token", "</s>"),
        ("sep_token", "</s>"),
        ("cls_token", "<s>"),
        ("unk_token", "<unk>"),
        ("pad_token", "<pad>"),
        ("mask_token", "<mask>"),
    ];
    const HERBERT: &[(&str, &str)] = &[
        ("unk_token", "<unk>"),
        ("sep_token", "</s>"),
        ("pad_token", "<pad>"),
        ("cls_token", "<s>"),
        ("mask_token", "<mask>"),
    ];
    const END: &str = "<|endoftext|>";
    let defaults: &[(&str, &str)] = match class {
        Class::Backend => &[],
        Class::Bert | Class::DistilBert => BERT,
        Class::Herbert => HERBERT,
        Class::Roberta
        | Class::XlmRoberta
        | Class::Camembert
        | Class::Phobert
        | Class::Bertweet => ROBERTA,
        Class::Gpt2 => &[("unk_token", END), ("bos_token", END), ("eos_token", END)],
        Class::Llama | Class::CodeLlama => {
            &[("unk_token", "<unk>"), ("bos_token", "<s>"), ("eos_token", "</s>")]
        }
        Class::Qwen2 => &[("unk_token", END), ("eos_token", END), ("pad_token", END)],
        Class::GptNeoX => &[
            ("unk_token", END),
            ("bos_token", END),
            ("eos_token", END),
            ("pad_token", "<|padding|>"),
        ],
        Class::Gemma => &[
            ("unk_token", "<unk>"),
            ("bos_token", "<bos>"),
            ("eos_token", "<eos>"),
            ("pad_token", "<pad>"),
            ("mask_token", "<mask>"),
        ],
        Class::T5 | Class::ByT5 => {
            &[("eos_token", "</s>"), ("unk_token", "<unk>"), ("pad_token", "<pad>")]
        }
    };
    let text = |&(name, token): &(&'static str, &str)| (name, Token::Text(token.to_string()));
    let mut defaults: Vec<(&str, Token)> = defaults.iter().map(text).collect();
    // The padding of `tokenizer.json` names a token where nothing else does.
    if matches!(class, Class::Llama | Class::CodeLlama)
        && let Some(pad_token) = pad_token
    {
        defaults.push(("pad_token", Token::Text(pad_token.to_string())));
    }
    let mut specials = Specials::new(settings, &defaults, extra_tokens(class, settings)?);
    if class == Class::Camembert {
        for (_, token) in specials.by_name.iter_mut().filter(|(name, _)| name == "mask_token") {
            if let Token::Text(text) = token {
                let spec = TokenSpec { lstrip: true, ..TokenSpec::special(text) };
                *token = Token::Full(spec);
            }
        }
    }
    if class == Class::CodeLlama {
        specials.has_bos = true;
        fill_in::name_tokens(&mut specials, settings);
    }
    Ok(specials)
}

/// The special tokens without a name.
fn extra_tokens(class: Class, settings: &Settings) -> Result<Vec<Token>> {
    if class == Class::ByT5 {
        return byt5::extra_tokens(settings);
    }
    let given = settings.additional.clone();
    let additional = match class {
        Class::T5 => Some(with_sentinels(given, settings)?),
        Class::Camembert => Some(given.unwrap_or_else(|| {
            let unused = ["<s>NOTUSED", "</s>NOTUSED", "<unk>NOTUSED"];
            unused.map(|token| Token::Text(token.to_string())).into()
        })),
        _ => given,
    };
    Ok(settings.extra.clone().or(additional).unwrap_or_default())
}

/// T5's `<extra_id_0>`, ... behind other tokens, unless these are among them.
fn with_sentinels(given: Option<Vec<Token>>, settings: &Settings) -> Result<Vec<Token>> {
    let extra_ids = extra_ids(settings)?;
    let mut tokens = given.unwrap_or_default();
    let among = tokens.iter().filter(|token| token.content().contains("<extra_id_")).count();
    if among == 0 {
        tokens.extend((0..extra_ids).map(|i| Token::Text(format!("<extra_id_{i}>"))));
    } else if extra_ids > 0 && extra_ids != among {
        let message = format!("found {extra_ids}, but `additional_special_tokens` has {among}");
        return Err(settings.error("extra_ids", message));
    }
    Ok(tokens)
}

/// The number of T5's sentinel tokens.
///
/// # Errors
/// [`Error::Config`] unless it is a number, and not one that only a damaged file has.
pub(super) fn extra_ids(settings: &Settings) -> Result<usize> {
    match settings.value("extra_ids") {
        None => Ok(100),
        Some(value) => value.as_u64().filter(|count| *count <= 1 << 14).map_or_else(
            || Err(settings.error("extra_ids", format!("found {value}, expected a number"))),
            |count| Ok(count as usize),
        ),
    }
}

/// The model and what stands around it.
fn definition(
    class: Class,
    source: Source,
    settings: &Settings,
    specials: &Specials,
) -> Result<TokenizerDefinition> {
    let path = source.path.clone();
    match class {
        Class::Backend | Class::ByT5 | Class::Phobert | Class::Bertweet => {
            Err(Error::file(&path, format!("{} takes none of these parts", class.name())))
        }
        Class::Bert | Class::DistilBert => bert(source, settings, specials, &path),
        Class::Herbert => herbert(source, settings, specials, &path),
        Class::Roberta | Class::Gpt2 | Class::GptNeoX => {
            let composed = (class == Class::GptNeoX).then(parts::composed);
            let space = settings.flag("add_prefix_space", false)?;
            byte_level(source, composed, parts::byte_level(space, true), &path)
        }
        Class::Qwen2 => {
            let space = settings.optional_flag("add_prefix_space")?.unwrap_or(false);
            let bytes = parts::byte_level(space, false);
            let words = parts::in_turn(&[parts::split(parts::QWEN2), bytes]);
            byte_level(source, Some(parts::composed()), words, &path)
        }
        Class::Llama => llama(source, settings, &path),
        Class::CodeLlama => code_llama(source, specials, settings, &path),
        Class::Gemma => gemma(source, specials, settings, &path),
        Class::T5 => unigram(source, Some(2), "always", &path),
        Class::XlmRoberta | Class::Camembert => {
            // Null counts as false here, as for `if` in Python.
            let space = match settings.value("add_prefix_space") {
                Some(Value::Null) => false,
                _ => settings.flag("add_prefix_space", true)?,
            };
            let unk = match class {
                Class::XlmRoberta => Some(3),
                _ => None,
            };
            let unk_token = specials.get("unk_token").unwrap_or_default();
            let unk = unk.or_else(|| source.place_of(unk_token));
            unigram(source, unk, if space { "always" } else { "never" }, &path)
        }
    }
}

fn part<T: DeserializeOwned>(json: Value, path: &Path) -> Result<Option<T>> {
    TokenizerDefinition::part(json, path).map(Some)
}

fn bert(
    source: Source,
    settings: &Settings,
    specials: &Specials,
    path: &Path,
) -> Result<TokenizerDefinition> {
    let unk_token = specials.require("unk_token", settings)?.to_string();
    let vocab = source.vocabulary.into_ids();
    let normalizer = parts::bert_normalizer(
        settings.flag("tokenize_chinese_chars", true)?,
        settings.optional_flag("strip_accents")?,
        settings.flag("do_lower_case", true)?,
    );
    Ok(TokenizerDefinition {
        normalizer: part(normalizer, path)?,
        pre_tokenizer: part(parts::bert_words(), path)?,
        decoder: part(parts::word_piece_decoder(), path)?,
        ..TokenizerDefinition::new(TokenizerModel::WordPiece { vocab, unk_token })
    })
}

fn herbert(
    source: Source,
    settings: &Settings,
    specials: &Specials,
    path: &Path,
) -> Result<TokenizerDefinition> {
    const SUFFIX: &str = "</w>";
    let unk_token = Some(specials.require("unk_token", settings)?.to_string());
    let pairs = BytePairs { unk_token, end_of_word_suffix: Some(SUFFIX.into()), ..pairs(source) };
    Ok(TokenizerDefinition {
        normalizer: part(parts::bert_normalizer(true, Some(false), false), path)?,
        pre_tokenizer: part(parts::bert_words(), path)?,
        decoder: part(json!({"type": "BPEDecoder", "suffix": SUFFIX}), path)?,
        ..TokenizerDefinition::new(TokenizerModel::BytePairs(pairs))
    })
}

/// The pairs of a vocabulary; one without merges has none.
fn pairs(source: Source) -> BytePairs {
    BytePairs {
        vocab: source.vocabulary.into_ids(),
        merges: source.merges.unwrap_or_default(),
        ..BytePairs::default()
    }
}

fn byte_level(
    source: Source,
    normalizer: Option<Value>,
    words: Value,
    path: &Path,
) -> Result<TokenizerDefinition> {
    Ok(TokenizerDefinition {
        normalizer: normalizer.map(|json| TokenizerDefinition::part(json, path)).transpose()?,
        pre_tokenizer: part(words, path)?,
        decoder: part(parts::byte_level(true, true), path)?,
        ..TokenizerDefinition::new(TokenizerModel::BytePairs(pairs(source)))
    })
}

fn llama(source: Source, settings: &Settings, path: &Path) -> Result<TokenizerDefinition> {
    let pairs = BytePairs { fuse_unk: true, byte_fallback: true, ..pairs(source) };
    let space = settings.optional_flag("add_prefix_space")?.unwrap_or(true);
    let scheme = match (space, settings.optional_flag("legacy")?) {
        (false, _) => "never",
        (true, Some(true)) => "always",
        (true, _) => "first",
    };
    Ok(TokenizerDefinition {
        pre_tokenizer: part(parts::metaspace(scheme, false), path)?,
        decoder: part(parts::piece_decoder(true, space), path)?,
        ..TokenizerDefinition::new(TokenizerModel::BytePairs(pairs))
    })
}

fn code_llama(
    source: Source,
    specials: &Specials,
    settings: &Settings,
    path: &Path,
) -> Result<TokenizerDefinition> {
    let unk_token = Some(specials.require("unk_token", settings)?.to_string());
    let pairs = BytePairs { unk_token, fuse_unk: true, byte_fallback: true, ..pairs(source) };
    let space = settings.optional_flag("add_prefix_space")?.unwrap_or(true);
    let scheme = if space { "first" } else { "never" };
    Ok(TokenizerDefinition {
        pre_tokenizer: part(parts::metaspace(scheme, false), path)?,
        decoder: part(parts::piece_decoder(true, true), path)?,
        ..TokenizerDefinition::new(TokenizerModel::BytePairs(pairs))
    })
}

fn gemma(
    source: Source,
    specials: &Specials,
    settings: &Settings,
    path: &Path,
) -> Result<TokenizerDefinition> {
    let unk_token = Some(specials.require("unk_token", settings)?.to_string());
    let pairs = BytePairs { unk_token, fuse_unk: true, byte_fallback: true, ..pairs(source) };
    let words = json!({"type": "Split", "pattern": {"String": " "},
        "behavior": "MergedWithPrevious", "invert": false});
    Ok(TokenizerDefinition {
        normalizer: part(parts::marked_spaces(), path)?,
        pre_tokenizer: part(words, path)?,
        decoder: part(parts::piece_decoder(true, false), path)?,
        ..TokenizerDefinition::new(TokenizerModel::BytePairs(pairs))
    })
}

fn unigram(
    source: Source,
    unk_id: Option<usize>,
    prepend_scheme: &str,
    path: &Path,
) -> Result<TokenizerDefinition> {
    let Vocabulary::Scores(pieces) = source.vocabulary else {
        return Err(Error::file(path, "found a vocabulary of ids, expected pieces with scores"));
    };
    let unk_id = unk_id.unwrap_or_default();
    let model = TokenizerModel::Unigram { pieces, unk_id, byte_fallback: false };
    Ok(TokenizerDefinition {
        normalizer: source.charsmap,
        pre_tokenizer: part(parts::metaspace_words(prepend_scheme), path)?,
        decoder: part(parts::metaspace(prepend_scheme, true), path)?,
        ..TokenizerDefinition::new(model)
    })
}

/// The special tokens around a text that a class sets whatever its file says.
fn surround(
    class: Class,
    tokenizer: &mut Tokenizer,
    settings: &Settings,
    specials: &Specials,
    path: &Path,
) -> Result<()> {
    let token = |name| specials.require(name, settings);
    match class {
        Class::Bert | Class::DistilBert => {
            let (cls, sep) = (token("cls_token")?, token("sep_token")?);
            let single = [(cls, 0), ("$A", 0), (sep, 0)];
            let pair = [(cls, 0), ("$A", 0), (sep, 0), ("$B", 1), (sep, 1)];
            set_template(tokenizer, &single, &pair, path)
        }
        Class::Herbert => {
            // Their ids are fixed, whatever the vocabulary has.
            let processor = json!({"type": "BertProcessing", "sep": [token("sep_token")?, 2],
                "cls": [token("cls_token")?, 0]});
            let processor: PostProcessorWrapper = TokenizerDefinition::part(processor, path)?;
            tokenizer.with_post_processor(Some(processor));
            Ok(())
        }
        Class::Roberta => {
            let with_id = |name| {
                let token = token(name)?;
                Ok::<_, Error>(json!([token, tokenizer.token_to_id(token)]))
            };
            let processor = json!({"type": "RobertaProcessing", "sep": with_id("sep_token")?,
                "cls": with_id("cls_token")?,
                "trim_offsets": settings.flag("trim_offsets", true)?,
                "add_prefix_space": settings.flag("add_prefix_space", false)?});
            let processor: PostProcessorWrapper = TokenizerDefinition::part(processor, path)?;
            tokenizer.with_post_processor(Some(processor));
            Ok(())
        }
        Class::T5 => {
            let single = [("$A", 0), ("</s>", 0)];
            let pair = [("$A", 0), ("</s>", 0), ("$B", 0), ("</s>", 0)];
            // Its name is fixed, its id is that of whatever ends a text.
            let id = tokenizer.token_to_id(token("eos_token")?);
            set_template_with(tokenizer, &single, &pair, |_| id, path)
        }
        Class::XlmRoberta | Class::Camembert => {
            let (bos, eos) = (token("bos_token")?, token("eos_token")?);
            let single = [(bos, 0), ("$A", 0), (eos, 0)];
            let pair = [(bos, 0), ("$A", 0), (eos, 0), (eos, 0), ("$B", 0), (eos, 0)];
            set_template(tokenizer, &single, &pair, path)
        }
        _ => Ok(()),
    }
}
