//! A tiny frozen model and a minimal method, for the tests in this folder.
#![allow(clippy::unwrap_used)]

use std::{collections::BTreeSet, sync::Mutex};

use burn::{
    module::{Module, Param},
    tensor::{Bool, DType, Device, Int, Tensor, activation::softmax},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::trainable::Trainable;
use crate::{
    contract::{
        frozen::FrozenModel,
        head::{Head, HeadLayout},
        init::{Distribution, dropout, tensor},
        layout::{self, PROMPT_EMBEDDINGS},
        method::{Mode, PeftMethod},
        method_fields::MethodFields,
        params,
        peft_type::PeftType,
        rng,
        spec::{ModelSpec, Side, Site, SiteSpec, Topology},
        stack::{StackInput, StackOutput},
        tensors::NamedTensors,
        virtual_tokens::{LayerKeyValues, VirtualTokens},
    },
    data::{Example, IGNORE, Target},
    error::Result,
};

pub(super) const VOCAB: usize = 11;
const H: usize = 8;
const N: usize = 2;
const K: usize = 1;
const D: usize = 4;

/// One attention layer over token and position embeddings; the embedding is also the output layer.
/// With two sides, both have the same weights, and the decoder also uses them to attend to the
/// encoder's output.
#[derive(Debug)]
pub(super) struct TinyModel {
    spec: ModelSpec,
    tokens: Tensor<2>,
    positions: Tensor<2>,
    query: Tensor<2>,
    key: Tensor<2>,
    value: Tensor<2>,
    /// Whether it says that its device is one that computes while the host goes on.
    pub(super) waits: bool,
    /// Whether it says that its device tunes kernels to shapes.
    pub(super) tunes: bool,
    /// The lengths of the batches that it was given.
    pub(super) lengths: Mutex<BTreeSet<usize>>,
    /// Whether its hidden states pass through f16, divided by so much, so that their gradients are there times as large.
    pub(super) half: Option<f64>,
}

impl TinyModel {
    pub(super) fn new(topology: Topology) -> Self {
        let device = Device::default();
        let mut stream = rng::stream(5, 0, "tiny model");
        let mut draw = |rows, columns| {
            tensor([rows, columns], Distribution::Normal { std: 0.5 }, &mut stream, &device)
        };
        let sites: &[Site] = match topology {
            Topology::DecoderOnly => &[Site::DecoderSelf],
            Topology::EncoderOnly => &[Site::EncoderSelf],
            Topology::EncoderDecoder => &[Site::EncoderSelf, Site::DecoderSelf, Site::Cross],
        };
        let of_site =
            |&site| SiteSpec { site, num_layers: 1, num_heads: N, num_kv_heads: K, head_dim: D };
        let sites = sites.iter().map(of_site).collect();
        Self {
            tokens: draw(VOCAB, H),
            positions: draw(32, H),
            query: draw(H, N * D),
            key: draw(H, K * D),
            value: draw(H, K * D),
            waits: false,
            tunes: false,
            lengths: Mutex::default(),
            half: None,
            spec: ModelSpec {
                model_type: "tiny".into(),
                topology,
                hidden_size: H,
                vocab_size: VOCAB,
                sites,
                max_positions: Some(32),
                max_decoder_positions: (topology == Topology::EncoderDecoder).then_some(16),
                dtype: DType::F32,
            },
        }
    }

    /// Keys and values of hidden states `[B, S, H]`.
    fn key_values(&self, x: &Tensor<3>) -> LayerKeyValues {
        LayerKeyValues { key: heads(x, &self.key, K), value: heads(x, &self.value, K) }
    }

    /// What `x` `[B, S, H]` reads from `own`, preceded by `past`.
    fn attend(
        &self,
        x: &Tensor<3>,
        own: &LayerKeyValues,
        past: Option<&LayerKeyValues>,
        hidden: impl FnOnce(usize) -> Option<Tensor<4, Bool>>,
    ) -> Tensor<3> {
        let [b, s, _] = x.dims();
        let (mut key, mut value) = (own.key.clone(), own.value.clone());
        if let Some(past) = past {
            let p = past.key.dims()[2];
            key = Tensor::cat(vec![past.key.clone().expand([b, K, p, D]), key], 2);
            value = Tensor::cat(vec![past.value.clone().expand([b, K, p, D]), value], 2);
        }
        let columns = key.dims()[2];
        let grow = |tensor: Tensor<4>| tensor.expand([b, N, columns, D]);
        let mut scores = heads(x, &self.query, N).matmul(grow(key).swap_dims(2, 3)) / 2.0;
        if let Some(hidden) = hidden(columns) {
            scores = scores.mask_fill(hidden.expand([b, N, s, columns]), -1e9);
        }
        softmax(scores, 3).matmul(grow(value)).permute([0, 2, 1, 3]).reshape([b, s, H])
    }

    /// The bits of all weights.
    pub(super) fn bits(&self) -> Vec<Vec<u8>> {
        [&self.tokens, &self.positions, &self.query, &self.key, &self.value]
            .map(|weight| weight.to_data().as_bytes().to_vec())
            .to_vec()
    }
}

fn heads(x: &Tensor<3>, weight: &Tensor<2>, heads: usize) -> Tensor<4> {
    let [b, s, _] = x.dims();
    let all = x.clone().matmul(weight.clone().unsqueeze());
    all.reshape([b, s, heads, D]).permute([0, 2, 1, 3])
}

impl FrozenModel for TinyModel {
    fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    fn device(&self) -> Device {
        Device::default()
    }

    fn reads_wait(&self) -> bool {
        self.waits
    }

    fn tunes_to_shapes(&self) -> bool {
        self.tunes
    }

    fn scales_loss(&self) -> bool {
        self.half.is_some()
    }

    fn embed(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        let [b, t] = ids.dims();
        self.lengths.lock().unwrap().insert(t);
        self.tokens.clone().select(0, ids.reshape([b * t])).reshape([b, t, H])
    }

    fn layers(&self, mut input: StackInput) -> Result<StackOutput> {
        let [b, s, _] = input.embeddings.dims();
        let positions = input.positions.clone().reshape([b * s]);
        let x = input.embeddings.clone()
            + self.positions.clone().select(0, positions).reshape([b, s, H]);
        let site = if input.side == Side::Encoder { Site::EncoderSelf } else { Site::DecoderSelf };
        let own = input.keep(0, self.key_values(&x));
        let mixed =
            self.attend(&x, &own, input.past(site, 0), |columns| input.hidden_keys(columns));
        let mut hidden = (x + mixed).tanh();
        let mut cross_key_values = Vec::new();
        if let Some(cross) = &input.cross {
            let read =
                cross.key_values.first().cloned().unwrap_or_else(|| self.key_values(&cross.hidden));
            let mixed =
                self.attend(&hidden, &read, cross.past(0), |columns| cross.hidden_keys(columns));
            hidden = (hidden + mixed).tanh();
            cross_key_values.push(read);
        }
        if let Some(gain) = self.half {
            hidden = (hidden / gain).cast(DType::F16).cast(DType::F32) * gain;
        }
        Ok(StackOutput { hidden, tokens: input.tokens, cross_key_values, below: None })
    }

    fn has_lm_head(&self) -> bool {
        true
    }

    fn lm_logits(&self, hidden: Tensor<2>) -> Result<Tensor<2>> {
        Ok(hidden.matmul(self.tokens.clone().transpose()))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Kind {
    Prompt,
    Prefix,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct TestConfig {
    pub(super) kind: Kind,
    site: Site,
    pub(super) dropout: f64,
}

/// Rows, or keys and values, multiplied by a gain that `fold` absorbs.
#[derive(Module, Debug)]
pub(super) struct TestMethod {
    table: Param<Tensor<2>>,
    gain: Option<Param<Tensor<1>>>,
    #[module(skip)]
    config: TestConfig,
}

impl TestMethod {
    pub(super) fn new(model: &TinyModel, kind: Kind, p: usize, dropout: f64) -> Self {
        let width = if kind == Kind::Prompt { H } else { 2 * K * D };
        let mut stream = rng::stream(3, 0, "test method");
        let device = Device::default();
        let table = tensor([p, width], Distribution::Normal { std: 0.5 }, &mut stream, &device);
        Self {
            table: Param::from_tensor(table),
            gain: Some(Param::from_tensor(Tensor::ones([width], &device))),
            config: TestConfig { kind, site: model.spec.sites[0].site, dropout },
        }
    }

    /// The same method with one value replaced.
    pub(super) fn with_value(mut self, value: f32) -> Self {
        self.table = self.table.map(|table| table.slice_fill([0..1, 0..1], value));
        self
    }
}

impl PeftMethod for TestMethod {
    type Config = TestConfig;

    fn config(&self) -> &TestConfig {
        &self.config
    }

    fn virtual_tokens(&self, mode: Mode) -> VirtualTokens {
        let mut table = self.fold_table();
        if let Mode::Train { seed, step } = mode {
            table = dropout(table, self.config.dropout, &mut rng::stream(seed, step, "test"));
        }
        match self.config.kind {
            Kind::Prompt => VirtualTokens::embeddings(table.unsqueeze()),
            Kind::Prefix => {
                let site = self.config.site;
                let site =
                    SiteSpec { site, num_layers: 1, num_heads: N, num_kv_heads: K, head_dim: D };
                VirtualTokens::key_values(vec![layout::to_key_values(table, &site, &[0])])
            }
        }
    }

    fn fold(&self) -> Self {
        let table = Param::from_tensor(self.fold_table().without_autodiff());
        Self { table, gain: None, config: self.config.clone() }
    }

    fn state(&self) -> NamedTensors {
        let mut state = NamedTensors::new();
        state.insert(PROMPT_EMBEDDINGS.into(), self.table.val().into_data());
        if let Some(gain) = &self.gain {
            state.insert("gain".into(), gain.val().into_data());
        }
        state
    }

    fn from_state(
        config: TestConfig,
        _: &ModelSpec,
        state: &NamedTensors,
        device: &Device,
    ) -> Result<Self> {
        let table = state[PROMPT_EMBEDDINGS].shape();
        let table = [table[0], table[1]];
        let gain = state.contains_key("gain");
        Ok(Self {
            table: params::from_named(PROMPT_EMBEDDINGS, table, state, device)?,
            gain: gain
                .then(|| params::from_named("gain", [table[1]], state, device))
                .transpose()?,
            config,
        })
    }

    fn fields(&self, _: &ModelSpec) -> MethodFields {
        MethodFields {
            method: "test",
            peft_type: match self.config.kind {
                Kind::Prompt => PeftType::PromptTuning,
                Kind::Prefix => PeftType::PrefixTuning,
            },
            num_virtual_tokens: self.table.dims()[0],
            layers: None,
            sites: None,
            extra: Map::new(),
            settings: Value::Null,
        }
    }
}

impl TestMethod {
    fn fold_table(&self) -> Tensor<2> {
        match &self.gain {
            Some(gain) => self.table.val() * gain.val().unsqueeze(),
            None => self.table.val(),
        }
    }
}

/// A trainable with three virtual tokens and, if `classes` is given, a head.
pub(super) fn trainable(
    model: &TinyModel,
    kind: Kind,
    dropout: f64,
    classes: Option<usize>,
) -> Trainable<TestMethod> {
    let layout = HeadLayout::linear("classifier", true);
    let head = classes.map(|classes| Head::init(layout, classes, H, 1, &Device::default()));
    Trainable::new(TestMethod::new(model, kind, 3, dropout), head)
}

/// Rows of 1 to 7 tokens. Targets: a continuation that counts up (all but the first third of a row;
/// in some rows all tokens), the parity of each token, or of the first token, the position of the
/// largest token, or, for an encoder-decoder, the row reversed.
pub(super) fn examples(count: usize, task: crate::contract::task::Task) -> Vec<Example> {
    (0..count)
        .map(|row| {
            let len = 1 + row * 5 % 7;
            let input_ids: Vec<u32> =
                (0..len).map(|i| ((row * 3 + i) % (VOCAB - 1)) as u32 + 1).collect();
            let of_tokens = |target: &dyn Fn(usize, u32) -> i64| {
                Target::Tokens(input_ids.iter().enumerate().map(|(i, id)| target(i, *id)).collect())
            };
            let target = match task {
                crate::contract::task::Task::SeqCls => Target::Class(input_ids[0] as usize % 2),
                crate::contract::task::Task::TokenCls => of_tokens(&|_, id| i64::from(id % 2)),
                crate::contract::task::Task::QuestionAns => {
                    let start = (0..len).max_by_key(|token| input_ids[*token]).unwrap();
                    Target::Span { start, end: start.max(len / 2) }
                }
                crate::contract::task::Task::CausalLm => {
                    of_tokens(&|i, id| if i < len / 3 { IGNORE } else { i64::from(id) })
                }
                crate::contract::task::Task::Seq2SeqLm => {
                    of_tokens(&|i, _| i64::from(input_ids[len - 1 - i]))
                }
            };
            let backwards = input_ids.iter().rev().copied().take(len - 1);
            let decoder_input_ids: Vec<u32> = std::iter::once(0).chain(backwards).collect();
            let seq2seq = task == crate::contract::task::Task::Seq2SeqLm;
            Example {
                decoder_input_ids: seq2seq.then_some(decoder_input_ids),
                ..Example::new(input_ids, target, row + 1)
            }
        })
        .collect()
}
