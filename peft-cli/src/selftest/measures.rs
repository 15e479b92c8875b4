//! What the self-test computes on either side: logits, gradients, losses of a run, a batch of several adapters. Batches are
//! padded as the program pads them, on a device that tunes its kernels to shapes.

use burn::tensor::Tensor;
use peft_core::{
    FrozenModel, LayerTape, Mode, PaddingSide, PeftMethod, Pooling, ProblemType, Result, Task,
    VirtualTokens,
    contract::{length_multiple::to_few_lengths, loss::cross_entropy_sum, params},
    data::{Example, Target, token_batch},
    evaluate::{Member, MultiAdapter, Positions, outputs::logits},
    train::{Flow, Observer, RunContext, StepReport, TrainConfig, Trainable, TrainingData, train},
};
use peft_models::random_model::Family;

use super::{
    difference::Part,
    rows::{Batches, ROWS, SEED, examples, task_of},
    trainables::{Method, Visit, head, virtual_tokens, with_trainable},
};

/// Steps of a run.
pub const STEPS: usize = 20;
/// The factor of a loss whose gradients pass through f16.
const LOSS_SCALE: f64 = 256.0;

/// Hidden states of all real tokens, or logits where the model is a language model: by the model alone, and by each method.
///
/// # Errors
///
/// Those of the model.
pub fn forward(model: &dyn FrozenModel, family: Family, batches: Batches) -> Result<Vec<Part>> {
    let examples = examples(family, batches);
    let mut parts = vec![outputs(model, &examples, "the model alone", &VirtualTokens::none())?];
    for method in Method::ALL {
        let tokens = virtual_tokens(method, family, model, SEED)?;
        parts.push(outputs(model, &examples, method.name(), &tokens)?);
    }
    Ok(parts)
}

fn outputs(
    model: &dyn FrozenModel,
    examples: &[Example],
    at: &'static str,
    virtual_tokens: &VirtualTokens,
) -> Result<Part> {
    let batch = token_batch(&examples.iter().collect::<Vec<_>>(), PaddingSide::Left);
    let batch = to_few_lengths(batch, model, virtual_tokens);
    let hidden = model.forward(&batch, virtual_tokens)?;
    let states = Positions::all_tokens(&batch).states(model, &batch, &hidden, Pooling::First)?;
    let found = if model.has_lm_head() { model.lm_logits(states)? } else { states };
    Ok(Part { at, values: found.into_data().iter().collect() })
}

/// The gradients of all parameters of each method, and of the head: of the virtual tokens, through an MLP where there is one.
/// Each parameter is a part of its own, as some have gradients that are far smaller than those of others.
///
/// # Errors
///
/// Those of the model.
pub fn gradients(model: &dyn FrozenModel, family: Family, batches: Batches) -> Result<Vec<Part>> {
    let (mut parts, task) = (Vec::new(), task_of(family));
    let visit = Gradients { task, examples: examples(family, batches) };
    for method in Method::ALL {
        let each = with_trainable(method, family, model, SEED, &visit)?;
        parts.extend(each.into_iter().map(|values| Part { at: method.name(), values }));
    }
    Ok(parts)
}

struct Gradients {
    task: Task,
    examples: Vec<Example>,
}

impl Visit for Gradients {
    type Found = Vec<Vec<f64>>;

    fn visit<M: PeftMethod>(
        &self,
        model: &dyn FrozenModel,
        trainable: Trainable<M>,
    ) -> Result<Vec<Vec<f64>>> {
        let task = self.task;
        let examples: Vec<&Example> = self.examples.iter().collect();
        let made = model.prefill(&trainable.method.virtual_tokens(Mode::Evaluate))?;
        // As training does it: layers are cut from each other, and all of them from the method.
        let tape = model.recomputes().then(LayerTape::default);
        let virtual_tokens = if tape.is_some() { made.leaves() } else { made.clone() };
        let after_prompt = virtual_tokens.last_hidden.is_some();
        let (positions, targets) = Positions::labelled(task, &examples, after_prompt);
        let batch = token_batch(&examples, PaddingSide::Right);
        let batch = to_few_lengths(batch, model, &virtual_tokens);
        let hidden = match &tape {
            Some(tape) => model.forward_taped(&batch, &virtual_tokens, tape)?,
            None => model.forward(&batch, &virtual_tokens)?,
        };
        let states = positions.states(model, &batch, &hidden, Pooling::First)?;
        let sum = match task.has_head() {
            true => {
                cross_entropy_sum(logits(model, trainable.head.as_ref(), task, states)?, &targets)?
            }
            false => model.lm_cross_entropy(states, &targets, 0.0)?,
        };
        // In f16 small gradients would be zero; these are not so large that a factor like this makes them infinite.
        let scale = if model.scales_loss() { LOSS_SCALE } else { 1.0 };
        let loss = sum * (scale / targets.len() as f64);
        let mut all = match &tape {
            Some(tape) => tape.backward(&loss),
            None => vec![loss.backward()],
        };
        if tape.is_some() {
            let each = all.iter_mut().map(|own| virtual_tokens.clone().take_gradients(own));
            let of_tokens = added(each);
            all.extend(made.dot(of_tokens).map(|dot| dot.backward()));
        }
        // What has no gradient has none on either side, or the lengths differ.
        let of = |gradient: Option<Tensor<1>>| -> Vec<f64> {
            let values =
                gradient.map_or_else(Vec::new, |gradient| gradient.into_data().iter().collect());
            values.into_iter().map(|value: f64| value / scale).collect()
        };
        let each = all.iter_mut().map(|own| params::gradients(&trainable, own));
        Ok(added(each).into_iter().map(of).collect())
    }
}

