//! `burn_peft.json`: the fields that PEFT has no place for.
//!
//! A file beside PEFT's two, since PEFT warns of keys in `adapter_config.json` that it does not know. Earlier versions
//! wrote them there, under `burn_peft`, and such folders are read as before. The metadata of the tensors say that the
//! file belongs to them: without it, the adapter would compute as one of PEFT's.

use std::path::Path;

use safetensors::SafeTensors;
use serde_json::Value;

use super::{
    config::CONFIG,
    own_fields::{OWN, SUMS},
    stored::TENSORS,
};
use crate::{
    error::{Error, Result},
    formats::read,
};

/// The file that holds our own fields.
pub(super) const OWN_FILE: &str = "burn_peft.json";

/// The key under which the metadata of `adapter_model.safetensors` name [`OWN_FILE`], if that belongs to it.
const BESIDE: &str = "beside";

/// What those metadata begin with.
const METADATA: &str = r#""__metadata__":{"#;

/// The content of `adapter_config.json` in `dir`, with our own fields under [`OWN`], wherever they stand.
///
/// # Errors
///
/// [`Error::Read`] or [`Error::File`]; [`Error::Config`] for fields in both files, or without their sums.
pub(super) fn joined(dir: &Path) -> Result<Value> {
    let path = dir.join(CONFIG);
    let mut config = read::json(&path)?;
    let own_path = dir.join(OWN_FILE);
    if !own_path.exists() {
        return Ok(config);
    }
    let own = read::json(&own_path)?;
    for key in SUMS {
        if own.get(key).is_none() {
            let message = "is missing: the file is damaged, or does not come from this program";
            return Err(Error::config(&own_path, key, message));
        }
    }
    match config.as_object_mut() {
        Some(fields) if fields.contains_key(OWN) => {
            let message = format!("stands beside {OWN_FILE}, which holds the same: remove one");
            Err(Error::config(&path, OWN, message))
        }
        Some(fields) => {
            fields.insert(OWN.into(), own);
            Ok(config)
        }
        // Whoever reads it says so.
        None => Ok(config),
    }
}

/// The file in `dir` that holds our own fields, and with them what is changed by hand: `burn_peft.json`, else PEFT's.
pub fn file_of(dir: &Path) -> &'static str {
    if dir.join(OWN_FILE).exists() { OWN_FILE } else { CONFIG }
}

/// The bytes of a safetensors file with [`OWN_FILE`] named in its metadata. The `safetensors` crate would write several
/// metadata in an order that changes from run to run.
pub(super) fn marked(bytes: Vec<u8>) -> Vec<u8> {
    const LENGTH: usize = size_of::<u64>();
    let Some((length, rest)) = bytes.split_first_chunk::<LENGTH>() else { return bytes };
    let Some((header, data)) = rest.split_at_checked(u64::from_le_bytes(*length) as usize) else {
        return bytes;
    };
    let header = String::from_utf8_lossy(header);
    let with_mark = format!("{METADATA}\"{BESIDE}\":\"{OWN_FILE}\",");
    let mut header = header.trim_end().replacen(METADATA, &with_mark, 1).into_bytes();
    // Numbers begin at a multiple of their size.
    header.resize(header.len().next_multiple_of(LENGTH), b' ');
    [&(header.len() as u64).to_le_bytes(), header.as_slice(), data].concat()
}

/// Refuses tensors that were saved beside [`OWN_FILE`], where there is none.
///
/// # Errors
///
/// [`Error::File`].
pub(super) fn check_there(dir: &Path, config: &Value, bytes: &[u8]) -> Result<()> {
    let marked = || {
        let metadata = SafeTensors::read_metadata(bytes).ok()?.1;
        Some(metadata.metadata().as_ref()?.get(BESIDE)? == OWN_FILE)
    };
    match config.get(OWN).is_none() && marked() == Some(true) {
        true => Err(Error::file(
            dir,
            format!(
                "holds no {OWN_FILE}, which was saved with {TENSORS} and says how the adapter computes: copy it, too"
            ),
        )),
        false => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use burn::tensor::TensorData;

    use super::*;
    use crate::{
        adapter::codec::{from_safetensors, to_safetensors},
        contract::tensors::NamedTensors,
    };

    #[test]
    fn a_marked_file_holds_the_same_tensors() {
        let path = Path::new(TENSORS);
        let named = |name: &str| (name.to_string(), TensorData::new(vec![1.0f32, -2.5], [2]));
        let tensors = NamedTensors::from([named("a"), named(r#""__metadata__":{"#)]);
        let plain = to_safetensors(&tensors, path).unwrap();
        let bytes = marked(plain.clone());
        assert_eq!(from_safetensors(&bytes, path).unwrap(), tensors);
        let metadata = SafeTensors::read_metadata(&bytes).unwrap().1.metadata().clone().unwrap();
        assert_eq!((metadata.len(), metadata["format"].as_str()), (2, "pt"));
        assert_eq!((bytes.len() - plain.len()) % 8, 0);
        let dir = Path::new("adapter");
        let message = check_there(dir, &Value::Null, &bytes).unwrap_err().to_string();
        assert!(message.contains("adapter: holds no burn_peft.json"), "{message}");
        check_there(dir, &serde_json::json!({OWN: {}}), &bytes).unwrap();
        check_there(dir, &Value::Null, &plain).unwrap();
        for broken in [&b""[..], b"1234567", &u64::MAX.to_le_bytes()] {
            assert_eq!(marked(broken.to_vec()), broken);
        }
    }
}
