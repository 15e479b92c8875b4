//! Blocks of every type against the Python package `gguf`.

use std::fs;

use peft_core::formats::gguf::{TensorType, dequantise};
use peft_tests::vectors;
use safetensors::SafeTensors;

#[test]
fn blocks_of_every_type_are_what_the_package_gguf_makes_of_them() {
    let bytes = fs::read(vectors("gguf/blocks.safetensors")).unwrap();
    let vectors = SafeTensors::deserialize(&bytes).unwrap();
    for kind in TensorType::ALL.into_iter().filter(|kind| *kind != TensorType::F32) {
        let stored = vectors.tensor(&format!("{kind}.bytes")).unwrap();
        let expected = vectors.tensor(&format!("{kind}.values")).unwrap();
        let expected = expected.data().as_chunks::<4>().0.iter().map(|x| u32::from_le_bytes(*x));
        let expected: Vec<u32> = expected.collect();
        let mut found = vec![0.0f32; expected.len()];
        dequantise(kind, stored.data(), &mut found);
        let found: Vec<u32> = found.into_iter().map(f32::to_bits).collect();
        assert!(found == expected, "{kind}");
        assert!(expected.len() == 512, "{kind}");
    }
}
