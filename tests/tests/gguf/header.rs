//! Headers: what they hold, and what is wrong with those that are refused.

use std::{fs, path::Path};

use peft_core::formats::gguf::{Array, Gguf, TensorType, Value};

/// A header under construction.
#[derive(Default)]
pub(super) struct Header {
    tensors: u64,
    entries: u64,
    metadata: Vec<u8>,
    infos: Vec<u8>,
}

pub(super) fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()
}

impl Header {
    pub(super) fn with(mut self, key: &str, kind: u32, value: &[u8]) -> Self {
        self.entries += 1;
        self.metadata.extend([&text(key)[..], &kind.to_le_bytes(), value].concat());
        self
    }

    pub(super) fn tensor(mut self, name: &str, sizes: &[u64], kind: u32, offset: u64) -> Self {
        self.tensors += 1;
        self.infos.extend(text(name));
        self.infos.extend((sizes.len() as u32).to_le_bytes());
        sizes.iter().for_each(|size| self.infos.extend(size.to_le_bytes()));
        self.infos.extend(kind.to_le_bytes());
        self.infos.extend(offset.to_le_bytes());
        self
    }

    /// The file with `data` bytes of tensors.
    pub(super) fn file(&self, data: usize) -> Vec<u8> {
        let mut bytes = [&b"GGUF\x03\0\0\0"[..], &self.tensors.to_le_bytes()].concat();
        bytes.extend(self.entries.to_le_bytes());
        bytes.extend(&self.metadata);
        bytes.extend(&self.infos);
        bytes.resize(bytes.len().next_multiple_of(32), 0);
        bytes.resize(bytes.len() + data, 7);
        bytes
    }
}

fn open(bytes: &[u8]) -> Result<Gguf, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.gguf");
    fs::write(&path, bytes).unwrap();
    Gguf::open(&path).map_err(|error| error.to_string().replace(&path.display().to_string(), "m"))
}

#[test]
fn metadata_of_every_type_and_tensors_are_found() {
    let list = |kind: u32, count: u64, bytes: &[u8]| {
        [&kind.to_le_bytes()[..], &count.to_le_bytes(), bytes].concat()
    };
    let header = Header::default()
        .with("u8", 0, &[200])
        .with("i8", 1, &[200])
        .with("u16", 2, &[1, 2])
        .with("i16", 3, &[255, 255])
        .with("u32", 4, &[0, 0, 0, 128])
        .with("i32", 5, &[0, 0, 0, 128])
        .with("f32", 6, &1.5f32.to_le_bytes())
        .with("bool", 7, &[1])
        .with("text", 8, &text("é"))
        .with("u64", 10, &u64::MAX.to_le_bytes())
        .with("i64", 11, &i64::MIN.to_le_bytes())
        .with("f64", 12, &0.1f64.to_le_bytes())
        .with("i32s", 9, &list(5, 2, &[1, 0, 0, 0, 255, 255, 255, 255]))
        .with("f32s", 9, &list(6, 1, &2.5f32.to_le_bytes()))
        .with("bools", 9, &list(7, 2, &[0, 1]))
        .with("texts", 9, &list(8, 2, &[text("a"), text("")].concat()))
        .with("lists", 9, &list(9, 1, &list(0, 2, &[3, 4])))
        .tensor("w", &[64, 2], 8, 0)
        .tensor("b", &[4], 0, 160);
    let file = header.file(176);
    let gguf = open(&file).unwrap();
    let expected = [
        ("u8", Value::Unsigned(200)),
        ("i8", Value::Signed(-56)),
        ("u16", Value::Unsigned(513)),
        ("i16", Value::Signed(-1)),
        ("u32", Value::Unsigned(1 << 31)),
        ("i32", Value::Signed(-(1 << 31))),
        ("f32", Value::Float(1.5)),
        ("bool", Value::Bool(true)),
        ("text", Value::Text("é".into())),
        ("u64", Value::Unsigned(u64::MAX)),
        ("i64", Value::Signed(i64::MIN)),
        ("f64", Value::Float(0.1)),
        ("i32s", Value::Array(Array::Signed(vec![1, -1]))),
        ("f32s", Value::Array(Array::Floats(vec![2.5]))),
        ("bools", Value::Array(Array::Bools(vec![false, true]))),
        ("texts", Value::Array(Array::Texts(vec!["a".into(), String::new()]))),
        ("lists", Value::Array(Array::Arrays(vec![Array::Unsigned(vec![3, 4])]))),
    ];
    assert_eq!(gguf.metadata().len(), expected.len());
    for (key, value) in expected {
        assert_eq!(gguf.get(key), Some(&value), "{key}");
    }
    let [w, b] = gguf.tensors() else { panic!("two tensors") };
    let start = (file.len() - 176) as u64;
    assert_eq!(
        (&w.shape[..], w.kind, w.offset, w.bytes),
        (&[2, 64][..], TensorType::Q8_0, start, 136)
    );
    assert_eq!(
        (&b.shape[..], b.kind, b.offset, b.bytes),
        (&[4][..], TensorType::F32, start + 160, 16)
    );
    assert!(gguf.text("u8").unwrap_err().to_string().ends_with("found 200, expected a text"));
    assert_eq!(gguf.number("none").unwrap(), None);
}

