//! The gradients of each method on each family equal central differences in f64, and those in f32 equal those in
//! f64. They reach all parameters of the method and the head, and nothing else.
//!
//! f64 is computed on the CPU; f32 on the tests' device.
#![cfg(feature = "cpu")]

use burn::{
    module::Module,
    tensor::{DType, Device, Int, Tensor, TensorData},
};
use peft_core::{
    FrozenModel, Head, HeadLayout, Mode, NamedTensors, PaddingSide, PeftMethod, Pooling, Task,
    VirtualTokens,
    contract::{loss::cross_entropy_sum, params, rng},
    data::{Example, IGNORE, Target, token_batch},
    evaluate::{Positions, outputs::logits},
    methods::prefix::Placement,
    train::Trainable,
};
use peft_models::Loaded;
use peft_prefix::{PrefixConfig, PrefixTuning};
use peft_prompt::{EncoderConfig, PromptConfig, PromptInit, PromptTuning};
use peft_ptv2::{PTuningV2, PTuningV2Config};
use peft_tests::{Family, Shape, VOCAB, device, random_model_on, random_values};

const SHAPE: Shape = Shape { layers: 3, kv_heads: 2, head_dim: 4, positions: 32 };
const P: usize = 3;
const CLASSES: usize = 4;

/// What is trained.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Prompt,
    PromptMlp,
    PromptLstm,
    Prefix,
    PrefixMlp,
    Ptv2,
    Ptv2Layers,
    /// P-tuning v2 between source and target.
    Infix,
}

const KINDS: [Kind; 8] = [
    Kind::Prompt,
    Kind::PromptMlp,
    Kind::PromptLstm,
    Kind::Prefix,
    Kind::PrefixMlp,
    Kind::Ptv2,
    Kind::Ptv2Layers,
    Kind::Infix,
];

/// The tasks of a family, each with its own path from hidden states to the loss.
fn tasks(family: Family) -> &'static [Task] {
    match family.is_causal() {
        false => &[Task::TokenCls, Task::SeqCls],
        true => &[Task::CausalLm, Task::SeqCls],
    }
}

fn model(family: Family, dtype: DType, device: &Device) -> Loaded {
    random_model_on(family, SHAPE, 11, device, dtype)
}

/// Random values that f32 holds exactly, so that they are the same in both types.
fn numbers<const D: usize>(shape: [usize; D], std: f64, name: &str, dtype: DType) -> TensorData {
    random_values(shape, std, 5, name).convert_dtype(dtype)
}

/// A head whose classes differ, where the task has one.
fn head(model: &dyn FrozenModel, task: Task, dtype: DType, device: &Device) -> Option<Head> {
    if task == Task::CausalLm {
        return None;
    }
    let layout = HeadLayout::linear("classifier", true);
    let h = model.spec().hidden_size;
    let state = NamedTensors::from([
        ("classifier.weight".into(), numbers([CLASSES, h], 0.5, "head.weight", dtype)),
        ("classifier.bias".into(), numbers([CLASSES], 0.5, "head.bias", dtype)),
    ]);
    Some(Head::from_state(layout, h, &state, device).unwrap())
}

/// Rows of unequal lengths; some have a target for their first token, one of them for that token alone.
fn examples(task: Task) -> Vec<Example> {
    let lengths = [5, 2, 7, 1];
    lengths
        .iter()
        .enumerate()
        .map(|(row, len)| {
            let input_ids: Vec<u32> =
                (0..*len).map(|i| ((7 * row + 3 * i + 1) % VOCAB) as u32).collect();
            let target = match task {
                Task::SeqCls => Target::Class(row % CLASSES),
                Task::TokenCls => {
                    let class = |id: &u32| i64::from(*id) % CLASSES as i64;
                    Target::Tokens(input_ids.iter().map(class).collect())
                }
                _ => Target::Tokens(
                    (0..*len)
                        .map(|i| if row == 0 && i < 3 { IGNORE } else { i64::from(input_ids[i]) })
                        .collect(),
                ),
            };
            Example::new(input_ids, target, row + 1)
        })
        .collect()
}

