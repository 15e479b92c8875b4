//! Files as `torch.save` writes them, opcode by opcode, right and wrong.

/// A zip archive as torch writes it: stored entries, with 32-bit numbers, or 64-bit ones if `wide`.
pub(super) fn zip(entries: &[(&str, &[u8])], wide: bool) -> Vec<u8> {
    let (mut file, mut records) = (Vec::new(), Vec::new());
    for (name, content) in entries {
        let start = file.len() as u32;
        let size = content.len() as u32;
        let crc = crc32fast::hash(content);
        let name_len = name.len() as u16;
        file.extend(b"PK\x03\x04\x00\x00\x08\x08");
        file.extend([0; 18]);
        // Padding, so that the data is aligned.
        file.extend(name_len.to_le_bytes());
        file.extend(6u16.to_le_bytes());
        file.extend(name.as_bytes());
        file.extend(b"FB\x02\x00ZZ");
        file.extend(*content);

        records.extend(b"PK\x01\x02\x00\x00\x00\x00\x08\x08\x00\x00\x00\x00\x00\x00");
        records.extend(crc.to_le_bytes());
        let numbers = if wide { [u32::MAX; 3] } else { [size, size, start] };
        records.extend(numbers[0].to_le_bytes());
        records.extend(numbers[1].to_le_bytes());
        records.extend(name_len.to_le_bytes());
        records.extend(if wide { 28u16 } else { 0 }.to_le_bytes());
        records.extend([0; 10]);
        records.extend(numbers[2].to_le_bytes());
        records.extend(name.as_bytes());
        if wide {
            records.extend(b"\x01\x00\x18\x00");
            for number in [size, size, start] {
                records.extend(u64::from(number).to_le_bytes());
            }
        }
    }
    let (start, size) = (file.len() as u64, records.len() as u64);
    file.extend(records);
    if wide {
        let end = file.len() as u64;
        file.extend(b"PK\x06\x06");
        file.extend([0; 36]);
        file.extend(size.to_le_bytes());
        file.extend(start.to_le_bytes());
        file.extend(b"PK\x06\x07\x00\x00\x00\x00");
        file.extend(end.to_le_bytes());
        file.extend(1u32.to_le_bytes());
    }
    file.extend(b"PK\x05\x06");
    file.extend([0; 8]);
    let short = |number: u64| if wide { u32::MAX } else { number as u32 };
    file.extend(short(size).to_le_bytes());
    file.extend(short(start).to_le_bytes());
    file.extend([0, 0]);
    file
}

/// Opcodes of a pickle.
#[derive(Clone, Default)]
pub(super) struct Pickle(pub(super) Vec<u8>);

impl Pickle {
    pub(super) fn new() -> Self {
        Self(b"\x80\x02".to_vec())
    }

    pub(super) fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    pub(super) fn text(self, text: &str) -> Self {
        let len = (text.len() as u32).to_le_bytes();
        self.raw(b"X").raw(&len).raw(text.as_bytes())
    }

    pub(super) fn int(self, number: i64) -> Self {
        self.raw(b"\x8a\x08").raw(&number.to_le_bytes())
    }

    pub(super) fn global(self, module: &str, name: &str) -> Self {
        self.raw(format!("c{module}\n{name}\n").as_bytes())
    }

    pub(super) fn ints(self, numbers: &[i64]) -> Self {
        numbers.iter().fold(self.raw(b"("), |pickle, number| pickle.int(*number)).raw(b"t")
    }

    /// A tensor on the storage `0`.
    pub(super) fn tensor(
        self,
        kind: &str,
        numel: i64,
        offset: i64,
        shape: &[i64],
        strides: &[i64],
    ) -> Self {
        self.global("torch._utils", "_rebuild_tensor_v2")
            .raw(b"((")
            .text("storage")
            .global("torch", kind)
            .text("0")
            .text("cuda:0")
            .int(numel)
            .raw(b"tQ")
            .int(offset)
            .ints(shape)
            .ints(strides)
            .raw(b"\x89")
            .global("collections", "OrderedDict")
            .raw(b")RtR")
    }

    /// The archive with this program and a storage.
    pub(super) fn file(self, storage: &[u8]) -> Vec<u8> {
        let program = self.raw(b".").0;
        zip(&[("a/data.pkl", &program), ("a/byteorder", b"little"), ("a/data/0", storage)], false)
    }
}

/// The numbers from 0 on, as a storage of f32 has them.
pub(super) fn numbers(count: usize) -> Vec<u8> {
    (0..count).flat_map(|number| (number as f32).to_le_bytes()).collect()
}

/// A file of a view of the first `held` [`numbers`].
pub(super) fn view(
    numel: i64,
    offset: i64,
    shape: &[i64],
    strides: &[i64],
    held: usize,
) -> Vec<u8> {
    Pickle::new().tensor("FloatStorage", numel, offset, shape, strides).file(&numbers(held))
}

/// A file in the format before 1.6, with the storage `0`.
pub(super) fn legacy(object: Pickle, count: u64, values: &[u8]) -> Vec<u8> {
    let sizes = Pickle::new().raw(b"}q\x00(").text("protocol_version").raw(b"q\x01M\xe9\x03");
    let sizes = sizes.text("little_endian").raw(b"q\x02\x88u.").0;
    let names = Pickle::new().raw(b"]q\x00").text("0").raw(b"a.").0;
    [
        b"\x80\x02\x8a\nl\xfc\x9c\x46\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.",
        &sizes[..],
        &object.raw(b".").0,
        &names,
        &count.to_le_bytes(),
        values,
    ]
    .concat()
}
