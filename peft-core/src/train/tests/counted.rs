//! A model that counts how often it is asked, and fails then if a test wants it to.

use std::sync::atomic::{AtomicUsize, Ordering};

use burn::tensor::{Device, Int, Tensor};

use super::*;
use crate::contract::{
    frozen::FrozenModel,
    spec::ModelSpec,
    stack::{StackInput, StackOutput},
};

/// How a model fails.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    Panic,
    Error,
}

#[derive(Debug)]
pub(super) struct Counted {
    model: TinyModel,
    /// How often its layers were asked.
    pub(super) passes: AtomicUsize,
    /// How it fails, and after how many passes.
    fault: Option<(Fault, usize)>,
}

impl Counted {
    pub(super) fn new(model: TinyModel) -> Self {
        Self { model, passes: AtomicUsize::new(0), fault: None }
    }

    pub(super) fn failing(model: TinyModel, fault: Fault, after: usize) -> Self {
        Self { fault: Some((fault, after)), ..Self::new(model) }
    }
}

impl FrozenModel for Counted {
    fn spec(&self) -> &ModelSpec {
        self.model.spec()
    }

    fn device(&self) -> Device {
        self.model.device()
    }

    fn reads_wait(&self) -> bool {
        self.model.reads_wait()
    }

    fn embed(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        self.model.embed(ids)
    }

    fn layers(&self, input: StackInput) -> crate::error::Result<StackOutput> {
        let before = self.passes.fetch_add(1, Ordering::Relaxed);
        match self.fault {
            Some((Fault::Panic, after)) if before >= after => {
                assert!(crate::guard::panics_become_errors(), "a program would print it, too");
                panic!("out of memory")
            }
            Some((Fault::Error, after)) if before >= after => {
                Err(Error::Mismatch("no such layer".into()))
            }
            _ => self.model.layers(input),
        }
    }

    fn has_lm_head(&self) -> bool {
        true
    }

    fn lm_logits(&self, hidden: Tensor<2>) -> crate::error::Result<Tensor<2>> {
        self.model.lm_logits(hidden)
    }
}
