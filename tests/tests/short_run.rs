//! A short training run on the rows of the self-test, for comparing what is computed in two ways.
#![cfg(feature = "cpu")]

use peft_cli::selftest::{
    measures::Run,
    rows::{Batches, examples, task_of},
    trainables::{Method, with_trainable},
};
use peft_core::{
    FrozenModel,
    optim::{OptimizerConfig, Sgd},
    train::{StepReport, TrainConfig},
};
use peft_tests::Family;

/// Trains a method on a model of the shape that the rows are for
/// ([`WITH_LONG_ROW`](peft_tests::passes::WITH_LONG_ROW)), two rows a step, and gives the [`losses_and_norms`]. By SGD, whose steps are
/// as small as the gradients: Adam would make steps of one size even of rounding.
pub fn short_run(
    method: Method,
    family: Family,
    model: &dyn FrozenModel,
    steps: usize,
) -> Vec<f64> {
    let examples = examples(family, Batches::Varied);
    let config = TrainConfig {
        steps: Some(steps),
        batch_size: 2,
        lr: 0.01,
        optimizer: OptimizerConfig::Sgd(Sgd { momentum: 0.0, weight_decay: 0.0 }),
        ..TrainConfig::new(task_of(family))
    };
    let run = with_trainable(method, family, model, 3, &Run { examples, config });
    losses_and_norms(&run.unwrap())
}

/// The losses of a run's steps, and the norms of their gradients: two numbers a step.
pub fn losses_and_norms(steps: &[StepReport]) -> Vec<f64> {
    steps.iter().flat_map(|step| [step.loss, step.grad_norm.unwrap()]).collect()
}
