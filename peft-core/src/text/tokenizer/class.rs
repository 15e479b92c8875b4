//! Which tokenizer class `AutoTokenizer` of transformers 5.23 takes for a folder.

use serde_json::Value;

use super::settings::Settings;
use crate::error::Result;

/// A tokenizer class: what it builds anew, whatever `tokenizer.json` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// `TokenizersBackend`: takes `tokenizer.json` as it is.
    Backend,
    Bert,
    /// BERT's without token types.
    DistilBert,
    /// Pairs of the pieces of BERT's words.
    Herbert,
    Roberta,
    Gpt2,
    Llama,
    /// Llama's with tokens to fill in, and `bos_token` in front of a text.
    CodeLlama,
    Qwen2,
    GptNeoX,
    Gemma,
    T5,
    XlmRoberta,
    Camembert,
    /// The bytes of a text; in Python only, as the next two.
    ByT5,
    /// fastBPE's pairs of characters, with a dictionary of fairseq.
    Phobert,
    /// PhoBERT's for tweets.
    Bertweet,
}

/// What a name of a class leads to.
#[derive(Debug, PartialEq, Eq)]
enum Named {
    Known(Class),
    /// A class that is not built here; whether it can be saved as `tokenizer.json`.
    Unsupported {
        has_json: bool,
    },
    /// No class of transformers.
    Unknown,
}

/// Classes that transformers builds with the `tokenizers` library, and that are not built here.
const OTHERS: [&str; 39] = [
    "AlbertTokenizer",
    "BarthezTokenizer",
    "BigBirdTokenizer",
    "BlenderbotTokenizer",
    "CLIPTokenizer",
    "CodeGenTokenizer",
    "CohereTokenizer",
    "ConvBertTokenizer",
    "DPRContextEncoderTokenizer",
    "DPRQuestionEncoderTokenizer",
    "DPRReaderTokenizer",
    "DebertaTokenizer",
    "DebertaV2Tokenizer",
    "EsmcTokenizer",
    "FNetTokenizer",
    "FunnelTokenizer",
    "LasrTokenizer",
    "LayoutLMv2Tokenizer",
    "LayoutLMv3Tokenizer",
    "LayoutXLMTokenizer",
    "LukeTokenizer",
    "MBart50Tokenizer",
    "MBartTokenizer",
    "MLukeTokenizer",
    "MPNetTokenizer",
    "MarkupLMTokenizer",
    "NllbTokenizer",
    "NougatTokenizer",
    "OpenAIGPTTokenizer",
    "PegasusTokenizer",
    "Qwen3_5Tokenizer",
    "ReformerTokenizer",
    "RemBertTokenizer",
    "RoFormerTokenizer",
    "SeamlessM4TTokenizer",
    "SplinterTokenizer",
    "WhisperTokenizer",
    "XGLMTokenizer",
    "XLNetTokenizer",
];

/// Classes written in Python, which no `tokenizer.json` describes, and that are not built here.
const IN_PYTHON: [&str; 35] = [
    "BartphoTokenizer",
    "BertGenerationTokenizer",
    "BertJapaneseTokenizer",
    "BertTokenizerLegacy",
    "BioGptTokenizer",
    "BlenderbotSmallTokenizer",
    "CTRLTokenizer",
    "CanineTokenizer",
    "ClvpTokenizer",
    "CpmAntTokenizer",
    "CpmTokenizer",
    "DiaTokenizer",
    "EsmTokenizer",
    "FSMTTokenizer",
    "FastSpeech2ConformerTokenizer",
    "FlaubertTokenizer",
    "GPTNeoXJapaneseTokenizer",
    "GPTSw3Tokenizer",
    "M2M100Tokenizer",
    "MarianTokenizer",
    "MgpstrTokenizer",
    "MyT5Tokenizer",
    "PLBartTokenizer",
    "PerceiverTokenizer",
    "Pop2PianoTokenizer",
    "ProphetNetTokenizer",
    "RagTokenizer",
    "RoCBertTokenizer",
    "SentencePieceBackend",
    "SiglipTokenizer",
    "Speech2TextTokenizer",
    "SpeechT5Tokenizer",
    "TapasTokenizer",
    "VitsTokenizer",
    "XLMTokenizer",
];

