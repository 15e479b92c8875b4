//! What tells the weights of one model from those of another: a fingerprint of parts of them, and the sum of all.
//!
//! Both are of the bytes as files store them, under canonical names, so that neither the spelling of names nor the
//! division into files matters. Tensors that are in no file have neither.

use std::collections::BTreeMap;

use peft_core::{Result, adapter::codec::hex};
use sha2::{Digest, Sha256};

use super::source::Source;

/// SHA-256 over the canonical names and the shapes of the tensors `used` and 4 KiB from the middle of each: enough to
/// tell one checkpoint from another, and cheap for a large one.
pub(super) fn fingerprint(
    source: &Source,
    used: &BTreeMap<String, String>,
) -> Result<Option<String>> {
    const SAMPLE: usize = 4096;
    let of_middle = |bytes: usize| {
        let start = bytes.saturating_sub(SAMPLE) / 2;
        (start, bytes.min(SAMPLE))
    };
    Ok(hash(source, used, of_middle)?.map(|hash| hex(&hash[..16])))
}

/// As [`fingerprint`], over all bytes. It reads every file once.
pub(crate) fn sha256(source: &Source, used: &BTreeMap<String, String>) -> Result<Option<String>> {
    Ok(hash(source, used, |bytes| (0, bytes))?.map(|hash| hex(&hash)))
}

/// Over the part of each tensor that `part` chooses, as its start and length, from the number of its bytes.
fn hash(
    source: &Source,
    used: &BTreeMap<String, String>,
    part: impl Fn(usize) -> (usize, usize),
) -> Result<Option<Vec<u8>>> {
    let mut hash = Sha256::new();
    let mut buffer = Vec::new();
    for (name, spelling) in used {
        let Some(bytes) = source.num_bytes(spelling)? else { return Ok(None) };
        hash.update(name.as_bytes());
        hash.update(format!("{:?}", source.shape(spelling)).as_bytes());
        let (start, len) = part(bytes);
        let piece = source.piece(spelling);
        for at in (0..len).step_by(piece) {
            buffer.resize((len - at).min(piece), 0);
            source.fill(spelling, start + at, &mut buffer)?;
            hash.update(&buffer);
        }
    }
    Ok(Some(hash.finalize().to_vec()))
}
