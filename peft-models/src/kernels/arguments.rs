//! What the kernels take besides tensors.
//!
//! Blocks and families use these types too. They stand here because blocks call kernels, and kernels know no blocks.

use burn::tensor::{Bool, DType, Tensor};
use peft_core::LayerKeyValues;

/// The sizes of an attention block.
#[derive(Clone, Copy, Debug)]
pub struct Heads {
    /// Number of query heads, N.
    pub query: usize,
    /// Number of key and value heads, K. With K < N, N / K query heads share each of them (grouped-query attention).
    pub key_value: usize,
    /// Head dimension, D.
    pub size: usize,
}

impl Heads {
    /// `[B, S, heads * D]` to `[B, heads, S, D]`.
    fn split(&self, x: Tensor<3>, heads: usize) -> Tensor<4> {
        let [b, s, _] = x.dims();
        x.reshape([b, s, heads, self.size]).swap_dims(1, 2)
    }

    /// Queries `[B, S, N * D]` to `[B, N, S, D]`.
    pub fn split_queries(&self, x: Tensor<3>) -> Tensor<4> {
        self.split(x, self.query)
    }

    /// Keys or values `[B, S, K * D]` to `[B, K, S, D]`.
    pub fn split_key_values(&self, x: Tensor<3>) -> Tensor<4> {
        self.split(x, self.key_value)
    }

    /// The usual factor of attention scores, `1 / sqrt(D)`.
    pub fn scale(&self) -> f64 {
        (self.size as f64).powf(-0.5)
    }
}

/// How the products of queries and keys become scores: `scale q kᵀ + bias`, masked.
#[derive(Clone, Debug)]
pub struct Scores {
    /// The factor of the products.
    pub scale: f64,
    /// `[1 or B, 1, S or 1, P + T + S]`, `true` where a query may not see a key; see
    /// [`StackInput::hidden_keys`](peft_core::StackInput::hidden_keys).
    pub hidden: Option<Tensor<4, Bool>>,
    /// Added to the scores, `[1 or B, N, S, P + T + S]`.
    pub bias: Option<Tensor<4>>,
}

impl Scores {
    /// The score of a hidden key, in place of minus infinity: a query that sees nothing (padding) gives no NaN.
    pub const HIDDEN: f64 = -1e9;
    /// The same in f16, which has no smaller number.
    const HIDDEN_F16: f64 = -65504.0;

    /// The score of a hidden key in a type, finite in it.
    pub fn hidden_in(dtype: DType) -> f64 {
        if dtype == DType::F16 { Self::HIDDEN_F16 } else { Self::HIDDEN }
    }
}

/// An activation function that has a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nonlinearity {
    /// GELU with the error function.
    Gelu,
    /// GELU through tanh.
    GeluTanh,
    /// `x σ(x)`.
    Silu,
    /// `max(x, 0)`.
    Relu,
}

/// Every input of a layer that may need a gradient. Weights, masks and positions never do.
#[derive(Clone, Debug)]
pub struct LayerInputs {
    /// Hidden states `[B, S, H]`.
    pub x: Tensor<3>,
    /// Keys and values of virtual tokens, `[1 or B, K, P, D]` each.
    pub past: Option<LayerKeyValues>,
    /// What a decoder layer reads from the encoder.
    pub encoded: Option<Encoded>,
}

impl LayerInputs {
    /// Whether one of them has a gradient.
    pub fn need_gradient(&self) -> bool {
        let of_past = |past: &Option<LayerKeyValues>| {
            past.as_ref().is_some_and(|past| past.key.is_tracked() || past.value.is_tracked())
        };
        let of_encoded = |encoded: &Encoded| encoded.hidden.is_tracked() || of_past(&encoded.past);
        self.x.is_tracked() || of_past(&self.past) || self.encoded.as_ref().is_some_and(of_encoded)
    }

    /// The same values as constants.
    pub fn without_autodiff(self) -> Self {
        let of_past = |past: LayerKeyValues| LayerKeyValues {
            key: past.key.without_autodiff(),
            value: past.value.without_autodiff(),
        };
        Self {
            x: self.x.without_autodiff(),
            past: self.past.map(of_past),
            encoded: self.encoded.map(|Encoded { hidden, past }| Encoded {
                hidden: hidden.without_autodiff(),
                past: past.map(of_past),
            }),
        }
    }
}

/// What a decoder layer reads from the encoder.
#[derive(Clone, Debug)]
pub struct Encoded {
    /// The encoder's output `[B, T, H]`.
    pub hidden: Tensor<3>,
    /// Keys and values of the virtual tokens before it, `[1 or B, K, P, D]` each.
    pub past: Option<LayerKeyValues>,
}
