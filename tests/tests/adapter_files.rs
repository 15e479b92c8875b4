//! The files of an adapter's folder: what is loaded is one adapter, whatever a save left behind.

use std::{fs, path::Path};

use peft_core::Adapter;

use crate::support::{ADAPTER_FILES, root};

/// Every state that a folder goes through while one adapter replaces another there.
#[test]
fn a_pair_of_two_adapters_is_refused() {
    let old = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/logits/gpt2/prefix");
    let adapter = Adapter::load(&old).unwrap();
    let mut other = adapter.clone();
    for data in other.tensors.values_mut() {
        let shape = data.shape().clone();
        let numbers: Vec<f32> = data.iter::<f32>().map(|x| x + 1.0).collect();
        *data = burn::tensor::TensorData::new(numbers, shape);
    }
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (dir.path().join("first"), dir.path().join("second"));
    adapter.save(&first).unwrap();
    other.save(&second).unwrap();
    // The old folder was written here, or by PEFT, which stores no checksum: then it matters that the file with ours
    // is renamed first.
    for (before, written) in [
        (&first, [true, false, false]),
        (&first, [true, true, false]),
        (&first, [false, false, true]),
        (&old, [true, false, false]),
        (&old, [true, true, false]),
    ] {
        let mixed = tempfile::tempdir().unwrap();
        for (name, new) in ADAPTER_FILES.into_iter().zip(written) {
            let from = if new { &second } else { before };
            if from.join(name).exists() {
                fs::copy(from.join(name), mixed.path().join(name)).unwrap();
            }
        }
        let error = Adapter::load(mixed.path()).unwrap_err().to_string();
        assert!(error.contains("SHA-256"), "{error}");
    }
    // Some of the files alone.
    for (there, says) in [
        ([true, false, false], "holds no adapter_config.json"),
        ([false, true, false], "holds neither"),
        ([true, true, false], "holds neither"),
        ([false, false, true], "without adapter_config.json"),
        ([true, false, true], "without adapter_config.json"),
        ([false, true, true], "holds no burn_peft.json, which was saved with"),
    ] {
        let part = tempfile::tempdir().unwrap();
        for (name, _) in ADAPTER_FILES.into_iter().zip(there).filter(|(_, there)| *there) {
            fs::copy(second.join(name), part.path().join(name)).unwrap();
        }
        let error = Adapter::load(part.path()).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    // Saving over a folder of PEFT's leaves the new adapter and no temporary files.
    let over = tempfile::tempdir().unwrap();
    for name in &ADAPTER_FILES[1..] {
        fs::copy(old.join(name), over.path().join(name)).unwrap();
    }
    other.save(over.path()).unwrap();
    assert_eq!(fs::read_dir(over.path()).unwrap().count(), 3);
    assert_eq!(Adapter::load(over.path()).unwrap().tensors, other.tensors);
}

/// A save that fails leaves the old adapter.
#[test]
fn a_failed_save_leaves_the_old_adapter() {
    let old = Adapter::load(&root().join("tests/vectors/logits/gpt2/prompt")).unwrap();
    let new = Adapter::load(&root().join("tests/vectors/logits/gpt2/prefix")).unwrap();
    for name in ADAPTER_FILES {
        let dir = tempfile::tempdir().unwrap();
        old.save(dir.path()).unwrap();
        let (blocked, kept) = (dir.path().join(name), dir.path().join("kept"));
        // A folder where the file would go.
        fs::rename(&blocked, &kept).unwrap();
        fs::create_dir(&blocked).unwrap();
        let error = new.save(dir.path()).unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
        fs::remove_dir(&blocked).unwrap();
        fs::rename(&kept, &blocked).unwrap();
        assert_eq!(Adapter::load(dir.path()).unwrap().tensors, old.tensors);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3);
    }
}