impl Class {
    /// The class by the name that transformers gives it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Backend => "TokenizersBackend",
            Self::Bert => "BertTokenizer",
            Self::DistilBert => "DistilBertTokenizer",
            Self::Herbert => "HerbertTokenizer",
            Self::Roberta => "RobertaTokenizer",
            Self::Gpt2 => "GPT2Tokenizer",
            Self::Llama => "LlamaTokenizer",
            Self::CodeLlama => "CodeLlamaTokenizer",
            Self::Qwen2 => "Qwen2Tokenizer",
            Self::GptNeoX => "GPTNeoXTokenizer",
            Self::Gemma => "GemmaTokenizer",
            Self::T5 => "T5Tokenizer",
            Self::XlmRoberta => "XLMRobertaTokenizer",
            Self::Camembert => "CamembertTokenizer",
            Self::ByT5 => "ByT5Tokenizer",
            Self::Phobert => "PhobertTokenizer",
            Self::Bertweet => "BertweetTokenizer",
        }
    }

    /// Whether transformers has the class in Python only, which takes nothing of `tokenizer.json` but added tokens.
    pub fn is_in_python(self) -> bool {
        matches!(self, Self::ByT5 | Self::Phobert | Self::Bertweet)
    }

    /// The kind of model that the class builds, by its name in `tokenizer.json`.
    pub fn model(self) -> &'static str {
        match self {
            Self::Bert | Self::DistilBert => "WordPiece",
            Self::T5 | Self::XlmRoberta | Self::Camembert => "Unigram",
            _ => "BPE",
        }
    }

    /// The class that transformers has for a family, if it has one of its own.
    fn of_family(model_type: &str) -> Option<Self> {
        Some(match model_type {
            "bert" | "distilbert" | "electra" => Self::Bert,
            "bart" | "roberta" => Self::Roberta,
            "gpt2" => Self::Gpt2,
            "gpt_neox" => Self::GptNeoX,
            "qwen2" | "qwen3" => Self::Qwen2,
            "gemma" | "gemma2" | "gemma3" | "gemma3_text" => Self::Gemma,
            "mt5" | "t5" => Self::T5,
            "xlm-roberta" => Self::XlmRoberta,
            "camembert" => Self::Camembert,
            "mistral" => Self::Backend,
            _ => return None,
        })
    }

    /// Chooses by `tokenizer_class`, in `tokenizer_config.json` before `config.json`, by the
    /// family, and by whether a part of `tokenizer.json` is byte-level.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) at `tokenizer_class` for a class that is not built
    /// here, or whose code comes with the model.
    pub fn choose(settings: &Settings, config: &Value, is_byte_level: bool) -> Result<Self> {
        let model_type = config["model_type"].as_str().unwrap_or_default();
        let has_code = settings.value("auto_map").is_some_and(has_tokenizer_code);
        let family = Self::of_family(model_type);
        let without_fast = |name| str::strip_suffix(name, "Fast").unwrap_or(name);
        let own = config["tokenizer_class"].as_str().map(without_fast);
        let named = match settings.text("tokenizer_class")?.map(without_fast) {
            // An empty name leaves the choice to config.json where that names another class than the family's.
            Some("") if !has_code => {
                let is_other = |own: &&str| {
                    family.is_some_and(|class| class != Self::Backend && class.name() != *own)
                };
                let Some(own) = own.filter(is_other) else { return Ok(Self::Backend) };
                Some(own)
            }
            Some(name) => Some(name),
            None => own,
        };
        let Some(named) = named else { return Ok(family.unwrap_or(Self::Backend)) };
        // Llama 3's folders say LlamaTokenizer, whose words begin with "▁", and hold a byte-level
        // tokenizer. Families whose own class is the backend take no other.
        if family == Some(Self::Backend) && !has_code
            || named == "LlamaTokenizer" && !has_code && model_type != "qwen2" && is_byte_level
        {
            return Ok(Self::Backend);
        }
        // Folders of this family name other classes that are wrong.
        if model_type == "qwen2" && !has_code {
            return Ok(Self::Qwen2);
        }
        match by_name(named) {
            Named::Known(class) => Ok(class),
            Named::Unknown if has_code => Err(settings.error(
                "auto_map",
                format!(
                    "the tokenizer {named:?} is code that comes with the model, which is never \
                     run; give rows of token ids (`input_ids`)"
                ),
            )),
            Named::Unknown => Ok(Self::Backend),
            Named::Unsupported { has_json: true } => Err(settings.error(
                "tokenizer_class",
                format!(
                    "{named} is not supported; in Python, save \
                     `AutoTokenizer.from_pretrained(...).backend_tokenizer` as tokenizer.json, \
                     and name \"TokenizersBackend\" here"
                ),
            )),
            Named::Unsupported { has_json: false } => Err(settings.error(
                "tokenizer_class",
                format!(
                    "{named} is not supported: transformers has it in Python only; give rows of \
                     token ids (`input_ids`)"
                ),
            )),
        }
    }
}

