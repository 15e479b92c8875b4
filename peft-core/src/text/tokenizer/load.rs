//! From a folder's files to a tokenizer.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tokenizers::{Encoding, Tokenizer};

use super::{
    afterwards, byt5,
    class::Class,
    classes, decode,
    definition::guarded,
    dictionary,
    end_token::END_TOKEN,
    files::{CODES, IDS_NEED_NONE, MERGES, TOKENIZER_JSON, UNSUPPORTED, VOCABULARIES},
    fill_in,
    finish::{Specials, add_tokens, set_bos_and_eos},
    gguf,
    json_file::TokenizerJson,
    sentencepiece::SentencePieceModel,
    settings::Settings,
    source::Source,
    token::Token,
    token_types, truncation,
};
use crate::{
    error::{Error, Result},
    formats::{
        gguf::{Gguf, gguf_of},
        read,
    },
};

/// The tokenizer of a model folder.
#[derive(Clone, Debug)]
pub struct ModelTokenizer {
    /// The tokenizer, without padding. Its truncation cuts nothing, but has the direction that the folder names, which
    /// the encoder follows. Its texts are those of transformers' `decode`; what it encodes has the ids of a model once
    /// [`settled`](afterwards::settled), as [`encode`](Self::encode) does.
    pub tokenizer: Tokenizer,
    /// The tokenizer class, by the name that transformers gives it; `GGUF` for the tokenizer of such a file.
    pub class: &'static str,
    /// The files of the folder that it was built from, the vocabulary first.
    pub files: Vec<String>,
    /// The special tokens that have a name, such as `eos_token`, with their texts. Where the files do not
    /// name one, it is the class's own.
    pub special_tokens: Vec<(String, String)>,
}

impl ModelTokenizer {
    /// The id of the token that ends a text, its `eos_token`; `None` if it has none.
    pub fn end_id(&self) -> Option<u32> {
        let (_, text) = self.special_tokens.iter().find(|(name, _)| name == END_TOKEN)?;
        self.tokenizer.token_to_id(text)
    }

    /// Builds the tokenizer of a folder as `AutoTokenizer` of transformers 5.23 does.
    ///
    /// `tokenizer_config.json`, else the family in `config.json`, names a tokenizer class. Most
    /// classes take the vocabulary of `tokenizer.json`, or of the files that came before it, and
    /// build everything else anew by the settings of `tokenizer_config.json`. A GGUF file holds its own.
    ///
    /// # Errors
    /// [`Error::Read`] and [`Error::File`] for a file that cannot be read or is malformed,
    /// [`Error::Config`] at a setting that is invalid or not supported.
    pub fn load(model_dir: &Path) -> Result<Self> {
        if let Some(path) = gguf_of(model_dir)? {
            let name = path.file_name().unwrap_or_default();
            let (tokenizer, special_tokens) = gguf::load(&path)?;
            return Ok(Self {
                tokenizer,
                class: "GGUF",
                files: vec![name.to_string_lossy().into_owned()],
                special_tokens,
            });
        }
        let json_path = model_dir.join(TOKENIZER_JSON);
        let json = match json_path.exists() {
            true => Some(TokenizerJson::new(&json_path, read::bytes(&json_path)?)?),
            false => None,
        };
        let tokens_of_json = json.as_ref().map_or(&[][..], |json| &json.added_tokens);
        let mut settings = Settings::read(model_dir, tokens_of_json)?;
        let config_path = model_dir.join("config.json");
        let config = match config_path.exists() {
            true => read::json(&config_path)?,
            false => Value::Null,
        };
        refuse_unsupported(&settings, &config, model_dir)?;
        let is_byte_level = json.as_ref().is_some_and(TokenizerJson::is_byte_level);
        let class = Class::choose(&settings, &config, is_byte_level)?;
        settings.name_added_tokens();
        let json = json.filter(|_| !class.is_in_python());
        let side = json.as_ref().and_then(|json| json.truncation_side);
        let (files, path, built) = match json {
            Some(json) => {
                (vec![TOKENIZER_JSON], json_path.clone(), of_json(class, json, &settings))
            }
            None => of_vocabulary(class, model_dir, &mut settings)?,
        };
        let (mut tokenizer, specials) = built?;
        if class == Class::CodeLlama {
            fill_in::check(&tokenizer, &specials, &settings, &config)?;
        }
        tokenizer.with_padding(None);
        truncation::keep_side(&mut tokenizer, side, &settings)?;
        tokenizer.set_encode_special_tokens(settings.flag("split_special_tokens", false)?);
        token_types::apply(&mut tokenizer, class, &settings, &path)?;
        decode::clean_up(&mut tokenizer, class, &settings, &path)?;
        let files = files.into_iter().chain(settings.files.iter().copied());
        let texts = specials.by_name.into_iter();
        Ok(Self {
            tokenizer,
            class: class.name(),
            files: files.map(String::from).collect(),
            special_tokens: texts.map(|(name, token)| (name, token.content().into())).collect(),
        })
    }

