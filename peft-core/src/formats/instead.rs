//! What a file of weights is by its first bytes, where it is not what its name says.

/// The first bytes of other kinds of files, what they are, and the way out.
const KINDS: [(&[u8], &str); 8] = [
    (
        b"PK\x03\x04",
        "a zip archive, as torch.save writes it: name it pytorch_model.bin if it holds the model's tensors",
    ),
    (b"GGUF", "a GGUF file: name it so that it ends in .gguf, and give its path"),
    (
        b"\x89HDF",
        "a file of HDF5, as TensorFlow writes it: convert it with transformers 4 and TensorFlow",
    ),
    (
        b"<",
        "a web page, or XML: the download failed, or the address leads to a page about the file",
    ),
    (b"\x1f\x8b", "compressed by gzip: unpack it with gunzip"),
    (b"\x28\xb5\x2f\xfd", "compressed by Zstandard: unpack it with unzstd"),
    (
        b"\x80",
        "a pickle. If you trust it, since reading it runs what is in it, write it anew in Python: \
         torch.save(pickle.load(open(FILE, \"rb\")), \"pytorch_model.bin\")",
    ),
    (b"{", "JSON"),
];

/// What a file that could not be read is, a noun with the way out; `None` if its first bytes do not tell.
pub fn instead(bytes: &[u8]) -> Option<&'static str> {
    // The header's length, in 8 bytes, and the header.
    let is_safetensors = bytes.get(8) == Some(&b'{') && bytes[5..8] == [0; 3];
    if is_safetensors {
        return Some("a safetensors file: name it model.safetensors");
    }
    KINDS.iter().find(|(begin, _)| bytes.starts_with(begin)).map(|(_, what)| *what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_by_their_first_bytes() {
        let safetensors = [&40u64.to_le_bytes()[..], b"{\"a\":"].concat();
        for (bytes, says) in [
            (&b"PK\x03\x04\0\0"[..], Some("as torch.save writes it")),
            (b"GGUF\x03\0\0\0", Some("ends in .gguf")),
            (b"\x89HDF\r\n", Some("TensorFlow")),
            (b"<!DOCTYPE html>", Some("a web page")),
            (b"\x1f\x8b\x08", Some("gunzip")),
            (b"\x80\x04\x95", Some("a pickle")),
            (b"{\"a\": 1}", Some("JSON")),
            (&safetensors, Some("name it model.safetensors")),
            (b"PK", None),
            (b"hello", None),
            (b"", None),
        ] {
            let found = instead(bytes);
            assert_eq!(found.is_some(), says.is_some(), "{bytes:?}: {found:?}");
            assert!(says.is_none_or(|says| found.is_some_and(|found| found.contains(says))));
        }
    }
}
