//! What heads are called in the checkpoints of transformers.

/// The language-model head of decoders and encoder-decoders.
pub const LM_HEAD: &str = "lm_head";

/// Heads of other tasks: those of [`HeadLayout`](peft_core::HeadLayout)s, and BART's own classifier.
const CLASSIFIERS: [&str; 4] = ["classifier", "score", "qa_outputs", "classification_head"];

/// Whether a tensor belongs to the head of a task other than language modelling.
pub fn is_classifier(name: &str) -> bool {
    name.split_once('.').is_some_and(|(module, _)| CLASSIFIERS.contains(&module))
}