/// The sums of gradients of the same tensors in several backward passes.
fn added(each: impl Iterator<Item = Vec<Option<Tensor<1>>>>) -> Vec<Option<Tensor<1>>> {
    let add = |one: Option<Tensor<1>>, other: Option<Tensor<1>>| match (one, other) {
        (Some(one), Some(other)) => Some(one + other),
        (one, other) => one.or(other),
    };
    let both = |sums: Vec<_>, own: Vec<_>| {
        sums.into_iter().zip(own).map(|(sum, own)| add(sum, own)).collect()
    };
    each.reduce(both).unwrap_or_default()
}

/// The loss of each step of a run, with each method.
///
/// # Errors
///
/// Those of the run.
pub fn training(model: &dyn FrozenModel, family: Family, batches: Batches) -> Result<Vec<Part>> {
    let examples = examples(family, batches);
    let config = TrainConfig {
        steps: Some(STEPS),
        batch_size: if batches == Batches::Varied { 2 } else { examples.len() },
        // Small: Adam makes steps of one size even of gradients that are nothing but rounding.
        lr: 0.001,
        seed: SEED,
        ..TrainConfig::new(task_of(family))
    };
    let run = Run { examples, config };
    let of = |method: Method| {
        let reports = with_trainable(method, family, model, SEED, &run)?;
        let values = reports.iter().map(|report| report.loss).collect();
        Ok(Part { at: method.name(), values })
    };
    Method::ALL.into_iter().map(of).collect()
}

/// A run: what each of its steps reports.
#[derive(Clone, Debug)]
pub struct Run {
    /// What is learnt.
    pub examples: Vec<Example>,
    /// How.
    pub config: TrainConfig,
}

impl Visit for Run {
    type Found = Vec<StepReport>;

    fn visit<M: PeftMethod>(
        &self,
        model: &dyn FrozenModel,
        trainable: Trainable<M>,
    ) -> Result<Vec<StepReport>> {
        let mut found = Reports::default();
        let data = TrainingData { train: &self.examples, valid: &[] };
        train(model, trainable, &data, &self.config, &RunContext::default(), &mut found)?;
        Ok(found.0)
    }
}

/// An observer that keeps what each step reports.
#[derive(Clone, Debug, Default)]
pub struct Reports(pub Vec<StepReport>);

impl Observer for Reports {
    fn step(&mut self, report: &StepReport) -> Flow {
        self.0.push(report.clone());
        Flow::Continue
    }
}

/// Rows that each have their own adapter, in one batch: the model alone and all methods where it is classified; where it
/// has an encoder and a decoder, two prefixes.
///
/// # Errors
///
/// Those of the model.
pub fn mixed(model: &dyn FrozenModel, family: Family) -> Result<Vec<Part>> {
    if Family::ENCODER_DECODER.contains(&family) {
        let of = |seed| virtual_tokens(Method::PTuningV2, family, model, seed);
        let each = VirtualTokens::per_row(&[of(SEED)?, of(SEED + 1)?], &[0, 1, 1, 0])?;
        let examples = examples(family, Batches::Alike);
        return Ok(vec![outputs(model, &examples, "two prefixes", &each)?]);
    }
    let device = model.device();
    let member = |virtual_tokens, place| Member {
        virtual_tokens,
        head: Some(head(model, place, &device)),
        pooling: Pooling::First,
        problem_type: ProblemType::default(),
    };
    let mut members = vec![member(VirtualTokens::none(), 0)];
    for (method, place) in Method::ALL.into_iter().zip(1..) {
        members.push(member(virtual_tokens(method, family, model, SEED)?, place));
    }
    let adapters = MultiAdapter::new(model, Task::SeqCls, members)?;
    let row = |(row, ids): (usize, &&[u32])| Example::new(ids.to_vec(), Target::None, row + 1);
    let rows: Vec<Example> = ROWS.iter().enumerate().map(row).collect();
    let answers = adapters.answer(&rows, &[3, 1, 0, 2])?;
    let values = answers.into_iter().flatten().flatten().map(f64::from).collect();
    Ok(vec![Part { at: "probabilities", values }])
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use burn::tensor::Device;
    use peft_models::LoadOptions;

    use super::*;
    use crate::selftest::{
        difference::{Worst, worst},
        rows,
    };

    #[test]
    fn gradients_that_are_all_zero_are_found_in_every_parameter() {
        for family in [Family::Roberta, Family::Bart] {
            let loaded = rows::model(family, &Device::default(), LoadOptions::default()).unwrap();
            let expected = gradients(loaded.model.as_ref(), family, Batches::Varied).unwrap();
            // Prompt and P-tuning v2 have one parameter, the prefix those of an MLP, and heads some more.
            assert!(expected.len() > 6, "{family:?}: {}", expected.len());
            // A tanh at its end has no slope, and what is before it no gradient.
            let some = |part: &&Part| part.values.iter().any(|value| *value != 0.0);
            assert!(expected.iter().filter(some).count() > 6, "{family:?}");
            for place in 0..expected.len() {
                if !some(&&expected[place]) {
                    continue;
                }
                let mut found = expected.clone();
                found[place].values.fill(0.0);
                let lost = Worst { difference: 1.0, at: expected[place].at };
                assert_eq!(worst(&found, &expected), lost, "{family:?}, parameter {place}");
            }
        }
    }
}
