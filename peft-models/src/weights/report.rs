//! What loading found.

use std::collections::BTreeMap;

/// What loading found besides the model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadReport {
    /// Tensors of the file that the model does not use: heads of other tasks, constant buffers, more layers.
    pub skipped: Vec<String>,
    /// The modules of heads among them that checkpoints of this family do not usually hold, each with the number of its
    /// tensors: `v_head`.
    pub other_heads: BTreeMap<String, usize>,
    /// The layers among them, beyond those of the model, each with the number of its tensors: `model.layers.2`.
    pub more_layers: BTreeMap<String, usize>,
    /// Number of parameters of the model.
    pub num_parameters: usize,
    /// A fingerprint of the tensors, of a part of each: what differs is another model. [`Loaded::sha256`] reads all.
    ///
    /// [`Loaded::sha256`]: crate::Loaded::sha256
    pub fingerprint: Option<String>,
    /// The tensors of the model, by their canonical names, each with its name in the file.
    pub tensors: BTreeMap<String, String>,
}
