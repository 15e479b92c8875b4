//! Parquet files that pyarrow wrote are read as the same rows in JSON Lines.
//!
//! Vectors: `python/make_parquet.py`.

use peft_core::text::{ReadOptions, Record, Records, read_records};
use peft_tests::vectors;

fn rows(name: &str) -> Vec<Record> {
    read_records(&vectors("parquet").join(name)).unwrap()
}

fn same(parquet: &str, json: &str) {
    let (found, expected) = (rows(parquet), rows(json));
    assert_eq!(found.len(), expected.len(), "{parquet}");
    for (row, (found, expected)) in found.iter().zip(&expected).enumerate() {
        assert_eq!(found.fields, expected.fields, "{parquet}, row {row}");
        assert_eq!(found.ordered, expected.ordered, "{parquet}, row {row}");
        assert_eq!(found.line, row + 1);
    }
}

#[test]
fn values_of_every_type_are_those_of_python() {
    same("types.parquet", "types.jsonl");
    same("labels.parquet", "labels.jsonl");
    same("tags.parquet", "tags.jsonl");
}

#[test]
fn nested_rows_are_put_together() {
    same("nested.parquet", "nested.jsonl");
    same("nested-v2.parquet", "nested.jsonl");
}

#[test]
fn pages_of_every_encoding_are_decoded() {
    same("encodings.parquet", "encodings.jsonl.gz");
}

#[test]
fn what_is_left_out_is_said() {
    let path = vectors("parquet").join("types.parquet");
    let mut records = Records::open(&[path], &ReadOptions::default());
    let first = records.next().unwrap().unwrap();
    let notes = records.take_notes().join("\n");
    let said = "not read, since it is not marked as text or numbers: raw, image.bytes";
    assert!(notes.contains(said), "{notes}");
    assert!(first.text("raw").unwrap_err().to_string().ends_with(said));
    let refusal = |name| read_records(&vectors("parquet").join(name)).unwrap_err().to_string();
    assert!(refusal("binary.parquet").ends_with("has no column of text or numbers"));
    let packed = refusal("lz4.parquet");
    assert!(
        packed.contains("column `text` is compressed with LZ4_RAW, expected snappy, gzip or zstd"),
        "{packed}"
    );
}

#[test]
fn a_damaged_page_is_told_by_its_checksum() {
    let mut bytes = std::fs::read(vectors("parquet/nested.parquet")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rows.parquet");
    // Within the first page, behind its header.
    bytes[60] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let error = read_records(&path).unwrap_err().to_string();
    assert!(error.contains("rows.parquet: is damaged Parquet: row 1: column `answers."), "{error}");
    assert!(error.contains("the checksum of a page is not that of its bytes"), "{error}");
}