#[test]
fn what_is_wrong_is_said() {
    let whole = Header::default().tensor("w", &[32], 8, 0).file(34);
    assert!(open(&whole).is_ok());
    let version = |bytes: [u8; 4]| [b"GGUF", &bytes[..], &whole[8..]].concat();
    let twice = Header::default().tensor("w", &[1], 0, 0).tensor("w", &[1], 0, 4);
    let huge = u64::MAX.to_le_bytes();
    let short = "m: ends at 97 bytes, before the end of tensor `w`: it is not whole: copy or download it again";
    for (file, expected) in [
        (b"GGML\0\0\0\0".to_vec(), "m: is not a GGUF file, which begins with the letters GGUF"),
        (b"GG".to_vec(), "m: is not a GGUF file, which begins with the letters GGUF"),
        (
            version([0, 0, 0, 3]),
            "m: is a big-endian GGUF file, and only little-endian ones are read: convert it with gguf_convert_endian.py of llama.cpp",
        ),
        (version([1, 0, 0, 0]), "m: is GGUF of version 1, expected 2 or 3: make it anew"),
        (version([7, 0, 0, 0]), "m: is GGUF of version 7, expected 2 or 3"),
        (whole[..40].to_vec(), "m: ends inside its header, after 40 bytes"),
        (whole[..whole.len() - 1].to_vec(), short),
        (
            [&whole[..8], &huge, &whole[16..]].concat(),
            "m: says that it holds 18446744073709551615 tensors, but has room for 3",
        ),
        (
            Header::default().with("k", 8, &huge).file(0),
            "m: says that it holds 18446744073709551615 letters of a text, but has room for 19, in \"k\"",
        ),
        (
            Header::default().with("k", 13, &[]).file(0),
            "m: holds a value of the unknown type 13, in \"k\"",
        ),
        (
            Header::default().with("k", 8, &[&1u64.to_le_bytes()[..], &[255]].concat()).file(0),
            "m: holds a text that is not UTF-8: \\xff, in \"k\"",
        ),
        (
            Header::default().with("k", 7, &[0]).with("k", 7, &[0]).file(0),
            "m: holds the metadata \"k\" twice",
        ),
        (
            Header::default().with("general.alignment", 4, &[3, 0, 0, 0]).file(0),
            "m: has a general.alignment that is no power of two",
        ),
        (
            Header::default().tensor("w", &[32], 20, 0).file(34),
            "m: holds tensor `w`, which is stored as IQ4_NL, which this version does not read; it \
             reads F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K",
        ),
        (
            Header::default().tensor("w", &[33], 8, 0).file(34),
            "m: holds tensor `w`, which has rows of 33 values, and Q8_0 stores blocks of 32",
        ),
        (
            Header::default().tensor("w", &[], 8, 0).file(34),
            "m: holds tensor `w`, which has 0 dimensions",
        ),
        (
            Header::default().tensor("w", &[1 << 40, 1 << 40], 8, 0).file(34),
            "m: holds tensor `w`, which has the impossible sizes [1099511627776, 1099511627776]",
        ),
        (
            Header::default().tensor("w", &[32], 8, u64::MAX).file(34),
            "m: ends at 98 bytes, before the end of tensor `w`: it is not whole: copy or download it again",
        ),
        (
            b"version https://git-lfs.github.com/spec/v1\nsize 98\n".to_vec(),
            "m: is a Git LFS pointer, not the file itself (98 bytes expected): run `git lfs pull` in the \
             repository that it is from",
        ),
        (twice.file(8), "m: tensor `w`: is there twice"),
    ] {
        assert_eq!(open(&file).unwrap_err(), expected);
    }
}

#[test]
fn the_parts_of_a_split_file_are_read_from_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let part = |number: u8, name: &str| {
        let header = Header::default()
            .with("split.no", 2, &[number, 0])
            .with("split.count", 2, &[2, 0])
            .tensor(name, &[1], 0, 0);
        header.file(4)
    };
    fs::write(at("m-00001-of-00002.gguf"), part(0, "a")).unwrap();
    fs::write(at("m-00002-of-00002.gguf"), part(1, "b")).unwrap();
    fs::write(at("m.gguf"), part(0, "a")).unwrap();
    let gguf = Gguf::open(&at("m-00001-of-00002.gguf")).unwrap();
    let found = gguf.tensors().iter().map(|tensor| (tensor.name.as_str(), tensor.part));
    assert_eq!(found.collect::<Vec<_>>(), [("a", 0), ("b", 1)]);
    assert_eq!(gguf.parts(), [at("m-00001-of-00002.gguf"), at("m-00002-of-00002.gguf")]);

    let error = |name: &str| error_in(dir.path(), &at(name));
    assert_eq!(
        error("m-00002-of-00002.gguf"),
        "DIR/m-00002-of-00002.gguf: is one of the 2 parts of a split GGUF file; expected the first, \
         DIR/m-00001-of-00002.gguf"
    );
    assert_eq!(
        error("m.gguf"),
        "DIR/m.gguf: is the first of 2 parts, and its name does not end in -00001-of-00002.gguf, \
         from which the names of the others follow"
    );
    fs::write(at("m-00002-of-00002.gguf"), part(0, "b")).unwrap();
    assert_eq!(
        error("m-00001-of-00002.gguf"),
        "DIR/m-00002-of-00002.gguf: is not part 2 of 2, as its name says"
    );
    fs::remove_file(at("m-00002-of-00002.gguf")).unwrap();
    assert!(error("m-00001-of-00002.gguf").starts_with("cannot read DIR/m-00002-of-00002.gguf: "));
}

fn error_in(dir: &Path, path: &Path) -> String {
    let error = Gguf::open(path).unwrap_err().to_string();
    error.replace(&dir.display().to_string(), "DIR")
}