    /// Encodes a text.
    ///
    /// # Errors
    /// What the tokenizer says against the text, or that transformers would fill something in.
    pub fn encode(&self, text: &str) -> std::result::Result<Encoding, String> {
        if let Some(token) = self.fill_token().filter(|token| text.contains(token)) {
            return Err(format!("it has {token:?}, {}", fill_in::REASON));
        }
        let encoding = self.tokenizer.encode(text, true).map_err(|error| error.to_string())?;
        Ok(afterwards::settled(&self.tokenizer, encoding))
    }

    /// The token in whose place a CodeLlama would write.
    fn fill_token(&self) -> Option<&str> {
        let is_fill = |(name, _): &&(String, String)| name == fill_in::TOKEN;
        let own = self.special_tokens.iter().find(is_fill).map(|(_, text)| text.as_str());
        own.filter(|_| self.class == Class::CodeLlama.name())
    }
}

/// Loads a model folder's tokenizer. What it encodes has the ids of a model once [`settled`](afterwards::settled).
///
/// # Errors
/// As for [`ModelTokenizer::load`].
pub fn load_tokenizer(model_dir: &Path) -> Result<Tokenizer> {
    Ok(ModelTokenizer::load(model_dir)?.tokenizer)
}

/// Whether a model has a file that a tokenizer is built from.
///
/// # Errors
/// [`Error::Read`] or [`Error::File`] if a GGUF file cannot be read.
pub fn has_tokenizer(model_dir: &Path) -> Result<bool> {
    if let Some(path) = gguf_of(model_dir)? {
        return Ok(gguf::is_there(&Gguf::open(&path)?));
    }
    let vocabularies = VOCABULARIES.iter().filter(|file| **file != MERGES);
    let mut files = vocabularies.chain(&UNSUPPORTED).chain([&TOKENIZER_JSON]);
    Ok(files.any(|file| model_dir.join(file).exists()) || needs_no_file(model_dir))
}

/// Whether a folder names a class that needs no vocabulary.
fn needs_no_file(model_dir: &Path) -> bool {
    let config = read::json(&model_dir.join("config.json")).unwrap_or_default();
    let class = Settings::read(model_dir, &[])
        .and_then(|settings| Class::choose(&settings, &config, false));
    class.is_ok_and(|class| class == Class::ByT5)
}

type Built = Result<(Tokenizer, Specials)>;

/// A tokenizer with a `tokenizer.json`.
fn of_json(class: Class, json: TokenizerJson<'_>, settings: &Settings) -> Built {
    if class != Class::Backend {
        return classes::build(class, json.source(class)?, settings);
    }
    let (path, pad_token) = (json.path.to_path_buf(), json.pad_token);
    let tokenizer =
        guarded(&path, || Tokenizer::from_bytes(json.bytes).map_err(|error| error.to_string()))?;
    let pad_token = pad_token.map(|token| ("pad_token", Token::Text(token)));
    backend(tokenizer, pad_token.as_slice(), settings, &path, true)
}

