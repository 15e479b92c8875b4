//! A pass of rows through a small random model and back: what it computes, in whatever way it does.

use burn::tensor::{DType, Device, TensorData};
use peft_core::{FrozenModel, PaddingSide, TokenBatch, Topology};
use peft_models::Loaded;

use crate::{
    Family, Shape,
    leaves::{Kind, Leaves},
};

/// The sizes of models that read the rows of the self-test, of which one is long.
pub const WITH_LONG_ROW: Shape = Shape { layers: 2, kv_heads: 2, head_dim: 16, positions: 256 };
/// Virtual tokens.
pub const P: usize = 3;
/// Rows of several lengths.
pub const ROWS: [&[u32]; 3] = [&[5, 11, 2, 20, 7, 9, 1], &[3, 3, 8], &[12]];
/// What a decoder reads of each, behind an encoder.
const DECODER_ROWS: [&[u32]; 3] = [&[4, 6], &[1, 2, 3, 4, 5], &[9, 9, 9]];
/// A prompt, prefixes of each row, and keys and values of the last layer alone.
pub const KINDS: [Kind; 3] = [Kind::Prompt(1), Kind::Prefix(ROWS.len()), Kind::LastLayer];

/// All families.
pub fn families() -> impl Iterator<Item = Family> {
    Family::ALL.into_iter().chain(Family::ENCODER_DECODER)
}

/// The rows, as a model reads them.
pub fn batch(model: &dyn FrozenModel, side: PaddingSide) -> TokenBatch {
    let batch = TokenBatch::new(&ROWS, side);
    match model.spec().topology {
        Topology::EncoderDecoder => {
            batch.with_decoder(TokenBatch::new(&DECODER_ROWS, PaddingSide::Right))
        }
        _ => batch,
    }
}

/// What a pass has computed.
#[derive(Clone, Debug, PartialEq)]
pub struct Pass {
    /// Hidden states.
    pub hidden: TensorData,
    /// The logits of a language model.
    pub logits: Option<TensorData>,
    /// Its loss.
    pub loss: Option<TensorData>,
    /// The gradient of every leaf.
    pub gradients: Vec<TensorData>,
}

impl Pass {
    /// Of a model in f32 on the CPU.
    ///
    /// # Panics
    ///
    /// If the model refuses its rows.
    pub fn of(loaded: &Loaded, kind: Kind) -> Self {
        let model = loaded.model.as_ref();
        let mut leaves = Leaves::new(Device::flex().autodiff(), DType::F32);
        let virtual_tokens = leaves.virtual_tokens(model, kind, P);
        let read = model.forward(&batch(model, PaddingSide::Right), &virtual_tokens);
        let hidden = read.expect("rows that the model takes").tokens;
        let states = hidden.clone().inner().into_data();
        let mut loss = (hidden.clone() * hidden.clone().add_scalar(1.0).square()).mean();
        let (mut logits, mut of_model) = (None, None);
        if model.has_lm_head() {
            let [b, t, h] = hidden.dims();
            let targets: Vec<usize> = (0..b * t).map(|at| at * 5 % 23).collect();
            let hidden = hidden.reshape([b * t, h]);
            let found = model.lm_logits(hidden.clone()).expect("a language model has logits");
            logits = Some(found.inner().into_data());
            let found = model.lm_cross_entropy(hidden, &targets, 0.1);
            let found = found.expect("and a loss of tokens in its vocabulary");
            of_model = Some(found.clone().inner().into_data());
            loss = loss + found;
        }
        let gradients = leaves.gradients(&loss.backward());
        Self { hidden: states, logits, loss: of_model, gradients }
    }
}
