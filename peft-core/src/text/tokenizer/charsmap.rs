//! SentencePiece's normaliser tables: what must hold before the library uses one.
//!
//! A table is a trie (a double array of 32-bit units) behind its size in bytes, and texts that end
//! with a zero byte. The library allocates as much as the size claims, and follows the units of the
//! trie unchecked, in every text that it normalises.

use tokenizers::normalizers::Precompiled;

/// Reads a table.
///
/// # Errors
/// Says what is wrong with it.
pub(super) fn read(table: &[u8]) -> Result<Precompiled, String> {
    let size = table.first_chunk().map_or(0, |size| u32::from_le_bytes(*size));
    if size as usize > table.len() {
        return Err(format!("its normaliser table claims {size} bytes, but is shorter"));
    }
    let read = Precompiled::from(table);
    let read = read.map_err(|error| format!("its normaliser table: {error}"))?;
    let (trie, texts) = table[4..].split_at(size as usize / 4 * 4);
    let units: Vec<u32> = trie
        .chunks_exact(4)
        .map(|unit| u32::from_le_bytes([unit[0], unit[1], unit[2], unit[3]]))
        .collect();
    let texts = std::str::from_utf8(texts).map_err(|error| error.to_string())?;
    match is_sound(&units, texts) {
        true => Ok(read),
        false => Err("its normaliser table points outside itself".into()),
    }
}

/// Whether every path through the trie stays in it, and ends at a text.
fn is_sound(units: &[u32], texts: &str) -> bool {
    let offset = |unit: u32| ((unit >> 10) << ((unit & (1 << 9)) >> 6)) as usize;
    let Some(root) = units.first() else { return false };
    let mut seen = vec![false; units.len()];
    let mut nodes = vec![offset(*root)];
    while let Some(node) = nodes.pop() {
        for byte in 1..=255 {
            let at = node ^ byte as usize;
            let Some(&unit) = units.get(at) else { return false };
            if unit & (1 << 31 | 0xff) != byte || seen[at] {
                continue;
            }
            seen[at] = true;
            let child = at ^ offset(unit);
            if unit & 1 << 8 != 0 {
                let Some(leaf) = units.get(child) else { return false };
                if !texts.is_char_boundary((leaf & !(1 << 31)) as usize) {
                    return false;
                }
            }
            nodes.push(child);
        }
    }
    true
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// A trie of one entry: the byte `a` leads to a text at `text`.
    fn table(text: u32, texts: &[u8]) -> Vec<u8> {
        let mut units = vec![0; 512];
        // The root's children are at 256 ^ byte, and the leaf of `a` is at its own offset.
        units[0] = 256 << 10;
        let at = 256 ^ usize::from(b'a');
        let leaf = 256_usize;
        units[at] = ((at ^ leaf) as u32) << 10 | 1 << 8 | u32::from(b'a');
        units[leaf] = 1 << 31 | text;
        let units = units.into_iter().flat_map(u32::to_le_bytes);
        let size = 2048_u32.to_le_bytes();
        size.into_iter().chain(units).chain(texts.iter().copied()).collect()
    }

    #[test]
    fn a_sound_table_normalises() {
        let read = read(&table(2, b"x\0yz\0")).unwrap();
        assert_eq!(read.normalize_string("ab"), "yzb");
    }

    #[test]
    fn tables_that_point_outside_are_refused() {
        assert!(read(&table(3, "é\0".as_bytes())).is_ok());
        for (text, texts) in [(4, "é\0"), (1, "é\0"), (1 << 30, "")] {
            let error = read(&table(text, texts.as_bytes())).unwrap_err();
            assert_eq!(error, "its normaliser table points outside itself");
        }
        let mut far = table(0, b"x\0");
        far[4..8].copy_from_slice(&(4096_u32 << 10).to_le_bytes());
        assert!(read(&far).unwrap_err().contains("points outside"));
        let mut long = table(0, b"x\0");
        long[..4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(read(&long).unwrap_err().contains("claims 4294967295 bytes, but is shorter"));
        assert!(read(b"").is_err() && read(&[0; 4]).is_err());
    }
}
