//! The values of one column, each with the levels that say where in a row it stands.

use std::collections::VecDeque;

use parquet::{
    column::reader::{ColumnReader, ColumnReaderImpl, get_column_reader},
    data_type::{ByteArray, DataType, FixedLenByteArray, Int96},
    errors::ParquetError,
    file::metadata::ColumnChunkMetaData,
};

use super::{
    pages::{Bits, Pages},
    value::{Meaning, float, old_timestamp},
};
use crate::text::ordered::Ordered;

/// Rows that are decoded at a time.
const ROWS: usize = 64;

/// How far a value, or its absence, is nested in its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Level {
    /// How many of the optional and repeated fields above it are there.
    pub definition: i16,
    /// At which repeated field it begins a new element; 0 for a new row.
    pub repetition: i16,
}

/// The values of one column in a row group, read one after another.
pub(super) struct Column {
    path: String,
    meaning: Meaning,
    reader: ColumnReader,
    deepest: i16,
    levels: VecDeque<Level>,
    values: VecDeque<Result<Ordered, String>>,
}

impl Column {
    /// The column `chunk` of a file of `length` bytes.
    ///
    /// # Errors
    /// What is wrong with the column.
    pub fn new(
        file: &Bits,
        chunk: &ColumnChunkMetaData,
        length: u64,
        meaning: Meaning,
    ) -> Result<Self, String> {
        let column = chunk.column_descr_ptr();
        let path = column.path().string();
        let pages = Pages::new(file, chunk, length).map_err(|error| in_column(&path, error))?;
        Ok(Self {
            path,
            meaning,
            deepest: column.max_def_level(),
            reader: get_column_reader(column, Box::new(pages)),
            levels: VecDeque::new(),
            values: VecDeque::new(),
        })
    }

    /// The levels of the next value, `None` at the end.
    ///
    /// # Errors
    /// What is wrong with the column.
    pub fn peek(&mut self) -> Result<Option<Level>, String> {
        if self.levels.is_empty() {
            self.fill().map_err(|error| in_column(&self.path, error))?;
        }
        Ok(self.levels.front().copied())
    }

    /// The levels of the next value.
    ///
    /// # Errors
    /// What is wrong with the column, and if it has ended.
    pub fn level(&mut self) -> Result<Level, String> {
        self.peek()?.ok_or_else(|| format!("column `{}` ends before its rows do", self.path))
    }

    /// The next value, `null` if it is absent.
    ///
    /// # Errors
    /// What is wrong with the column, and if it has ended.
    pub fn take(&mut self) -> Result<Ordered, String> {
        let level = self.level()?;
        self.levels.pop_front();
        if level.definition < self.deepest {
            return Ok(Ordered::Null);
        }
        let value = self.values.pop_front().unwrap_or(Ok(Ordered::Null));
        value.map_err(|error| format!("column `{}` {error}", self.path))
    }

    fn fill(&mut self) -> Result<(), ParquetError> {
        let meaning = self.meaning;
        let batch = match &mut self.reader {
            ColumnReader::BoolColumnReader(reader) => {
                read(reader, |value| Ok(Ordered::Bool(*value)))
            }
            ColumnReader::Int32ColumnReader(reader) => {
                read(reader, |value| Ok(meaning.of_integer((*value).into())))
            }
            ColumnReader::Int64ColumnReader(reader) => {
                read(reader, |value| Ok(meaning.of_integer(*value)))
            }
            ColumnReader::Int96ColumnReader(reader) => {
                read(reader, |value: &Int96| Ok(old_timestamp(value)))
            }
            ColumnReader::FloatColumnReader(reader) => {
                read(reader, |value| Ok(float(f64::from(*value))))
            }
            ColumnReader::DoubleColumnReader(reader) => read(reader, |value| Ok(float(*value))),
            ColumnReader::ByteArrayColumnReader(reader) => {
                read(reader, |value: &ByteArray| meaning.of_bytes(value.data()))
            }
            ColumnReader::FixedLenByteArrayColumnReader(reader) => {
                read(reader, |value: &FixedLenByteArray| meaning.of_bytes(value.data()))
            }
        };
        let (definitions, repetitions, values) = batch?;
        let count = [definitions.len(), repetitions.len(), values.len()].into_iter().max();
        for at in 0..count.unwrap_or(0) {
            self.levels.push_back(Level {
                definition: definitions.get(at).copied().unwrap_or(self.deepest),
                repetition: repetitions.get(at).copied().unwrap_or(0),
            });
        }
        self.values.extend(values);
        Ok(())
    }
}

fn in_column(path: &str, error: ParquetError) -> String {
    let error = match error {
        ParquetError::General(error) | ParquetError::EOF(error) => error,
        other => other.to_string(),
    };
    format!("column `{path}`: {error}")
}

/// Definition levels, repetition levels, and values.
type Batch = (Vec<i16>, Vec<i16>, Vec<Result<Ordered, String>>);

/// The values of the next rows.
fn read<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    convert: impl Fn(&T::T) -> Result<Ordered, String>,
) -> Result<Batch, ParquetError> {
    let (mut definitions, mut repetitions, mut values) = (Vec::new(), Vec::new(), Vec::new());
    reader.read_records(ROWS, Some(&mut definitions), Some(&mut repetitions), &mut values)?;
    Ok((definitions, repetitions, values.iter().map(convert).collect()))
}
