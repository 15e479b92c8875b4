//! One layer as a function of what may be trained.

use burn::tensor::Tensor;
use peft_core::LayerKeyValues;

#[cfg(feature = "cpu")]
use crate::kernels;

/// All that a layer reads and that may need a gradient. Its weights, masks and positions never do.
#[derive(Clone, Debug)]
pub struct LayerInputs {
    /// Rows `[B, S, H]`.
    pub x: Tensor<3>,
    /// Keys and values of virtual tokens, `[1 or B, K, P, D]` each.
    pub past: Option<LayerKeyValues>,
    /// What a decoder reads besides.
    pub encoded: Option<Encoded>,
}

/// What a layer of a decoder reads from the encoder.
#[derive(Clone, Debug)]
pub struct Encoded {
    /// The encoder's output `[B, T, H]`.
    pub hidden: Tensor<3>,
    /// Keys and values of virtual tokens before it, `[1 or B, K, P, D]` each.
    pub past: Option<LayerKeyValues>,
}

impl LayerInputs {
    /// The layer's output, `body` of these inputs.
    ///
    /// With `recompute`, nothing that `body` computes is kept for the way back but these inputs: it is run
    /// again when the gradient comes (Chen et al. 2016, arXiv 1604.06174). That is one more forward pass of the
    /// layer for the memory of all that is inside it. The numbers are the same. The inputs must be on flex.
    pub fn run(
        self,
        recompute: bool,
        body: impl Fn(Self) -> Tensor<3> + Send + Sync + 'static,
    ) -> Tensor<3> {
        #[cfg(feature = "cpu")]
        if recompute && self.is_tracked() {
            return kernels::recompute::recompute(self, body);
        }
        #[cfg(not(feature = "cpu"))]
        let _ = recompute;
        body(self)
    }

    /// Whether any of them needs a gradient.
    #[cfg(feature = "cpu")]
    fn is_tracked(&self) -> bool {
        let tracked = |past: &Option<LayerKeyValues>| {
            past.as_ref().is_some_and(|past| past.key.is_tracked() || past.value.is_tracked())
        };
        self.x.is_tracked()
            || tracked(&self.past)
            || self
                .encoded
                .as_ref()
                .is_some_and(|encoded| encoded.hidden.is_tracked() || tracked(&encoded.past))
    }
}
