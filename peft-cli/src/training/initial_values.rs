//! What virtual tokens start from: `--init`, or the adapter of `--init-adapter`.

use std::path::Path;

use peft_core::{Error, NamedTensors, Result, text::afterwards};
use peft_prefix::PrefixInit;
use peft_prompt::{EncoderConfig, PromptInit};
use peft_ptv2::PTuningV2Init;

use super::method_builder::MethodBuilder;
use crate::{error::in_adapter, flags::method_name::MethodName, settings::Settings};

impl MethodBuilder<'_> {
    /// What a prompt starts from.
    pub(super) fn prompt_init(&self) -> Result<PromptInit> {
        match self.init(MethodName::Prompt)? {
            "vocab" => Ok(PromptInit::default()),
            "random" => Ok(PromptInit::random()),
            "scaled" => Ok(PromptInit::RandomScaled),
            "normal" => Ok(PromptInit::normal()),
            "text" => Ok(PromptInit::text(self.init_text()?)),
            "labels" => {
                let labels = self.labels.ok_or_else(|| {
                    Error::setting("--init", "labels: this task has no classes with names")
                })?;
                let names = labels.names().iter().map(|name| self.subword_tokens(name));
                Ok(PromptInit::class_labels(names.collect::<Result<_>>()?))
            }
            other => unknown_init(other, "vocab, random, scaled, normal, labels, text"),
        }
    }

    /// What a prefix starts from.
    pub(super) fn prefix_init(&self) -> Result<PrefixInit> {
        match self.init(MethodName::Prefix)? {
            "random" => Ok(PrefixInit::Random),
            "zero" => Ok(PrefixInit::Zero),
            "words" => Ok(PrefixInit::activations(self.init_text()?)),
            other => unknown_init(other, "random, zero, words"),
        }
    }

    /// What the virtual tokens of P-tuning v2 start from.
    pub(super) fn ptv2_init(&self) -> Result<PTuningV2Init> {
        match self.init(MethodName::Ptv2)? {
            "random" => Ok(PTuningV2Init::default()),
            "zero" => Ok(PTuningV2Init::Zero),
            "words" => Ok(PTuningV2Init::activations(self.init_text()?)),
            other => unknown_init(other, "random, zero, words"),
        }
    }

    /// The stored tensors of `--init-adapter`, which must be of the method's kind.
    pub(super) fn adapter_state(&self, method: MethodName) -> Result<Option<NamedTensors>> {
        let Some(adapter) = self.adapter else { return Ok(None) };
        for (flag, given) in [
            ("--init", self.settings.init.is_some()),
            ("--init-text", self.settings.init_text.is_some()),
        ] {
            if given {
                return Err(Error::setting(flag, "not used with --init-adapter"));
            }
        }
        let found = adapter.config.peft_type;
        if found.is_prompt() != (method == MethodName::Prompt) {
            return Err(Error::setting(
                "--init-adapter",
                format!("holds {}, which cannot start {}", found.name(), method.name()),
            ));
        }
        // Shapes are compared with the model here, where the message can name the adapter.
        let dir = self.settings.init_adapter.as_deref().unwrap_or(Path::new(""));
        let device = self.device.clone().without_autodiff();
        let state = adapter.training_state(self.model.spec(), &device).map_err(in_adapter(dir))?;
        if state.is_empty() {
            let message = "holds a head alone, no virtual tokens to start from";
            return Err(Error::setting("--init-adapter", message));
        }
        Ok(Some(state))
    }

    /// Refuses an encoder: an adapter holds what one made, and would be taken for what it starts from.
    pub(super) fn refuse_encoder(&self, encoder: Option<&EncoderConfig>) -> Result<()> {
        if encoder.is_some() {
            return Err(Error::setting(
                "--reparameterization",
                "--init-adapter holds rows that are done: they start a prompt without an encoder (none)",
            ));
        }
        Ok(())
    }

    /// Refuses an MLP: an adapter holds folded keys and values, which no MLP can be started from.
    pub(super) fn refuse_projection(&self, method: MethodName) -> Result<()> {
        if self.settings.has_projection(method) {
            return Err(Error::setting(
                "--prefix-projection",
                "--init-adapter holds folded keys and values: they start a prefix without an MLP",
            ));
        }
        Ok(())
    }

    /// The value of `--init`, or the method's default.
    fn init(&self, method: MethodName) -> Result<&str> {
        let is_encoded = self.settings.reparameterization.is_some_and(|of| of.encoder().is_some());
        let default = method.default_init(is_encoded);
        let init = self.settings.init.as_deref().unwrap_or(default);
        if self.settings.init_text.is_some() && !matches!(init, "text" | "words") {
            return Err(Error::setting("--init-text", format!("not used by --init {init}")));
        }
        Ok(init)
    }

    fn init_text(&self) -> Result<Vec<u32>> {
        self.subword_tokens(Settings::required(&self.settings.init_text, "--init-text")?)
    }

    /// Token ids of a text, without special tokens.
    fn subword_tokens(&self, text: &str) -> Result<Vec<u32>> {
        let tokenizer = &self.dir.tokenizer()?.tokenizer;
        let encoding = tokenizer.encode(text, false).map_err(|error| {
            Error::file(self.dir.path(), format!("cannot encode {text:?}: {error}"))
        })?;
        Ok(afterwards::settled(tokenizer, encoding).get_ids().to_vec())
    }
}

fn unknown_init<T>(found: &str, known: &str) -> Result<T> {
    Err(Error::setting("--init", format!("found {found:?}, expected one of {known}")))
}
