//! How a GGUF file stores the values of a tensor.

use std::fmt;

/// How the values of a tensor are stored: as floats, or in blocks of values that share their scales.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names of the format")]
pub enum TensorType {
    F32,
    F16,
    Bf16,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q2K,
    Q3K,
    Q4K,
    Q5K,
    Q6K,
}

/// Each type: its number, its name, the values of a block and its bytes.
const TYPES: [(TensorType, u32, &str, usize, usize); 13] = [
    (TensorType::F32, 0, "F32", 1, 4),
    (TensorType::F16, 1, "F16", 1, 2),
    (TensorType::Bf16, 30, "BF16", 1, 2),
    (TensorType::Q4_0, 2, "Q4_0", 32, 18),
    (TensorType::Q4_1, 3, "Q4_1", 32, 20),
    (TensorType::Q5_0, 6, "Q5_0", 32, 22),
    (TensorType::Q5_1, 7, "Q5_1", 32, 24),
    (TensorType::Q8_0, 8, "Q8_0", 32, 34),
    (TensorType::Q2K, 10, "Q2_K", 256, 84),
    (TensorType::Q3K, 11, "Q3_K", 256, 110),
    (TensorType::Q4K, 12, "Q4_K", 256, 144),
    (TensorType::Q5K, 13, "Q5_K", 256, 176),
    (TensorType::Q6K, 14, "Q6_K", 256, 210),
];

/// Types that are known by name only.
const OTHERS: [(u32, &str); 23] = [
    (4, "Q4_2"),
    (5, "Q4_3"),
    (9, "Q8_1"),
    (15, "Q8_K"),
    (16, "IQ2_XXS"),
    (17, "IQ2_XS"),
    (18, "IQ3_XXS"),
    (19, "IQ1_S"),
    (20, "IQ4_NL"),
    (21, "IQ3_S"),
    (22, "IQ2_S"),
    (23, "IQ4_XS"),
    (24, "I8"),
    (25, "I16"),
    (26, "I32"),
    (27, "I64"),
    (28, "F64"),
    (29, "IQ1_M"),
    (34, "TQ1_0"),
    (35, "TQ2_0"),
    (39, "MXFP4"),
    (40, "NVFP4"),
    (41, "Q1_0"),
];

impl TensorType {
    /// All types.
    pub const ALL: [Self; TYPES.len()] = {
        let mut all = [Self::F32; TYPES.len()];
        let mut index = 0;
        while index < all.len() {
            all[index] = TYPES[index].0;
            index += 1;
        }
        all
    };

    /// The type that ggml numbers so.
    ///
    /// # Errors
    ///
    /// The name of a type that is not read, and the names of those that are.
    pub fn from_number(number: u32) -> Result<Self, String> {
        if let Some((found, ..)) = TYPES.iter().find(|(_, known, ..)| *known == number) {
            return Ok(*found);
        }
        let name = OTHERS.iter().find(|(known, _)| *known == number).map(|(_, name)| *name);
        let name = name.map_or_else(|| format!("the unknown type {number}"), str::to_string);
        let known = Self::ALL.map(Self::name).join(", ");
        Err(format!("is stored as {name}, which this version does not read; it reads {known}"))
    }

    const fn row(self) -> (Self, u32, &'static str, usize, usize) {
        // The order of the table is that of the variants; `tests` checks it.
        TYPES[self as usize]
    }

    /// As ggml spells it.
    pub const fn name(self) -> &'static str {
        self.row().2
    }

    /// Values of a block.
    pub const fn block_len(self) -> usize {
        self.row().3
    }

    /// Bytes of a block.
    pub const fn block_bytes(self) -> usize {
        self.row().4
    }

    /// Bytes of whole blocks of `values` values.
    pub const fn bytes_of(self, values: usize) -> usize {
        values / self.block_len() * self.block_bytes()
    }
}

impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn each_type_finds_its_own_row() {
        for (kind, number, name, len, bytes) in TYPES {
            assert_eq!(TensorType::from_number(number), Ok(kind));
            assert_eq!((kind.name(), kind.block_len(), kind.block_bytes()), (name, len, bytes));
            assert_eq!(kind.bytes_of(3 * len), 3 * bytes);
        }
        let error = TensorType::from_number(20).unwrap_err();
        assert!(error.contains("IQ4_NL") && error.contains("Q4_K, Q5_K, Q6_K"), "{error}");
        assert!(TensorType::from_number(99).unwrap_err().contains("unknown type 99"));
    }
}
