//! The rows of a Parquet file, one row group after another.

use std::{path::Path, sync::Arc};

use parquet::file::metadata::{FileMetaData, ParquetMetaData};
use serde_json::Value;

use super::{
    bits::Bits,
    column::Column,
    fault::Fault,
    file::{check, metadata},
    schema::Schema,
};
use crate::{
    error::{Error, Result},
    guard::guarded,
    text::{
        ordered::Ordered,
        read::{class_names::of_metadata, options::Notes, source},
        record::{Aside, ClassNames, Record},
    },
};

/// The records of a Parquet file, read one at a time. A page of each column is in memory.
pub(in crate::text::read) struct ParquetRecords {
    path: Arc<Path>,
    file: Bits,
    length: u64,
    metadata: ParquetMetaData,
    schema: Schema,
    aside: Option<Arc<Aside>>,
    /// The row group that comes next.
    group: usize,
    /// The columns of this one, and its rows that are still to come.
    columns: Vec<Column>,
    left: i64,
    /// Rows that were read.
    row: usize,
}

impl ParquetRecords {
    /// Opens a file, or standard input for `-`; messages call it `shown`.
    ///
    /// # Errors
    /// [`Error::Read`] if it cannot be read, [`Error::File`] naming what keeps it from being read.
    pub fn open(path: &Path, shown: Arc<Path>, notes: &mut Notes) -> Result<Self> {
        let file = Bits::new(source::open_seekable(path).map_err(Error::read(&shown))?);
        let (metadata, length) = guarded(|| metadata(&shown, &file), || misplaced(&shown))?;
        let about = metadata.file_metadata();
        let schema = Schema::of(about.schema_descr()).map_err(|what| Error::file(&shown, what))?;
        let groups = metadata.row_groups().iter();
        let rows = groups.fold(0i64, |rows, group| rows.saturating_add(group.num_rows()));
        if schema.columns.is_empty() && rows > 0 {
            return Err(Error::file(&shown, "has no column of text or numbers"));
        }
        metadata.row_groups().iter().try_for_each(|group| check(&shown, group, &schema))?;
        notes.say(
            "Parquet has no lines: where a message names one, it is the number of the row".into(),
        );
        let mut aside = Aside { class_names: class_names(about, &shown), ..Aside::default() };
        if !schema.binary.is_empty() {
            let names = schema.binary.join(", ");
            let said = format!("not read, since it is not marked as text or numbers: {names}");
            notes.say(said.clone());
            aside.hint = Some(said);
        }
        let aside = Some(aside).filter(|aside| *aside != Aside::default()).map(Arc::new);
        let (group, columns, left, row) = (0, Vec::new(), 0, 0);
        Ok(Self { path: shown, file, length, metadata, schema, aside, group, columns, left, row })
    }

    /// The next record, `None` at the end of the file.
    ///
    /// # Errors
    /// [`Error::File`] naming the column that is damaged, or how it is compressed.
    pub fn next(&mut self) -> Result<Option<Record>> {
        let path = self.path.clone();
        guarded(|| self.advance(), || misplaced(&path))
    }

    fn advance(&mut self) -> Result<Option<Record>> {
        while self.left <= 0 {
            if self.group == self.metadata.num_row_groups() {
                return Ok(None);
            }
            let group = self.metadata.row_group(self.group);
            let column = |&(number, meaning)| {
                Column::new(&self.file, group.column(number), self.length, meaning)
                    .map_err(|fault| fault.of(&self.path))
            };
            self.columns = self.schema.columns.iter().map(column).collect::<Result<_>>()?;
            self.left = group.num_rows();
            self.group += 1;
        }
        self.left -= 1;
        self.row += 1;
        let row = self.read();
        let row = row.map_err(|fault| fault.within(&format!("row {}", self.row)).of(&self.path))?;
        let fields = match row.to_value() {
            Value::Object(fields) => fields,
            _ => Default::default(),
        };
        let mut record = Record::new(self.path.clone(), self.row, fields);
        if record.is_conversation() {
            record.ordered = Some(Arc::new(row));
        }
        record.aside = self.aside.clone();
        Ok(Some(record))
    }

