//! What the virtual tokens of a run started from: computed again from the settings that it wrote beside its adapter.

use std::path::Path;

use burn::tensor::Device;
use peft_core::{
    Adapter, FrozenModel, Mode, PeftMethod, Result, VirtualTokens,
    adapter::{codec::sha256, stored},
    formats::read,
};
use serde_json::{Value, json};

use crate::{
    adapter_folder,
    encoding::adapter_labels,
    flags::method_name::MethodName,
    locate,
    model_dir::ModelDir,
    settings::{Settings, file, whole},
    training::{
        file_names::RUN_FILE,
        method_builder::MethodBuilder,
        started_from::{STARTED_FROM, StartedFrom},
    },
};

/// Settings that the start depends on, and that both the run and its adapter remember.
const REMEMBERED: [&str; 15] = [
    "seed",
    "num_virtual_tokens",
    "init",
    "init_text",
    "layers",
    "sites",
    "prefix_projection",
    "prefix_hidden_size",
    "prefix_positions",
    "relative_bias",
    "infix",
    "reparameterization",
    "encoder_hidden_size",
    "encoder_num_layers",
    "method",
];

/// What virtual tokens started from.
#[derive(Clone, Debug)]
pub enum Start {
    /// The virtual tokens of step 0, and how they are known.
    Known {
        /// As they were.
        virtual_tokens: Box<VirtualTokens>,
        /// How they are known.
        source: String,
    },
    /// Why they are not known.
    Unknown(String),
}

/// The settings of the run whose folder an adapter lies in, if they are there, whole and of that run; otherwise why not.
///
/// # Errors
///
/// [`Error::Read`](peft_core::Error::Read).
pub fn settings(dir: &Path, adapter: &Adapter) -> Result<std::result::Result<Settings, String>> {
    let path = dir.join(RUN_FILE);
    if !path.exists() {
        return Ok(Err(format!(
            "there is no {RUN_FILE} beside the adapter, with the settings and the seed that it was made from"
        )));
    }
    if let Some(says) = whole::says_of(&path)? {
        return Ok(Err(format!("{} {says}", path.display())));
    }
    let settings = match file::load(&path) {
        Ok(settings) => settings,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let (run, recipe) = (json!(settings), &adapter.config.own.recipe);
    let of = |fields: &Value, key: &str| fields.get(key).cloned().unwrap_or_default();
    let other = REMEMBERED.into_iter().find(|key| of(&run, key) != of(recipe, key));
    Ok(match other {
        Some(key) => Err(format!(
            "{} is of another run: `{key}` is {} there, the adapter was trained with {}",
            path.display(),
            of(&run, key),
            of(recipe, key)
        )),
        None => Ok(settings),
    })
}

impl Start {
    /// That of a run with these settings, whose adapter is given, on its base model.
    pub fn of(
        settings: &Settings,
        adapter: &Adapter,
        model: &dyn FrozenModel,
        dir: &ModelDir,
        device: &Device,
    ) -> Self {
        computed(settings, adapter, (model, dir), device).unwrap_or_else(Self::Unknown)
    }
}

/// Computes the start again; why not, if that cannot be done.
fn computed(
    settings: &Settings,
    adapter: &Adapter,
    (model, dir): (&dyn FrozenModel, &ModelDir),
    device: &Device,
) -> std::result::Result<Start, String> {
    let told = |error: peft_core::Error| error.to_string();
    let labels = adapter_labels(adapter).map_err(told)?;
    let from = settings.init_adapter.as_deref().map(|from| start_adapter(from, adapter));
    let from = from.transpose()?;
    let builder = MethodBuilder {
        settings,
        model,
        dir,
        labels: labels.as_ref(),
        adapter: from.as_ref(),
        device: device.clone().autodiff(),
    };
    let virtual_tokens = match settings.method {
        Some(MethodName::Prompt) => first(&builder.prompt().map_err(told)?),
        Some(MethodName::Prefix) => first(&builder.prefix().map_err(told)?),
        Some(MethodName::Ptv2) => first(&builder.ptv2().map_err(told)?),
        Some(MethodName::Head) | None => return Err("there are no virtual tokens".into()),
    };
    let source = match &settings.init_adapter {
        Some(from) => format!("the adapter {}, by its sum", from.display()),
        None => format!(
            "computed again from {RUN_FILE}: init {}, seed {}",
            settings.init.as_deref().unwrap_or_default(),
            settings.seed()
        ),
    };
    Ok(Start::Known { virtual_tokens: Box::new(virtual_tokens), source })
}

/// The virtual tokens that a method is deployed with.
fn first<M: PeftMethod>(method: &M) -> VirtualTokens {
    method.fold().virtual_tokens(Mode::Evaluate).without_autodiff()
}

/// The adapter that a run started from, if it is still the one that it was.
fn start_adapter(from: &Path, adapter: &Adapter) -> std::result::Result<Adapter, String> {
    let name = from.display();
    let remembered = adapter.config.own.recipe.get(STARTED_FROM);
    let remembered: Option<StartedFrom> =
        remembered.and_then(|found| serde_json::from_value(found.clone()).ok());
    let Some(expected) = remembered.and_then(|found| found.tensors_sha256) else {
        return Err(format!(
            "it started from {name}, of which the run kept no sum that would tell whether it is still the same"
        ));
    };
    let told = |error: &dyn std::fmt::Display| format!("it started from {name}: {error}");
    let dir = locate::adapter(from).map_err(|error| told(&error))?;
    let path = stored::path(&dir).map_err(|error| told(&error))?;
    let found = sha256(&read::bytes(&path).map_err(|error| told(&error))?);
    if found != expected {
        return Err(format!("it started from {name}, which holds other tensors now"));
    }
    adapter_folder::load(&dir, None).map_err(|error| told(&error))
}
