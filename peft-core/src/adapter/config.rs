//! The fields of `adapter_config.json`.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::own_fields::{OWN, OwnFields};
use crate::{
    contract::{
        head::HeadLayout,
        method_fields::MethodFields,
        peft_type::PeftType,
        pooling::Pooling,
        spec::{ModelSpec, Topology},
        task::Task,
    },
    error::{Error, Result},
};

/// The file of an adapter folder that holds the fields.
pub(super) const CONFIG: &str = "adapter_config.json";

/// The version of PEFT whose layout is written.
const PEFT_VERSION: &str = "0.21.2";

fn not_our_fields(path: &Path, own_path: &Path, error: &serde_json::Error) -> Error {
    match path == own_path {
        true => Error::config(path, OWN, error.to_string()),
        false => Error::file(own_path, error.to_string()),
    }
}

/// What to do with an adapter of PEFT of a type that is not read; empty where nothing is known.
fn way_out(name: &str) -> &'static str {
    const MERGED: [&str; 12] = [
        "ADALORA",
        "BOFT",
        "FOURIERFT",
        "HRA",
        "IA3",
        "LN_TUNING",
        "LOHA",
        "LOKR",
        "LORA",
        "MISS",
        "OFT",
        "VERA",
    ];
    match name {
        // Their rows are embeddings like those of prompt tuning once they are made. Of an encoder-decoder's two sets PEFT
        // generates with the first, in front of the encoder; a head stands in the file beside them.
        "MULTITASK_PROMPT_TUNING" => {
            ". The rows that it makes for one of its tasks are a prompt: in Python, where `model` is the PeftModel, \
             rows = model.get_prompt(1, task_ids=torch.tensor([TASK]))[0][:model.active_peft_config.num_virtual_tokens]; \
             head = {k: v for k, v in peft.utils.load_peft_weights(\"ADAPTER\").items() if k.startswith(\"base_model.\")}; \
             torch.save({**head, \"prompt_embeddings\": rows.detach().clone()}, \"prompt.pt\"); `peft convert` reads that file"
        }
        "CPT" => {
            ". What it has learnt is a prompt: in Python, where `model` is the PeftModel, \
             torch.save({\"prompt_embeddings\": model.get_prompt(1)[0].detach().clone()}, \"prompt.pt\"); \
             `peft convert` reads that file"
        }
        name if MERGED.contains(&name) => {
            ". It changes the weights of its base model: merge it, and give the merged folder as the base model; in \
             Python: PeftModel.from_pretrained(base, \"ADAPTER\").merge_and_unload().save_pretrained(\"MERGED\"), \
             and the files of the tokenizer"
        }
        _ => "",
    }
}

/// Checks how many submodules an adapter that PEFT made was made for.
///
/// With another number than PEFT's own for the task it computes something else: a prompt has more rows in front of each
/// row of tokens than its attention mask counts, and a prefix gives a layer keys and values of another one.
fn check_submodules(
    peft_type: PeftType,
    task: Task,
    found: usize,
) -> std::result::Result<(), String> {
    let usual = if task == Task::Seq2SeqLm { 2 } else { 1 };
    let fits = match peft_type {
        PeftType::PromptTuning | PeftType::PTuning => (1..=usual).contains(&found),
        PeftType::PrefixTuning => found == usual,
        _ => true,
    };
    match fits {
        true => Ok(()),
        false => Err(format!(
            "found {found}; PEFT takes {usual} for {} by itself, and computes something else with {found}, which this version \
             does not follow: train the adapter without this setting",
            task.peft_name()
        )),
    }
}

/// The content of `adapter_config.json`.
#[derive(Clone, Debug, PartialEq)]
pub struct AdapterConfig {
    /// What is stored.
    pub peft_type: PeftType,
    /// The task that the adapter was trained for; `None` for tasks that this version does not know.
    pub task: Option<Task>,
    /// Path or name of the base model.
    pub base_model: Option<String>,
    /// The number of virtual tokens, P.
    pub num_virtual_tokens: usize,
    /// H for a prompt, K * D for keys and values.
    pub token_dim: Option<usize>,
    /// N for a prompt, K for keys and values.
    pub num_attention_heads: Option<usize>,
    /// L.
    pub num_layers: Option<usize>,
    /// PEFT's fields that only this type has.
    pub extra: Map<String, Value>,
    /// Our own fields; empty in a folder that PEFT wrote.
    pub own: OwnFields,
}

