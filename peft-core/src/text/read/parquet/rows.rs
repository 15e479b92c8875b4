//! The rows of a Parquet file, one row group after another.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::Arc,
};

use parquet::file::metadata::ParquetMetaData;
use serde_json::Value;

use super::{
    class_names,
    column::Column,
    file::{check, damaged, metadata},
    pages::Bits,
    schema::Schema,
};
use crate::{
    error::{Error, Result},
    text::{
        ordered::Ordered,
        read::{options::Notes, source},
        record::{Aside, Record},
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
        let (metadata, length) = guarded(&shown, || metadata(&shown, &file))?;
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
        let mut aside = Aside { class_names: class_names::of(about), ..Aside::default() };
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
        guarded(&path, || self.advance())
    }

    fn advance(&mut self) -> Result<Option<Record>> {
        while self.left <= 0 {
            if self.group == self.metadata.num_row_groups() {
                return Ok(None);
            }
            let group = self.metadata.row_group(self.group);
            let column = |&(number, meaning)| {
                Column::new(&self.file, group.column(number), self.length, meaning)
                    .map_err(|what| damaged(&self.path, &what))
            };
            self.columns = self.schema.columns.iter().map(column).collect::<Result<_>>()?;
            self.left = group.num_rows();
            self.group += 1;
        }
        self.left -= 1;
        self.row += 1;
        let row = self
            .read()
            .map_err(|what| damaged(&self.path, &format!("row {}: {what}", self.row)))?;
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
    fn read(&mut self) -> Result<Ordered, String> {
        for column in &mut self.columns {
            if column.level()?.repetition != 0 {
                return Err("has lists of other lengths in other columns".to_owned());
            }
        }
        let fields = self.schema.fields.iter();
        let row: Vec<_> = fields
            .map(|(name, field)| Ok((name.clone(), field.read(&mut self.columns)?)))
            .collect::<Result<_, String>>()?;
        if self.left == 0 {
            for column in &mut self.columns {
                if column.peek()?.is_some() {
                    return Err("is the last of its group, but columns have more values".to_owned());
                }
            }
        }
        Ok(Ordered::Object(row))
    }
}

/// Runs a piece of the library, which ends in a panic where it meets what its own checks should have refused.
fn guarded<T>(path: &Path, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let panicked = |_| Err(damaged(path, "values are not where the metadata says"));
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(panicked)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use parquet::{
        data_type::Int32Type, file::writer::SerializedFileWriter,
        schema::parser::parse_message_type,
    };
    use serde_json::json;

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
