//! What loading found.

use std::collections::BTreeMap;

use peft_core::Result;
use sha2::{Digest, Sha256};

use super::source::Source;

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
    /// A fingerprint of the tensors; adapters remember that of their base.
    pub fingerprint: Option<String>,
}

/// SHA-256 over the canonical names and the shapes of the tensors `used` and 4 KiB from the middle of each: enough to
/// tell one checkpoint from another, and cheap for a large one. Only tensors of files have one.
pub(super) fn fingerprint(
    source: &Source,
    used: &BTreeMap<String, String>,
) -> Result<Option<String>> {
    const SAMPLE: usize = 4096;
    let mut hash = Sha256::new();
    for (name, spelling) in used {
        let Some(sample) = source.sample(spelling, SAMPLE)? else { return Ok(None) };
        hash.update(name.as_bytes());
        hash.update(format!("{:?}", source.shape(spelling)).as_bytes());
        hash.update(sample);
    }
    Ok(Some(hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()))
}
