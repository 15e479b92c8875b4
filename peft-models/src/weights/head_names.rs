//! What heads are called in the checkpoints of transformers.

use peft_core::HeadLayout;

/// The language-model head of decoders and encoder-decoders.
pub const LM_HEAD: &str = "lm_head";

/// BART's own classifier, which no adapter uses.
const BART_CLASSIFIER: &str = "classification_head.";

/// Whether a tensor belongs to the head of a task other than language modelling.
pub fn is_classifier(name: &str) -> bool {
    HeadLayout::is_head_tensor(name) || name.starts_with(BART_CLASSIFIER)
}