/// The mean cross entropy, as `train` computes it.
fn loss<M: PeftMethod>(model: &dyn FrozenModel, trainable: &Trainable<M>, task: Task) -> Tensor<1> {
    let examples = examples(task);
    let examples: Vec<&Example> = examples.iter().collect();
    let virtual_tokens = model.prefill(&trainable.method.virtual_tokens(Mode::Evaluate)).unwrap();
    let after_prompt = virtual_tokens.last_hidden.is_some();
    let (positions, targets) = Positions::labelled(task, &examples, after_prompt);
    let batch = token_batch(&examples, PaddingSide::Left);
    let hidden = model.forward(&batch, &virtual_tokens).unwrap();
    let states = positions.states(model, &batch, &hidden, Pooling::First).unwrap();
    let logits = logits(model, trainable.head.as_ref(), task, states).unwrap();
    cross_entropy_sum(logits, &targets).unwrap() / targets.len() as f64
}

/// All parameters in their order: name and values.
fn values<M: Module>(module: &M) -> Vec<(String, Vec<f64>)> {
    let numbers = |flat: params::Flat| (flat.name, flat.values.into_data().iter().collect());
    params::values(module).into_iter().map(numbers).collect()
}

/// The same module with other values.
fn with_values<M: Module>(module: M, new: &[Vec<f64>]) -> M {
    let old = params::values(&module);
    let tensors = old.into_iter().zip(new).map(|(flat, new)| {
        let dtype = flat.values.dtype();
        let data = TensorData::new(new.clone(), [new.len()]).convert_dtype(dtype);
        Tensor::from_data(data, (&flat.values.device(), dtype))
    });
    let tensors = tensors.collect();
    params::replace(module, tensors)
}

fn gradients<M: PeftMethod>(
    model: &dyn FrozenModel,
    trainable: &Trainable<M>,
    task: Task,
) -> Vec<Option<Vec<f64>>> {
    let mut gradients = loss(model, trainable, task).backward();
    let found = params::gradients(trainable, &mut gradients);
    found.into_iter().map(|grad| grad.map(|grad| grad.into_data().iter().collect())).collect()
}

/// What is done with a method on a model.
trait Visit {
    fn visit<M: PeftMethod>(
        &mut self,
        model: &dyn FrozenModel,
        trainable: Trainable<M>,
        what: &str,
        task: Task,
    );
}

/// Makes the trainable of a kind, on an autodiff device and in the model's type, and hands it over.
fn with_trainable(kind: Kind, model: &dyn FrozenModel, task: Task, visit: &mut impl Visit) {
    let spec = model.spec();
    let (dtype, device) = (spec.dtype, model.device().autodiff());
    let site = spec.self_site().unwrap();
    let direct = |width: usize, std: f64| {
        let data = numbers([P, width], std, "prompt_embeddings", dtype);
        NamedTensors::from([("prompt_embeddings".to_string(), data)])
    };
    let width = site.num_layers * site.kv_width();
    let head = head(model, task, dtype, &device);
    let what = format!("{kind:?} on {} for {task}", spec.model_type);
    match kind {
        Kind::Prompt => {
            let state = direct(spec.hidden_size, 0.5);
            let method =
                PromptTuning::from_state(PromptConfig::new(P), spec, &state, &device).unwrap();
            visit.visit(model, Trainable::new(method, head), &what, task);
        }
        Kind::PromptMlp | Kind::PromptLstm => {
            let (encoder, last) = match kind {
                Kind::PromptMlp => (EncoderConfig::mlp(), "mlp_head.4."),
                _ => {
                    let lstm =
                        EncoderConfig::Lstm { hidden_size: None, num_layers: 1, dropout: 0.0 };
                    (lstm, "mlp_head.2.")
                }
            };
            let config = PromptConfig::new(P).with_encoder(Some(encoder.with_hidden_size(Some(2))));
            let start = PromptInit::normal();
            let made = PromptTuning::init(config.clone(), model, &start, 5, &device).unwrap();
            // Sums that vary by about 1, so that gates respond. No hidden unit is off: its weights would have no derivative.
            let state = made.state().into_iter().map(|(name, data)| {
                let shape = data.shape().as_slice();
                let terms = if name == "embedding.weight" { 1 } else { shape[shape.len() - 1] };
                let std = 1.5 / (terms as f64).sqrt();
                let drawn = random_values([data.num_elements()], std, 5, &name);
                let is_hidden = name.starts_with("mlp_head") && !name.starts_with(last);
                let offset = if is_hidden && name.ends_with("bias") { 6.0 } else { 0.0 };
                let of = |value: f32| offset + if is_hidden { value.abs() } else { value };
                let values: Vec<f32> = drawn.iter().map(of).collect();
                let data = TensorData::new(values, data.shape().clone());
                (name, data.convert_dtype(dtype))
            });
            let method = PromptTuning::from_state(config, spec, &state.collect(), &device).unwrap();
            visit.visit(model, Trainable::new(method, head), &what, task);
        }
        Kind::Prefix => {
            let config = PrefixConfig::new(P).with_prefix_projection(false);
            let method =
                PrefixTuning::from_state(config, spec, &direct(width, 0.7), &device).unwrap();
            visit.visit(model, Trainable::new(method, head), &what, task);
        }
        Kind::PrefixMlp => {
            let (e, m) = (4, 5);
            let config = PrefixConfig::new(P).with_embedding_size(Some(e)).with_hidden_size(m);
            let state = NamedTensors::from(
                [
                    ("embedding.weight", numbers([P, e], 0.7, "a", dtype)),
                    ("transform.0.weight", numbers([m, e], 0.5, "b", dtype)),
                    ("transform.0.bias", numbers([m], 0.5, "c", dtype)),
                    ("transform.2.weight", numbers([width, m], 0.5, "d", dtype)),
                    ("transform.2.bias", numbers([width], 0.5, "e", dtype)),
                ]
                .map(|(name, data)| (name.to_string(), data)),
            );
            let method = PrefixTuning::from_state(config, spec, &state, &device).unwrap();
            visit.visit(model, Trainable::new(method, head), &what, task);
        }
        // Only rows of a language model have a place for it.
        Kind::Infix if task != Task::CausalLm => {}
        Kind::Ptv2 | Kind::Ptv2Layers | Kind::Infix => {
            let layers = matches!(kind, Kind::Ptv2Layers).then(|| vec![1, 2]);
            let width = layers.as_ref().map_or(width, |layers| layers.len() * site.kv_width());
            let infix = matches!(kind, Kind::Infix);
            let placement = Placement { infix, ..Placement::default() };
            let config = PTuningV2Config::new(P).with_layers(layers).with_placement(placement);
            let method = PTuningV2::from_state(config, spec, &direct(width, 0.7), &device).unwrap();
            visit.visit(model, Trainable::new(method, head), &what, task);
        }
    }
}

