//! The readers of rows.

use std::{fs, path::Path};

use peft_core::{
    Result,
    text::{ReadOptions, Records, read_records},
};
use peft_tests::vectors;

use crate::readers::{Reader, SMALL, nothing, write};

/// The memory that Zstandard may take: its frames say how far they look back, up to 128 MiB. A buffer of that size, and
/// the one that it grew from.
const WINDOW: usize = 400 << 20;

/// Reads rows of a Parquet file, of which a few bytes may stand for any number that are null.
fn read_parquet(dir: &Path, bytes: &[u8]) -> Result<()> {
    write(dir, "rows.parquet", bytes);
    Records::open(&[dir.join("rows.parquet")], &ReadOptions::default())
        .take(2000)
        .try_for_each(|row| row.map(drop))
}

/// Reads a row beside a description of its data set, which is refused where it does not say what classes are called.
fn read_described(dir: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    write(dir, name, bytes);
    write(dir, "rows.csv", b"text,label\na,1\n");
    let rows = read_records(&dir.join("rows.csv"))?;
    match rows[0].unnamed("label").next() {
        Some(why) => Err(rows[0].error(why)),
        None => Ok(()),
    }
}

fn card(name: &str) -> Vec<u8> {
    fs::read(vectors("data_cards").join(name)).unwrap()
}

fn parquet(names: &[&str]) -> Vec<Vec<u8>> {
    let file = |name: &&str| fs::read(vectors(&format!("parquet/{name}.parquet"))).unwrap();
    names.iter().map(file).collect()
}

