//! A model that has sizes alone: enough for a method to check its settings against.

use burn::tensor::{Device, Int, Tensor};
use peft_core::{Error, FrozenModel, HeadLayout, ModelSpec, Result, StackInput, StackOutput, Task};
use peft_models::{LmHead, Outline};

/// A model without weights, on a device where nothing is computed.
#[derive(Debug)]
pub struct Weightless {
    /// Its sizes.
    pub outline: Outline,
    /// Where tensors would be.
    pub device: Device,
}

impl FrozenModel for Weightless {
    fn spec(&self) -> &ModelSpec {
        &self.outline.spec
    }

    fn device(&self) -> Device {
        self.device.clone()
    }

    fn embed(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        let [rows, tokens] = ids.dims();
        Tensor::zeros([rows, tokens, self.outline.spec.hidden_size], &self.device)
    }

    fn layers(&self, _: StackInput) -> Result<StackOutput> {
        Err(Error::Mismatch("this model is planned for, and has no weights".into()))
    }

    fn has_lm_head(&self) -> bool {
        self.outline.lm_head != LmHead::None
    }

    fn head_layout(&self, task: Task) -> HeadLayout {
        (self.outline.head_layout)(task)
    }
}
