//! The model families that tests run on.

/// A model family of the tests' small random models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Encoder, learned positions.
    Bert,
    /// Decoder, learned positions.
    Gpt2,
    /// Decoder, rotary positions, two query heads per key/value head.
    Llama,
    /// Encoder, positions counted from the padding token's id.
    Roberta,
    /// A Llama with a sliding window.
    Mistral,
    /// A Llama with biases, and a sliding window in its last layer.
    Qwen2,
    /// A Llama that normalises queries and keys.
    Qwen3,
    /// Encoder-decoder, relative positions, a tied head; the decoder has one layer more.
    T5,
    /// T5 1.1: gated, with an untied head.
    T5Gated,
    /// Encoder-decoder, learned positions, scaled embeddings; the decoder has one layer and one head more.
    Bart,
}

impl Family {
    /// Those with a single stack; on a GPU, which `.ci/run` emulates slowly, one of each kind.
    #[cfg(feature = "wgpu")]
    pub const ALL: [Self; 3] = [Self::Bert, Self::Gpt2, Self::Llama];

    /// Those with a single stack.
    #[cfg(not(feature = "wgpu"))]
    pub const ALL: [Self; 7] = [
        Self::Bert,
        Self::Roberta,
        Self::Gpt2,
        Self::Llama,
        Self::Mistral,
        Self::Qwen2,
        Self::Qwen3,
    ];

    /// Decoders, which generate text.
    pub const CAUSAL: [Self; 5] =
        [Self::Gpt2, Self::Llama, Self::Mistral, Self::Qwen2, Self::Qwen3];

    /// Those with an encoder and a decoder.
    pub const ENCODER_DECODER: [Self; 3] = [Self::T5, Self::T5Gated, Self::Bart];

    /// Whether it is a decoder without an encoder.
    pub fn is_causal(self) -> bool {
        Self::CAUSAL.contains(&self)
    }
}
