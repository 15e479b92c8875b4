//! A model in front of another: it computes what the other computes, and says something else of itself or remembers what it
//! was asked for.

use std::fmt::Debug;

use burn::tensor::{Device, Int, Tensor};
use peft_core::{
    FrozenModel, HeadLayout, Lanes, ModelSpec, Result, StackInput, StackOutput, Task, TokenBatch,
    VirtualTokens, contract::lanes::OneLane,
};

/// What a model says of itself, and is told.
pub trait Alteration: Debug + Send + Sync {
    /// Is told the token ids `[B, T]` that are embedded, but for those of [`states_below`](FrozenModel::states_below).
    fn embeds(&self, ids: &Tensor<2, Int>) {
        let _ = ids;
    }

    /// Is told the rows whose states below a layer are computed.
    fn computes_below(&self, batch: &TokenBatch) {
        let _ = batch;
    }

    /// The logits `[M, V]` in place of these, of the model behind.
    fn scores(&self, logits: Tensor<2>) -> Tensor<2> {
        logits
    }

    /// As [`FrozenModel::lanes`], of the model behind. Default one lane, whatever the model has.
    fn lanes<'a>(&'a self, model: &'a dyn FrozenModel) -> &'a dyn Lanes {
        let _ = model;
        &OneLane
    }

    /// As [`FrozenModel::tunes_to_shapes`].
    fn tunes_to_shapes(&self) -> bool {
        false
    }

    /// As [`FrozenModel::recomputes`].
    fn recomputes(&self) -> bool {
        false
    }
}

/// A model with an [`Alteration`].
#[derive(Debug)]
pub struct Altered<'a, A> {
    model: &'a dyn FrozenModel,
    /// What it says and was told.
    pub alteration: A,
}

impl<'a, A: Alteration> Altered<'a, A> {
    /// In front of a model.
    pub fn new(model: &'a dyn FrozenModel, alteration: A) -> Self {
        Self { model, alteration }
    }
}

impl<A: Alteration> FrozenModel for Altered<'_, A> {
    fn spec(&self) -> &ModelSpec {
        self.model.spec()
    }
    fn device(&self) -> Device {
        self.model.device()
    }
    fn embed(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        self.alteration.embeds(&ids);
        self.model.embed(ids)
    }
    fn layers(&self, input: StackInput) -> Result<StackOutput> {
        self.model.layers(input)
    }
    fn uncounted_token(&self) -> Option<u32> {
        self.model.uncounted_token()
    }
    fn has_lm_head(&self) -> bool {
        self.model.has_lm_head()
    }
    fn lm_logits(&self, hidden: Tensor<2>) -> Result<Tensor<2>> {
        Ok(self.alteration.scores(self.model.lm_logits(hidden)?))
    }
    fn pool(&self, hidden: Tensor<2>) -> Tensor<2> {
        self.model.pool(hidden)
    }
    fn head_layout(&self, task: Task) -> HeadLayout {
        self.model.head_layout(task)
    }
    fn lanes(&self) -> &dyn Lanes {
        self.alteration.lanes(self.model)
    }
    fn tunes_to_shapes(&self) -> bool {
        self.alteration.tunes_to_shapes()
    }
    fn recomputes(&self) -> bool {
        self.alteration.recomputes()
    }
    fn states_below(
        &self,
        batch: &TokenBatch,
        virtual_tokens: &VirtualTokens,
        layer: usize,
    ) -> Result<Option<Tensor<3>>> {
        self.alteration.computes_below(batch);
        self.model.states_below(batch, virtual_tokens, layer)
    }
}