    /// Reads a row.
    fn read(&mut self) -> Result<Ordered, Fault> {
        for column in &mut self.columns {
            if column.level()?.repetition != 0 {
                return Err("has lists of other lengths in other columns".into());
            }
        }
        let fields = self.schema.fields.iter();
        let row: Vec<_> = fields
            .map(|(name, field)| Ok((name.clone(), field.read(&mut self.columns)?)))
            .collect::<Result<_, Fault>>()?;
        if self.left == 0 {
            for column in &mut self.columns {
                if column.peek()?.is_some() {
                    return Err("is the last of its group, but columns have more values".into());
                }
            }
        }
        Ok(Ordered::Object(row))
    }
}

/// The classes that `datasets` names in its own description of the file.
fn class_names(about: &FileMetaData, path: &Arc<Path>) -> Vec<ClassNames> {
    let mut entries = about.key_value_metadata().into_iter().flatten();
    let description = entries.find(|entry| entry.key == "huggingface");
    let named = description.and_then(|entry| entry.value.as_deref()).map(of_metadata);
    let known = |(field, names)| ClassNames { field, names, source: path.clone() };
    named.into_iter().flatten().map(known).collect()
}

fn misplaced(path: &Path) -> Error {
    Fault::from("values are not where the metadata says").of(path)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use parquet::{
        basic::CompressionCodec,
        data_type::Int32Type,
        file::{
            metadata::{
                ColumnChunkMetaData, FileMetaData, ParquetMetaDataWriter, RowGroupMetaData,
            },
            writer::SerializedFileWriter,
        },
        schema::{parser::parse_message_type, types::SchemaDescriptor},
    };
    use serde_json::json;

    use super::*;
    use crate::text::read::records::tests::{failure, read};

    /// A file of columns of numbers: each with its values, definition levels and repetition levels.
    fn file(schema: &str, columns: &[(&[i32], &[i16], &[i16])]) -> Vec<u8> {
        let schema = parse_message_type(&format!("message schema {{ {schema} }}")).unwrap().into();
        let mut bytes = Vec::new();
        let mut file = SerializedFileWriter::new(&mut bytes, schema, Default::default()).unwrap();
        let mut group = file.next_row_group().unwrap();
        for (values, definitions, repetitions) in columns {
            let mut column = group.next_column().unwrap().unwrap();
            let given = |levels| Some(levels).filter(|levels: &&[i16]| !levels.is_empty());
            let (definitions, repetitions) = (given(definitions), given(repetitions));
            column.typed::<Int32Type>().write_batch(values, definitions, repetitions).unwrap();
            column.close().unwrap();
        }
        group.close().unwrap();
        file.close().unwrap();
        bytes
    }

    /// A number as Thrift's compact protocol has it.
    fn varint(mut number: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        while number >= 0x80 {
            bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        bytes.push(number as u8);
        bytes
    }

    /// A page, which says that it holds so many values and unpacks to so many bytes.
    fn page(is_dictionary: bool, values: u32, unpacked: usize, bytes: &[u8]) -> Vec<u8> {
        let field = |number: usize| [vec![0x15], varint(number as u32 * 2)].concat();
        let kind = usize::from(is_dictionary) * 2;
        let mut page = [field(kind), field(unpacked), field(bytes.len())].concat();
        page.push(if is_dictionary { 0x4c } else { 0x2c });
        // The encoding: PLAIN, or indices into the dictionary; levels are runs.
        page.extend([field(values as usize), field(if is_dictionary { 0 } else { 8 })].concat());
        if !is_dictionary {
            page.extend([field(3), field(3)].concat());
        }
        [page, vec![0, 0], bytes.to_vec()].concat()
    }

    /// The indices of one row, each of them 0, with the levels of a list where there are some.
    fn indices(count: u32, has_lists: bool) -> Vec<u8> {
        let run = |count: u32, value: u8| [varint(count * 2), vec![value]].concat();
        let levels =
            |levels: Vec<u8>| [(levels.len() as u32).to_le_bytes().to_vec(), levels].concat();
        let mut bytes = Vec::new();
        if has_lists {
            bytes.extend(levels([run(1, 0), run(count - 1, 1)].concat()));
            bytes.extend(levels(run(count, 1)));
        }
        [bytes, vec![1], run(count, 0)].concat()
    }

    /// A file of one column with these pages, the first of them a dictionary.
    fn file_of_pages(
        schema: &str,
        codec: CompressionCodec,
        values: i64,
        pages: &[Vec<u8>],
    ) -> Vec<u8> {
        let schema = parse_message_type(&format!("message schema {{ {schema} }}")).unwrap();
        let schema = Arc::new(SchemaDescriptor::new(Arc::new(schema)));
        let mut bytes = [b"PAR1".to_vec(), pages.concat()].concat();
        let column = ColumnChunkMetaData::builder(schema.column(0))
            .set_compression_codec(codec)
            .set_num_values(values)
            .set_total_compressed_size(bytes.len() as i64 - 4)
            .set_dictionary_page_offset(Some(4))
            .set_data_page_offset(4 + pages[0].len() as i64)
            .build()
            .unwrap();
        let rows = if schema.column(0).max_rep_level() > 0 { 1 } else { values };
        let group = RowGroupMetaData::builder(schema.clone())
            .set_num_rows(rows)
            .set_column_metadata(vec![column])
            .build()
            .unwrap();
        let about = FileMetaData::new(1, rows, None, None, schema, None);
        let metadata = ParquetMetaData::new(about, vec![group]);
        ParquetMetaDataWriter::new(&mut bytes, &metadata).finish().unwrap();
        bytes
    }

    #[test]
    fn small_files_that_hold_much_are_refused() {
        use CompressionCodec::{GZIP, UNCOMPRESSED, ZSTD};
        let text = [&2000u32.to_le_bytes()[..], &[b'a'; 2000]].concat();
        let number = 7u32.to_le_bytes().to_vec();
        for (schema, dictionary, count, expected) in [
            (
                "repeated int32 a;",
                &number,
                20_000_000,
                "is Parquet: row 1: column `a`: a page holds 20000000 values, expected at most 16777216; write it anew",
            ),
            (
                "repeated int32 a;",
                &number,
                5_000_000,
                "is Parquet: row 1: column `a`: the row has more than 4194304 elements; divide the row",
            ),
            (
                "repeated binary a (UTF8);",
                &text,
                300_000,
                "row 1: column `a`: the row has more than 536870912 bytes of text; divide the row",
            ),
        ] {
            let indices = indices(count, true);
            let pages = [
                page(true, 1, dictionary.len(), dictionary),
                page(false, count, indices.len(), &indices),
            ];
            let bytes = file_of_pages(schema, UNCOMPRESSED, count.into(), &pages);
            assert!(bytes.len() < 3000);
            let error = failure("a.parquet", bytes);
            assert!(error.contains(expected), "{error}");
        }
        for codec in [GZIP, ZSTD] {
            let pages = [page(true, 1, 600_000_000, &[0; 99]), page(false, 1, 99, &[0; 99])];
            let error = failure("a.parquet", file_of_pages("required int32 a;", codec, 1, &pages));
            let expected =
                "a page holds 600000000 bytes, expected at most 536870912; write it anew";
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn pages_of_a_row_are_counted_together() {
        let number = 7u32.to_le_bytes();
        let count = 10_000_000;
        let run = |count: u32, value: u8| [varint(count * 2), vec![value]].concat();
        let levels = |run: Vec<u8>| [(run.len() as u32).to_le_bytes().to_vec(), run].concat();
        let more = [levels(run(count, 1)), levels(run(count, 1)), vec![1], run(count, 0)].concat();
        let first = indices(count, true);
        let pages = [
            page(true, 1, number.len(), &number),
            page(false, count, first.len(), &first),
            page(false, count, more.len(), &more),
        ];
        let bytes =
            file_of_pages("repeated int32 a;", CompressionCodec::UNCOMPRESSED, 20_000_000, &pages);
        let error = failure("a.parquet", bytes);
        assert!(error.contains("the row has pages of more than 16777216 values"), "{error}");
    }

    #[test]
    fn a_page_of_many_rows_is_read_row_by_row() {
        let count = 20_000_000;
        let text = [&(1u32 << 24).to_le_bytes()[..], &[b'a'; 1 << 24]].concat();
        let indices = indices(count, false);
        let pages = [page(true, 1, text.len(), &text), page(false, count, indices.len(), &indices)];
        let codec = CompressionCodec::UNCOMPRESSED;
        let bytes = file_of_pages("required binary a (UTF8);", codec, count.into(), &pages);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        let mut records =
            ParquetRecords::open(file.path(), file.path().into(), &mut Notes::default()).unwrap();
        let text = records.next().unwrap().unwrap().text("a").unwrap().to_string();
        assert_eq!(text.len(), 1 << 24);
    }

    const FORMS: &str = "
        optional group plain (LIST) { repeated int32 element; }
        optional group named (LIST) { repeated group array { required int32 x; } }
        optional group nested (LIST) { repeated group array (LIST) { repeated int32 array; } }
        repeated int32 bare;
        optional group map (MAP) { repeated group map (MAP_KEY_VALUE) { required int32 k; optional int32 v; } }";

    #[test]
    fn older_forms_of_lists_are_read() {
        let numbers: &[i32] = &[1, 2, 3];
        // Two rows: two elements, and one; the second map has no value.
        let list: (&[i32], &[i16], &[i16]) = (numbers, &[2, 2, 2], &[0, 1, 0]);
        let columns = [
            list,
            list,
            (&[1, 2, 3], &[3, 3, 3, 1], &[0, 2, 1, 0]),
            (&[7], &[1, 0], &[0, 0]),
            list,
            (&[5, 6], &[3, 3, 2], &[0, 1, 0]),
        ];
        let rows = read("a.parquet", file(FORMS, &columns)).unwrap();
        assert_eq!(
            json!(rows[0].fields),
            json!({"plain": [1, 2], "named": [{"x": 1}, {"x": 2}], "nested": [[1, 2], [3]], "bare": [7],
                "map": {"1": 5, "2": 6}})
        );
        assert_eq!(
            json!(rows[1].fields),
            json!({"plain": [3], "named": [{"x": 3}], "nested": [], "bare": [], "map": {"3": null}})
        );
        assert_eq!(rows[1].line, 2);
    }

    #[test]
    fn columns_that_do_not_make_up_rows_are_refused() {
        let pair = "optional group l (LIST) { repeated group list { required int32 a; required int32 b; } }";
        let two: (&[i32], &[i16], &[i16]) = (&[1, 2], &[2, 2], &[0, 1]);
        let one: (&[i32], &[i16], &[i16]) = (&[1], &[2], &[0]);
        assert!(read("a.parquet", file(pair, &[two, two])).is_ok());
        let error = failure("a.parquet", file(pair, &[two, one]));
        assert!(
            error.contains("row 1: has lists of other lengths in other columns; fetch it again"),
            "{error}"
        );
        let same =
            file("required int32 a; required int32 a;", &[(&[1], &[], &[]), (&[2], &[], &[])]);
        assert!(failure("a.parquet", same).contains("has two columns of the name `a`"));
    }

    #[test]
    fn a_file_that_is_cut_off_is_told() {
        let bytes = file("required int32 a;", &[(&[1, 2], &[], &[])]);
        assert_eq!(read("a.parquet", &bytes).unwrap().len(), 2);
        for end in 4..bytes.len() {
            let error = failure("a.parquet", &bytes[..end]);
            assert!(error.contains("Parquet"), "{end}: {error}");
        }
        assert!(failure("a.parquet", &bytes[..20]).contains("the file is cut off; fetch it again"));
        let sealed = [&bytes[..bytes.len() - 4], b"PARE"].concat();
        assert!(failure("a.parquet", sealed).contains("is encrypted Parquet; write it without"));
        assert!(
            failure("a.parquet", "x").contains("the name of a Parquet file, but does not begin")
        );
    }
}
