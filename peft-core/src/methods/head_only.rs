//! The head alone: no virtual tokens, only a task head on the frozen model. The baseline that every
//! method must beat.

use burn::{module::Module, tensor::Device};
use serde::{Deserialize, Serialize};

use crate::{
    contract::{
        method::{Mode, PeftMethod},
        method_fields::MethodFields,
        peft_type::PeftType,
        spec::ModelSpec,
        tensors::NamedTensors,
        virtual_tokens::VirtualTokens,
    },
    error::Result,
};

/// Settings of [`HeadOnly`]: none, since the head is not part of a method.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadOnlyConfig {}

/// A method that contributes nothing: only the head is trained.
#[derive(Module, Debug, Default)]
pub struct HeadOnly {
    #[module(skip)]
    config: HeadOnlyConfig,
}

impl HeadOnly {
    /// Creates the method; the head to train is given to [`Trainable`](crate::train::Trainable).
    pub fn new() -> Self {
        Self::default()
    }
}

impl PeftMethod for HeadOnly {
    type Config = HeadOnlyConfig;

    fn config(&self) -> &HeadOnlyConfig {
        &self.config
    }

    fn virtual_tokens(&self, _mode: Mode) -> VirtualTokens {
        VirtualTokens::none()
    }

    fn fold(&self) -> Self {
        self.clone()
    }

    fn state(&self) -> NamedTensors {
        NamedTensors::new()
    }

    fn from_state(
        config: HeadOnlyConfig,
        _spec: &ModelSpec,
        _state: &NamedTensors,
        _device: &Device,
    ) -> Result<Self> {
        Ok(Self { config })
    }

    fn fields(&self, _spec: &ModelSpec) -> MethodFields {
        MethodFields {
            method: "head",
            peft_type: PeftType::HeadOnly,
            num_virtual_tokens: 0,
            layers: None,
            sites: None,
            extra: serde_json::Map::new(),
            settings: serde_json::Value::Null,
        }
    }
}