/// Every method on every family for each of its tasks.
fn everywhere(dtype: DType, device: &Device, visit: &mut impl Visit) {
    for family in Family::ALL {
        let loaded = model(family, dtype, device);
        for task in tasks(family) {
            for kind in KINDS {
                with_trainable(kind, loaded.model.as_ref(), *task, visit);
            }
        }
    }
}

/// Central differences of fourth order, from f(x + h) - f(x - h) and the same with 2 h.
fn slope(at: impl Fn(f64) -> f64) -> f64 {
    const H: f64 = 1e-3;
    (8.0 * (at(H) - at(-H)) - (at(2.0 * H) - at(-2.0 * H))) / (12.0 * H)
}

#[derive(Default)]
struct FiniteDifferences {
    largest: f64,
    checked: usize,
}

impl FiniteDifferences {
    fn compare(&mut self, found: f64, expected: f64, floor: f64, what: &str) {
        let difference = (found - expected).abs() / expected.abs().max(floor);
        assert!(
            difference < 1e-6,
            "{what}: gradient {found}, differences {expected}: {difference}"
        );
        self.largest = self.largest.max(difference);
        self.checked += 1;
    }
}

impl Visit for FiniteDifferences {
    fn visit<M: PeftMethod>(
        &mut self,
        model: &dyn FrozenModel,
        trainable: Trainable<M>,
        what: &str,
        task: Task,
    ) {
        use rand::Rng;
        let gradients = gradients(model, &trainable, task);
        let (names, start): (Vec<_>, Vec<_>) = values(&trainable).into_iter().unzip();
        let moved = |direction: &[Vec<f64>], by: f64| {
            let moved: Vec<Vec<f64>> = start
                .iter()
                .zip(direction)
                .map(|(x, d)| x.iter().zip(d).map(|(x, d)| x + by * d).collect())
                .collect();
            let trainable = with_values(trainable.clone(), &moved).valid();
            loss(model, &trainable, task).into_scalar::<f64>()
        };
        let zeros: Vec<Vec<f64>> = start.iter().map(|x| vec![0.0; x.len()]).collect();
        let mut random = rng::stream(8, 0, what);
        let mut direction = zeros.clone();
        let mut along = 0.0;
        for (index, gradient) in gradients.iter().enumerate() {
            let gradient = gradient.as_ref().unwrap();
            let largest = gradient.iter().fold(0f64, |largest, g| largest.max(g.abs()));
            for _ in 0..4 {
                let place = random.random_range(0..gradient.len());
                let mut unit = zeros.clone();
                unit[index][place] = 1.0;
                let what = format!("{what}: {}[{place}]", names[index]);
                // Derivatives far below the largest ones drown in the rounding of the loss, which is 4e-13 in a slope.
                let floor = (1e-3 * largest).max(1e-6);
                self.compare(gradient[place], slope(|h| moved(&unit, h)), floor, &what);
            }
            for (direction, gradient) in direction[index].iter_mut().zip(gradient) {
                *direction = random.random_range(-1.0..1.0);
                along += *direction * gradient;
            }
        }
        let scale = |all: &[Vec<f64>]| all.iter().flatten().map(|x| x * x).sum::<f64>().sqrt();
        let length = scale(&direction);
        direction.iter_mut().flatten().for_each(|x| *x /= length);
        let found = slope(|h| moved(&direction, h));
        let floor = 1e-2 * scale(&gradients.iter().flatten().cloned().collect::<Vec<_>>());
        self.compare(along / length, found, floor, &format!("{what}: a random direction"));
    }
}