/// What the backend class does to a tokenizer.
fn backend(
    mut tokenizer: Tokenizer,
    defaults: &[(&str, Token)],
    settings: &Settings,
    path: &Path,
    is_json: bool,
) -> Built {
    let extra = settings.extra.clone().or_else(|| settings.additional.clone());
    let specials = Specials::new(settings, defaults, extra.unwrap_or_default());
    add_tokens(&mut tokenizer, settings, &specials, path)?;
    if tokenizer.get_post_processor().is_none() {
        set_bos_and_eos(&mut tokenizer, settings, &specials, path, is_json)?;
    }
    Ok((tokenizer, specials))
}

/// A tokenizer without a `tokenizer.json`: its files, the first of them, and itself.
fn of_vocabulary(
    class: Class,
    dir: &Path,
    settings: &mut Settings,
) -> Result<(Vec<&'static str>, PathBuf, Built)> {
    let own: &[&'static str] = match class {
        Class::ByT5 => {
            let path = settings.path.clone();
            let built = classes::specials(class, settings, None)
                .and_then(|specials| Ok((byt5::build(settings, &specials, &path)?, specials)));
            return Ok((Vec::new(), path, built));
        }
        Class::Phobert | Class::Bertweet => &["vocab.txt", CODES],
        Class::Bert | Class::DistilBert => &["vocab.txt"],
        Class::Herbert | Class::Roberta | Class::Gpt2 | Class::Qwen2 | Class::GptNeoX => {
            &["vocab.json", MERGES]
        }
        Class::T5 => &["spiece.model"],
        Class::XlmRoberta | Class::Camembert => &["sentencepiece.bpe.model"],
        Class::Backend | Class::Llama | Class::CodeLlama | Class::Gemma => &["tokenizer.model"],
    };
    // Whatever the class, transformers takes this file in place of its own.
    let files = match dir.join("tokenizer.model").exists() && !class.is_in_python() {
        true => &["tokenizer.model"],
        false => own,
    };
    let path = dir.join(files[0]);
    if !path.exists() {
        return Err(missing(class, dir, own));
    }
    let built = if class.is_in_python() {
        dictionary::build(class, [&path, &dir.join(CODES)], settings)
    } else if files[0].ends_with(".model") {
        let model = SentencePieceModel::read(&path)?;
        match class {
            Class::Backend => {
                let definition = model.into_definition(settings)?;
                backend(definition.build(&path)?, &[], settings, &path, false)
            }
            _ => classes::build(class, model.into_source(class, settings)?, settings),
        }
    } else {
        let source = match files {
            [vocab, merges] => Source::of_byte_pairs(&dir.join(vocab), &dir.join(merges))?,
            _ => Source::of_lines(&path)?,
        };
        classes::build(class, source, settings)
    };
    Ok((files.to_vec(), path, built))
}

fn missing(class: Class, dir: &Path, own: &[&str]) -> Error {
    for file in UNSUPPORTED {
        if dir.join(file).exists() {
            return Error::file(
                &dir.join(file),
                format!(
                    "vocabularies of this kind are not supported; in Python, save \
                     `AutoTokenizer.from_pretrained(...).backend_tokenizer` as tokenizer.json; {IDS_NEED_NONE}"
                ),
            );
        }
    }
    // What another class is built from.
    let others = VOCABULARIES.iter().filter(|file| !own.contains(file) && dir.join(file).exists());
    let others: Vec<&str> = others.copied().collect();
    let other = match others.as_slice() {
        [] => String::new(),
        files => format!(
            "; found {}: if the tokenizer is of another class, tokenizer_config.json says which (`tokenizer_class`)",
            files.join(", ")
        ),
    };
    let message = format!(
        "has no tokenizer: found neither tokenizer.json nor {}, from which a {} is built{other}; \
         without one, give rows of token ids (`input_ids`)",
        own.join(" and "),
        class.name()
    );
    Error::file(dir, message)
}