fn by_name(name: &str) -> Named {
    Named::Known(match name {
        "DistilBertTokenizer" => Class::DistilBert,
        "HerbertTokenizer" => Class::Herbert,
        "BertTokenizer"
        | "ElectraTokenizer"
        | "LayoutLMTokenizer"
        | "LxmertTokenizer"
        | "MobileBertTokenizer"
        | "SqueezeBertTokenizer" => Class::Bert,
        "RobertaTokenizer"
        | "BartTokenizer"
        | "LEDTokenizer"
        | "LongformerTokenizer"
        | "MvpTokenizer" => Class::Roberta,
        "GPT2Tokenizer" => Class::Gpt2,
        "LlamaTokenizer" | "Phi3Tokenizer" => Class::Llama,
        "CodeLlamaTokenizer" => Class::CodeLlama,
        "Qwen2Tokenizer" => Class::Qwen2,
        "GPTNeoXTokenizer" => Class::GptNeoX,
        "GemmaTokenizer" => Class::Gemma,
        "T5Tokenizer" => Class::T5,
        "XLMRobertaTokenizer" => Class::XlmRoberta,
        "CamembertTokenizer" => Class::Camembert,
        "ByT5Tokenizer" => Class::ByT5,
        "PhobertTokenizer" => Class::Phobert,
        "BertweetTokenizer" => Class::Bertweet,
        _ if OTHERS.contains(&name) => return Named::Unsupported { has_json: true },
        _ if IN_PYTHON.contains(&name) => return Named::Unsupported { has_json: false },
        "TokenizersBackend" | "PreTrainedTokenizer" | "PythonBackend" | "BloomTokenizer" => {
            Class::Backend
        }
        _ => return Named::Unknown,
    })
}

/// Whether `auto_map` names code for the tokenizer.
fn has_tokenizer_code(auto_map: &Value) -> bool {
    match auto_map {
        Value::Object(fields) => fields.get("AutoTokenizer").is_some_and(|code| !code.is_null()),
        Value::Array(_) => true,
        _ => false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    fn choose(config: Value, settings: &str) -> Class {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("tokenizer_config.json"), settings).unwrap();
        let settings = Settings::read(dir.path(), &[]).unwrap();
        Class::choose(&settings, &config, false).unwrap()
    }

    #[test]
    fn classes_are_chosen_as_auto_tokenizer_does() {
        // What `type(AutoTokenizer.from_pretrained(folder))` is.
        for (model_type, class, expected) in [
            ("bert", None, Class::Bert),
            ("bert", Some("ElectraTokenizerFast"), Class::Bert),
            ("bert", Some("HerbertTokenizerFast"), Class::Herbert),
            ("bert", Some("PreTrainedTokenizerFast"), Class::Backend),
            ("bert", Some("OwnTokenizer"), Class::Backend),
            ("bart", None, Class::Roberta),
            ("llama", None, Class::Backend),
            ("llama", Some("LlamaTokenizer"), Class::Llama),
            ("llama", Some("CodeLlamaTokenizerFast"), Class::CodeLlama),
            ("mistral", Some("CodeLlamaTokenizer"), Class::Backend),
            ("llama", Some("GPT2Tokenizer"), Class::Gpt2),
            ("mistral", Some("LlamaTokenizer"), Class::Backend),
            ("qwen2", Some("LlamaTokenizer"), Class::Qwen2),
            ("qwen3", Some("LlamaTokenizer"), Class::Llama),
            ("", Some("T5TokenizerFast"), Class::T5),
            ("t5", Some("ByT5Tokenizer"), Class::ByT5),
            ("roberta", Some("PhobertTokenizer"), Class::Phobert),
            ("roberta", Some("BertweetTokenizer"), Class::Bertweet),
        ] {
            let settings = json!({"tokenizer_class": class}).to_string();
            let config = json!({"model_type": model_type});
            assert_eq!(choose(config, &settings), expected, "{model_type}, {class:?}");
        }
        for (model_type, own, expected) in [
            ("bert", None, Class::Backend),
            ("bert", Some("BertTokenizerFast"), Class::Backend),
            ("bert", Some("ElectraTokenizer"), Class::Bert),
            ("bert", Some("RobertaTokenizer"), Class::Roberta),
            ("roberta", Some("BertTokenizerFast"), Class::Bert),
            ("llama", Some("GPT2Tokenizer"), Class::Backend),
            ("mistral", Some("GPT2Tokenizer"), Class::Backend),
            ("qwen2", None, Class::Backend),
            ("qwen2", Some("GPT2Tokenizer"), Class::Qwen2),
            ("", Some("BertTokenizer"), Class::Backend),
        ] {
            let config = json!({"model_type": model_type, "tokenizer_class": own});
            let found = choose(config, r#"{"tokenizer_class": ""}"#);
            assert_eq!(found, expected, "{model_type}, an empty name and {own:?}");
        }
        let config = json!({"model_type": "llama", "tokenizer_class": "GPTNeoXTokenizerFast"});
        assert_eq!(choose(config, "{}"), Class::GptNeoX);
    }

    #[test]
    fn lists_of_classes_do_not_overlap() {
        for name in OTHERS.iter().chain(&IN_PYTHON) {
            assert!(matches!(by_name(name), Named::Unsupported { .. }), "{name}");
        }
        assert!(OTHERS.iter().all(|name| !IN_PYTHON.contains(name)));
    }
}