impl AdapterConfig {
    /// Creates the config of an adapter that a method trained on a model.
    ///
    /// The pooling is stored only where it affects the result: for a prompt that classifies rows on
    /// an encoder. Everywhere else it is [`Pooling::First`].
    ///
    /// The geometry is that of the side that a prompt, or else the first prefix, goes to.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] for a model without attention.
    pub fn new(
        method: MethodFields,
        spec: &ModelSpec,
        task: Task,
        pooling: Pooling,
    ) -> Result<Self> {
        let first = method.sites.as_ref().and_then(|stored| stored.sites.first());
        let site = match first {
            Some(site) => spec.site(*site),
            None => spec.sites.first(),
        };
        let site = site.ok_or_else(|| {
            Error::Mismatch(format!("a {} model does not have this attention", spec.model_type))
        })?;
        let (sites, prefix_positions, relative_bias) = match method.sites {
            Some(stored) => {
                (Some(stored.sites), Some(stored.positions), Some(stored.relative_bias))
            }
            None => (None, None, None),
        };
        let prompt = method.peft_type.is_prompt();
        // Elsewhere both poolings read the same position, or nothing is pooled.
        let first_token = prompt
            && pooling == Pooling::FirstToken
            && task == Task::SeqCls
            && spec.topology == Topology::EncoderOnly;
        let (peft_type, pooling) = match first_token {
            true => (PeftType::PromptTuningFirstToken, Pooling::FirstToken),
            false => (method.peft_type, Pooling::First),
        };
        Ok(Self {
            peft_type,
            task: Some(task),
            base_model: None,
            num_virtual_tokens: method.num_virtual_tokens,
            token_dim: Some(if prompt { spec.hidden_size } else { site.kv_width() / 2 }),
            num_attention_heads: Some(if prompt { site.num_heads } else { site.num_kv_heads }),
            num_layers: Some(site.num_layers),
            extra: method.extra,
            own: OwnFields {
                method: Some(method.method.to_string()),
                settings: method.settings,
                layers: method.layers,
                sites,
                prefix_positions,
                relative_bias,
                pooling,
                ..OwnFields::default()
            },
        })
    }

    /// The config as JSON, with keys in alphabetical order; our own fields stand under `burn_peft`.
    pub fn to_json(&self) -> Value {
        let heads = self.task.map(HeadLayout::module_names).filter(|names| !names.is_empty());
        // With PEFT's own type, PEFT reads every slot of an encoder-decoder's prefix twice. Of a
        // prompt for an encoder-decoder, it would ignore the second half.
        let is_pair =
            self.peft_type == PeftType::PrefixTuning && self.task == Some(Task::Seq2SeqLm);
        let mut fields = self.extra.clone();
        let common = json!({
            "peft_type": self.peft_type.name(),
            "task_type": self.task.map(Task::peft_name),
            "base_model_name_or_path": self.base_model,
            "revision": null,
            "inference_mode": true,
            "auto_mapping": null,
            "peft_version": PEFT_VERSION,
            "num_virtual_tokens": self.num_virtual_tokens,
            "token_dim": self.token_dim,
            "num_attention_heads": self.num_attention_heads,
            "num_layers": self.num_layers,
            "num_transformer_submodules": if is_pair { 2 } else { 1 },
            "modules_to_save": heads,
        });
        if let Value::Object(common) = common {
            fields.extend(common);
        }
        fields.insert(OWN.into(), json!(self.own));
        Value::Object(fields)
    }

    /// Reads the config from `value`, the content of the file `path` with our own fields, which may come from the file
    /// `own_path`, as in [`to_json`](Self::to_json).
    ///
    /// # Errors
    ///
    /// [`Error::Config`] naming the key that is missing or invalid.
    pub fn from_json(value: Value, path: &Path, own_path: &Path) -> Result<Self> {
        let Value::Object(mut fields) = value else {
            return Err(Error::file(path, "expected a JSON object"));
        };
        let mut own = match fields.remove(OWN) {
            None => OwnFields::default(),
            Some(own) => serde_json::from_value(own)
                .map_err(|error| not_our_fields(path, own_path, &error))?,
        };
        let peft_type = match fields.remove("peft_type") {
            Some(Value::String(name)) => PeftType::from_name(&name).ok_or_else(|| {
                let known = PeftType::names();
                let message = format!("found {name:?}, expected {known}{}", way_out(&name));
                Error::config(path, "peft_type", message)
            })?,
            other => {
                return Err(Error::config(
                    path,
                    "peft_type",
                    format!("expected a string, found {}", other.unwrap_or(Value::Null)),
                ));
            }
        };
        let task = match fields.remove("task_type") {
            Some(Value::String(name)) => Task::from_peft_name(&name),
            _ => None,
        };
        // Without a method PEFT made it. Stored, so that it stays so when the adapter is written again.
        own.ignores_token_types |= own.method.is_none() && task == Some(Task::QuestionAns);
        let mut number = |key: &str| match fields.remove(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value.as_u64().map(|n| Some(n as usize)).ok_or_else(|| {
                Error::config(path, key, format!("expected a whole number, found {value}"))
            }),
        };
        let has_none = peft_type == PeftType::HeadOnly;
        let num_virtual_tokens = number("num_virtual_tokens")?
            .filter(|count| (*count == 0) == has_none)
            .ok_or_else(|| {
                let expected =
                    if has_none { "expected 0" } else { "expected a whole number of at least 1" };
                Error::config(path, "num_virtual_tokens", expected)
            })?;
        let (token_dim, num_attention_heads, num_layers) =
            (number("token_dim")?, number("num_attention_heads")?, number("num_layers")?);
        let submodules = number("num_transformer_submodules")?;
        if own.method.is_none()
            && let (Some(task), Some(found)) = (task, submodules)
        {
            check_submodules(peft_type, task, found)
                .map_err(|message| Error::config(path, "num_transformer_submodules", message))?;
        }
        let base_model = match fields.remove("base_model_name_or_path") {
            Some(Value::String(name)) => Some(name),
            _ => None,
        };
        for written_anew in
            ["revision", "inference_mode", "auto_mapping", "peft_version", "modules_to_save"]
        {
            fields.remove(written_anew);
        }
        Ok(Self {
            peft_type,
            task,
            base_model,
            num_virtual_tokens,
            token_dim,
            num_attention_heads,
            num_layers,
            extra: fields,
            own,
        })
    }
}