/// Refuses settings that change tokens and are not followed.
fn refuse_unsupported(settings: &Settings, config: &Value, dir: &Path) -> Result<()> {
    let versions = settings.value("fast_tokenizer_files").and_then(Value::as_array);
    let mut others = versions.into_iter().flatten().filter_map(Value::as_str);
    let other = others.find(|file| *file != TOKENIZER_JSON && dir.join(file).exists());
    if let Some(file) = other {
        let message = format!("{file} is not supported; remove it, or make it tokenizer.json");
        return Err(settings.error("fast_tokenizer_files", message));
    }
    let of_mistral = ["mistral", "mistral3", "voxtral", "ministral", "pixtral"];
    if settings.optional_flag("fix_mistral_regex")? == Some(true)
        && of_mistral.iter().any(|family| config["model_type"] == *family)
    {
        return Err(settings.error(
            "fix_mistral_regex",
            "is not supported; in Python, save `AutoTokenizer.from_pretrained(...)\
             .backend_tokenizer` as tokenizer.json, and remove the key",
        ));
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    use crate::{
        contract::task::Task,
        text::{
            EncoderConfig,
            record::tests::record,
            tokenizer::tests::{ids, word_piece},
        },
    };

    #[test]
    fn files_that_are_no_tokenizers_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let message = || load_tokenizer(dir.path()).unwrap_err().to_string();
        let missing = message();
        assert!(missing.contains("has no tokenizer: found neither tokenizer.json"), "{missing}");
        assert!(!has_tokenizer(dir.path()).unwrap());
        let path = dir.path().join("tokenizer.json");
        for content in [&b"{}"[..], b"", b"\xff", b"[1]"] {
            std::fs::write(&path, content).unwrap();
            assert!(message().contains("tokenizer.json: not a tokenizer"), "{}", message());
        }
        word_piece().save(&path, false).unwrap();
        assert!(has_tokenizer(dir.path()).unwrap());
        assert_eq!(ids(&load_tokenizer(dir.path()).unwrap(), "the cat sat"), [0, 3, 4, 5, 1]);
    }

    /// A folder of a family, with the small WordPiece tokenizer and these settings.
    fn folder(model_type: &str, settings: &Value) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let config = json!({"model_type": model_type}).to_string();
        std::fs::write(dir.path().join("config.json"), config).unwrap();
        let settings = settings.to_string();
        std::fs::write(dir.path().join("tokenizer_config.json"), settings).unwrap();
        word_piece().save(dir.path().join("tokenizer.json"), false).unwrap();
        dir
    }

    #[test]
    fn the_class_builds_by_the_settings() {
        let cased = json!({"do_lower_case": false, "pad_token": "[UNK]", "mask_token": "[M]"});
        let loaded = ModelTokenizer::load(folder("bert", &cased).path()).unwrap();
        assert_eq!(loaded.class, "BertTokenizer");
        assert_eq!(loaded.files, ["tokenizer.json", "tokenizer_config.json"]);
        let mask = ("mask_token".to_string(), "[M]".to_string());
        assert!(loaded.special_tokens.contains(&mask));
        // "The" is unknown; the mask token is new, and gets the id after the vocabulary.
        assert_eq!(ids(&loaded.tokenizer, "The cat[M]"), [0, 2, 4, 14, 1]);
        let as_it_is = json!({"do_lower_case": false, "tokenizer_class": "TokenizersBackend"});
        let loaded = ModelTokenizer::load(folder("bert", &as_it_is).path()).unwrap();
        assert_eq!(ids(&loaded.tokenizer, "The cat"), [0, 3, 4, 1]);
        assert_eq!(loaded.class, "TokenizersBackend");
    }

    #[test]
    fn texts_are_cut_at_the_end_that_the_folder_names() {
        let cut = |settings: &Value, in_json: Option<&str>| {
            let dir = folder("bert", settings);
            let path = dir.path().join("tokenizer.json");
            let mut json: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            json["truncation"] = in_json.map_or(Value::Null, |direction| {
                json!({"direction": direction, "max_length": 3, "strategy": "OnlyFirst", "stride": 0})
            });
            std::fs::write(&path, json.to_string()).unwrap();
            let tokenizer = load_tokenizer(dir.path()).unwrap();
            assert_eq!(ids(&tokenizer, "the cat sat"), [0, 3, 4, 5, 1], "nothing is cut");
            let config =
                EncoderConfig { max_length: Some(4), ..EncoderConfig::new(Task::SeqCls, 14) };
            let config = EncoderConfig { targets: false, ..config };
            let rows = [record(1, json!({"text": "the cat sat"}))];
            let encoded = config.init(Some(tokenizer)).unwrap().encode(&rows).unwrap();
            (encoded.examples[0].input_ids.clone(), encoded.truncated)
        };
        // As transformers 5.23: the setting, else what tokenizer.json says.
        let (head, tail) = ((vec![0, 3, 4, 1], 1), (vec![0, 4, 5, 1], 1));
        let (left, right) =
            (json!({"truncation_side": "left"}), json!({"truncation_side": "right"}));
        assert_eq!(cut(&json!({}), None), head);
        assert_eq!(cut(&json!({}), Some("Left")), tail);
        assert_eq!(cut(&left, Some("Right")), tail);
        assert_eq!(cut(&right, Some("Left")), head);
        let own = json!({"tokenizer_class": "TokenizersBackend"});
        assert_eq!(cut(&own, Some("Left")), tail);
    }

    #[test]
    fn what_is_not_followed_is_refused_by_name() {
        for (model_type, settings, says) in [
            ("gpt2", json!({}), "its model is WordPiece, of which GPT2Tokenizer makes BPE"),
            (
                "bert",
                json!({"tokenizer_class": "AlbertTokenizer"}),
                "key `tokenizer_class`: AlbertTokenizer is not supported; in Python, save",
            ),
            (
                "bert",
                json!({"tokenizer_class": "BertJapaneseTokenizer"}),
                "transformers has it in Python only; give rows of token ids",
            ),
            (
                "bert",
                json!({"tokenizer_class": "OwnTokenizer", "auto_map": {"AutoTokenizer": ["own.Own", null]}}),
                "key `auto_map`: the tokenizer \"OwnTokenizer\" is code that comes with the model",
            ),
            ("bert", json!({"do_lower_case": 1}), "key `do_lower_case`: found 1, expected true or"),
            ("bert", json!({"tokenizer_class": 1}), "key `tokenizer_class`: found 1, expected a"),
            ("bert", json!({"unk_token": null}), "key `unk_token`: found null, expected a token"),
            ("bert", json!({"eos_token": 2}), "key `eos_token`: found 2, expected a token"),
            (
                "bert",
                json!({"truncation_side": "middle"}),
                "key `truncation_side`: found \"middle\", expected \"left\" or \"right\"",
            ),
            ("bert", json!({"added_tokens_decoder": []}), "expected an object"),
            (
                "bert",
                json!({"added_tokens_decoder": {"x": {"content": "a"}}}),
                "key `added_tokens_decoder.x`: expected a token id",
            ),
            ("bert", json!({"extra_special_tokens": "a"}), "expected a list"),
            ("mistral", json!({"fix_mistral_regex": true}), "key `fix_mistral_regex`: is not"),
            ("bert", json!([]), "tokenizer_config.json: expected an object"),
        ] {
            let error = ModelTokenizer::load(folder(model_type, &settings).path()).unwrap_err();
            let error = error.to_string();
            assert!(error.contains(says), "{settings}: {error}");
            let file =
                if model_type == "gpt2" { "tokenizer.json" } else { "tokenizer_config.json" };
            assert!(error.contains(file), "{error}");
        }
    }

    #[test]
    fn vocabularies_of_other_programs_are_named() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("tekken.json"), "{}").unwrap();
        let message = || ModelTokenizer::load(dir.path()).unwrap_err().to_string();
        assert!(message().contains("tekken.json: vocabularies of this kind"), "{}", message());
        let model = dir.path().join("tokenizer.model");
        std::fs::write(&model, "IQ== 0\nIg== 1\n").unwrap();
        assert!(message().contains("it looks like a tiktoken vocabulary"), "{}", message());
    }
}
