//! The fields of `adapter_config.json`.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{
    contract::{
        head::{HeadLayout, Pooling},
        method_fields::MethodFields,
        peft_type::PeftType,
        spec::{ModelSpec, Site, Topology},
        task::Task,
        virtual_tokens::PrefixPositions,
    },
    error::{Error, Result},
};

/// The version of PEFT whose layout is written.
const PEFT_VERSION: &str = "0.21.2";

/// The key under which the fields of our own stand, where PEFT does not look.
const OWN: &str = "burn_peft";

/// Fields of our own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OwnFields {
    /// The method that made it: `prompt`, `prefix`, `ptv2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The method's settings.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub settings: Value,
    /// The layers that have virtual tokens, where not all have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layers: Option<Vec<usize>>,
    /// The attention sites of an encoder-decoder that have virtual tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sites: Option<Vec<Site>>,
    /// Where positions start after the prefix of an encoder-decoder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix_positions: Option<PrefixPositions>,
    /// Whether a relative position bias reaches over that prefix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relative_bias: Option<bool>,
    /// Which position an encoder's classifier reads.
    #[serde(default)]
    pub pooling: Pooling,
    /// Names of the classes, in the order of the head's rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Vec<String>>,
    /// Fingerprint of the base model it was trained on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_fingerprint: Option<String>,
    /// SHA-256 of `adapter_model.safetensors`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tensors_sha256: Option<String>,
    /// How it was trained.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub recipe: Value,
    /// What it scored on its validation rows.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub metrics: Value,
}

/// The content of `adapter_config.json`.
#[derive(Clone, Debug, PartialEq)]
pub struct AdapterConfig {
    /// What is stored.
    pub peft_type: PeftType,
    /// The task it was trained for; `None` for tasks that this version does not know.
    pub task: Option<Task>,
    /// Path or name of the base model.
    pub base_model: Option<String>,
    /// P.
    pub num_virtual_tokens: usize,
    /// H for a prompt, K * D for keys and values.
    pub token_dim: Option<usize>,
    /// N for a prompt, K for keys and values.
    pub num_attention_heads: Option<usize>,
    /// L.
    pub num_layers: Option<usize>,
    /// Fields of PEFT that only this type has.
    pub extra: Map<String, Value>,
    /// Fields of our own; empty in a folder that PEFT wrote.
    pub own: OwnFields,
}

impl AdapterConfig {
    /// The config of an adapter trained by a method on a model.
    ///
    /// The pooling is stored where it decides what is computed: for a prompt that classifies rows on an
    /// encoder. Everywhere else it is [`Pooling::First`].
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
            Error::Mismatch(format!("a {} model without such attention", spec.model_type))
        })?;
        let (sites, prefix_positions, relative_bias) = match method.sites {
            Some(stored) => {
                (Some(stored.sites), Some(stored.positions), Some(stored.relative_bias))
            }
            None => (None, None, None),
        };
        let prompt = method.peft_type.is_prompt();
        // Elsewhere both poolings read the same, or nothing is pooled.
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

    /// As JSON, keys in alphabetical order.
    pub fn to_json(&self) -> Value {
        let heads = self.task.map(HeadLayout::module_names).filter(|names| !names.is_empty());
        // Of an encoder-decoder's prefix in PEFT's own type, PEFT reads every slot twice. Of a prompt for one,
        // it would leave the second half unread.
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

    /// Reads the content of the file `path`.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] naming the key that is missing or cannot be used.
    pub fn from_json(value: Value, path: &Path) -> Result<Self> {
        let Value::Object(mut fields) = value else {
            return Err(Error::file(path, "expected a JSON object"));
        };
        let own = match fields.remove(OWN) {
            None => OwnFields::default(),
            Some(own) => serde_json::from_value(own)
                .map_err(|error| Error::config(path, OWN, error.to_string()))?,
        };
        let peft_type = match fields.remove("peft_type") {
            Some(Value::String(name)) => PeftType::from_name(&name).ok_or_else(|| {
                let known = PeftType::names();
                Error::config(path, "peft_type", format!("found {name:?}, expected {known}"))
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
        let mut number = |key: &str| match fields.remove(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value.as_u64().map(|n| Some(n as usize)).ok_or_else(|| {
                Error::config(path, key, format!("expected a whole number, found {value}"))
            }),
        };
        let num_virtual_tokens = number("num_virtual_tokens")?
            .filter(|count| (*count == 0) == (peft_type == PeftType::HeadOnly))
            .ok_or_else(|| {
                Error::config(path, "num_virtual_tokens", "expected a number of at least 1")
            })?;
        let (token_dim, num_attention_heads, num_layers) =
            (number("token_dim")?, number("num_attention_heads")?, number("num_layers")?);
        let base_model = match fields.remove("base_model_name_or_path") {
            Some(Value::String(name)) => Some(name),
            _ => None,
        };
        for written_anew in [
            "revision",
            "inference_mode",
            "auto_mapping",
            "peft_version",
            "num_transformer_submodules",
            "modules_to_save",
        ] {
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