#[test]
fn gradients_equal_finite_differences() {
    let mut visit = FiniteDifferences::default();
    everywhere(DType::F64, &Device::flex(), &mut visit);
    println!("{} derivatives, within {:.1e} of differences", visit.checked, visit.largest);
}

/// Collects all gradients, in the order in which they come.
#[derive(Default)]
struct Collect(Vec<(String, Vec<Option<Vec<f64>>>)>);

impl Visit for Collect {
    fn visit<M: PeftMethod>(
        &mut self,
        model: &dyn FrozenModel,
        trainable: Trainable<M>,
        what: &str,
        task: Task,
    ) {
        self.0.push((what.to_string(), gradients(model, &trainable, task)));
    }
}

#[test]
fn gradients_in_f32_equal_those_in_f64() {
    let (mut single, mut double) = (Collect::default(), Collect::default());
    everywhere(DType::F32, &device(), &mut single);
    everywhere(DType::F64, &Device::flex(), &mut double);
    let mut largest = 0f64;
    for ((what, found), (_, expected)) in single.0.iter().zip(&double.0) {
        for (found, expected) in found.iter().zip(expected) {
            let (found, expected) = (found.as_ref().unwrap(), expected.as_ref().unwrap());
            let scale = expected.iter().fold(0f64, |scale, x| scale.max(x.abs()));
            for (found, expected) in found.iter().zip(expected) {
                let difference = (found - expected).abs() / scale;
                assert!(difference < 1e-3, "{what}: {found} in f32, {expected} in f64");
                largest = largest.max(difference);
            }
        }
    }
    println!("gradients in f32 within {largest:.1e} of those in f64");
}

/// Every value of every parameter affects the loss, and its gradient says so.
#[test]
fn gradients_reach_every_parameter() {
    let mut visit = Collect::default();
    everywhere(DType::F64, &Device::flex(), &mut visit);
    for (what, gradients) in &visit.0 {
        for (index, gradient) in gradients.iter().enumerate() {
            let gradient =
                gradient.as_ref().unwrap_or_else(|| panic!("{what}: no gradient {index}"));
            let missed = gradient.iter().filter(|g| !(g.is_finite() && g.abs() > 1e-12)).count();
            assert_eq!(missed, 0, "{what}: parameter {index}, of {} numbers", gradient.len());
        }
    }
}

/// What the model computes by itself is a constant to autodiff: no gradient could reach it.
#[test]
fn gradients_reach_nothing_of_the_model() {
    for family in Family::ALL {
        let loaded = model(family, DType::F32, &device());
        let model = loaded.model.as_ref();
        assert!(!model.device().is_autodiff());
        let ids = Tensor::<2, Int>::from_data([[1, 2, 3]], &model.device());
        assert!(!model.embed(ids).is_autodiff());
        let examples = examples(Task::SeqCls);
        let batch = token_batch(&examples.iter().collect::<Vec<_>>(), PaddingSide::Right);
        let hidden = model.forward(&batch, &VirtualTokens::none()).unwrap();
        assert!(!hidden.tokens.is_autodiff());
        if model.spec().is_causal() {
            let states = hidden.tokens.narrow(1, 0, 1).squeeze_dim(1);
            assert!(!model.lm_logits(states).unwrap().is_autodiff());
        }
    }
}