pub fn readers() -> Vec<Reader> {
    vec![
        Reader {
            name: "rows.jsonl",
            seeds: vec![
                b"{\"text\": \"the sea\", \"label\": 1}\n\n{\"input_ids\": [1, 2], \"labels\": [1]}\r\n".to_vec(),
                b"\xef\xbb\xbf{\"tokens\": [\"a\", \"b\"], \"tags\": [\"O\", \"B-x\"]}\n".to_vec(),
            ],
            repair: nothing,
            read: |dir, bytes| {
                write(dir, "rows.jsonl", bytes);
                read_records(&dir.join("rows.jsonl")).map(drop)
            },
            allowance: SMALL,
            beside: Vec::new(),
        },
        Reader {
            name: "rows.csv",
            seeds: vec![b"text,label\n\"the \"\"sea\"\", and\nmore\",1\r\nis,2\n".to_vec()],
            repair: nothing,
            read: |dir, bytes| {
                write(dir, "rows.csv", bytes);
                read_records(&dir.join("rows.csv")).map(drop)
            },
            allowance: SMALL,
            beside: Vec::new(),
        },
        Reader {
            name: "rows.json",
            seeds: vec![
                b"[\n{\"text\": \"the sea \\ud83d\", \"label\": NaN},\n{\"text\": 1e999}]".to_vec(),
                b"{\"n\": 2, \"data\": [{\"text\": \"a\"}, {\"text\": \"b\"}]}".to_vec(),
                b"{\"text\": [\"a\", \"b\"], \"label\": [0, 1]}".to_vec(),
                b"{\"text\": {\"0\": \"a\", \"1\": \"b\"}}".to_vec(),
                b"{\"columns\": [\"text\"], \"index\": [0, 1], \"data\": [[\"a\"], [\"b\"]]}".to_vec(),
                b"{\"data\": [{\"paragraphs\": [{\"context\": \"c\", \"qas\": [{\"question\": \"q\"}]}]}]}".to_vec(),
            ],
            repair: nothing,
            read: |dir, bytes| {
                write(dir, "rows.json", bytes);
                read_records(&dir.join("rows.json")).map(drop)
            },
            allowance: SMALL,
            beside: Vec::new(),
        },
        Reader {
            name: "rows.jsonl.gz",
            seeds: vec![
                b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xab\x56\x2a\x49\xad\x28\x51\xb2\x52\x50\x2a\xc9\x48\x55\x28\
                \x4e\x4d\x54\xd2\x51\x50\xca\x49\x4c\x4a\xcd\x01\x8a\x19\xd6\x72\x55\xc3\xe5\x33\x8b\x15\x92\x72\x4a\
                \x53\x91\xe5\x0d\x6a\xb9\x00\xe4\x67\x9f\x3b\x40\x00\x00\x00"
                    .to_vec(),
            ],
            repair: nothing,
            read: |dir, bytes| {
                write(dir, "rows.jsonl.gz", bytes);
                read_records(&dir.join("rows.jsonl.gz")).map(drop)
            },
            allowance: SMALL,
            beside: Vec::new(),
        },
        Reader {
            name: "rows.jsonl.zst",
            seeds: vec![
                b"\x28\xb5\x2f\xfd\x24\x40\x95\x01\x00\xa2\xc2\x09\x10\xc0\xeb\x26\x4b\x94\xb9\xa0\xe0\xff\xfd\xac\x3c\
                \x39\x6e\xe9\x01\xb6\xc2\x11\x92\x1e\x63\x4b\xf4\x8c\x27\x03\x5d\xe0\xf1\xd3\x97\x74\xcf\x99\x9e\x56\
                \x01\x02\x00\x80\x1b\x8c\x4d\x3d\x01\x92\xef\x8a\x15"
                    .to_vec(),
                b"\x28\xb5\x2f\xfd\x04\x58\xa5\x01\x00\xa4\x02\x7b\x22\x74\x65\x78\x74\x22\x3a\x20\x22\x74\x68\x65\x20\
                \x73\x65\x61\x22\x2c\x20\x22\x6c\x61\x62\x65\x6c\x22\x3a\x20\x31\x7d\x0a\x69\x73\x20\x62\x6c\x75\x65\
                \x30\x7d\x0a\x02\x00\x80\x1b\x8c\x4d\x3d\x01\x92\xef\x8a\x15"
                    .to_vec(),
            ],
            repair: nothing,
            read: |dir, bytes| {
                write(dir, "rows.jsonl.zst", bytes);
                read_records(&dir.join("rows.jsonl.zst")).map(drop)
            },
            allowance: WINDOW,
            beside: Vec::new(),
        },
        Reader {
            name: "rows.conll",
            seeds: vec![
                b"-DOCSTART- -X- O\n\nMia NNP B-PER\nlives VBZ O\n\n# id 1\nsea NN O\n".to_vec(),
                b"1\tAm\tO\tO\n2\tMeer\tB-LOC\tO\n\n1\tDa\tO\tO\n".to_vec(),
            ],
            repair: nothing,
            read: |dir, bytes| {
                write(dir, "rows.conll", bytes);
                read_records(&dir.join("rows.conll")).map(drop)
            },
            allowance: SMALL,
            beside: Vec::new(),
        },
        Reader {
            name: "README.md of a data set",
            seeds: ["labels", "tags", "configs"].map(|name| card(&format!("{name}/README.md"))).into(),
            repair: nothing,
            read: |dir, bytes| read_described(dir, "README.md", bytes),
            allowance: SMALL,
            beside: Vec::new(),
        },
        Reader {
            name: "dataset_infos.json",
            seeds: vec![card("legacy/dataset_infos.json")],
            repair: nothing,
            read: |dir, bytes| read_described(dir, "dataset_infos.json", bytes),
            allowance: SMALL,
            beside: Vec::new(),
        },
        Reader {
            name: "rows.parquet",
            seeds: parquet(&["labels", "nested", "nested-v2", "types"]),
            repair: nothing,
            read: read_parquet,
            allowance: SMALL,
            beside: Vec::new(),
        },
        Reader {
            name: "rows.parquet, Zstandard",
            seeds: parquet(&["tags", "encodings"]),
            repair: nothing,
            read: read_parquet,
            allowance: WINDOW,
            beside: Vec::new(),
        },
    ]
}
