//! The values of one column, each with the levels that say where in a row it stands.

use std::collections::VecDeque;

use parquet::{
    column::reader::{ColumnReader, ColumnReaderImpl, get_column_reader},
    data_type::{ByteArray, DataType},
    errors::ParquetError,
    file::metadata::ColumnChunkMetaData,
};

use super::{
    bits::Bits,
    fault::Fault,
    pages::{Budget, LARGEST_PAGE, Pages},
    value::{Meaning, float, old_timestamp},
};
use crate::text::ordered::Ordered;

/// Rows that are decoded at a time, of a column without lists. Of others it is one, since a row may be long.
const ROWS: usize = 64;
/// Elements that one row may have in a column.
const MOST_ELEMENTS: usize = 1 << 22;

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
    has_lists: bool,
    /// What the pages of one row may hold.
    budget: Budget,
    levels: VecDeque<Level>,
    values: VecDeque<Raw>,
}

/// A value as it was decoded.
enum Raw {
    Plain(Ordered),
    /// Bytes of the page. A text is made of them when its row is read: a dictionary has one text for many rows.
    Bytes(ByteArray),
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
    ) -> Result<Self, Fault> {
        let column = chunk.column_descr_ptr();
        let path = column.path().string();
        let pages = Pages::new(file, chunk, length).map_err(|error| in_column(&path, error))?;
        Ok(Self {
            path,
            meaning,
            deepest: column.max_def_level(),
            has_lists: column.max_rep_level() > 0,
            budget: pages.budget(),
            reader: get_column_reader(column, Box::new(pages)),
            levels: VecDeque::new(),
            values: VecDeque::new(),
        })
    }

    /// The levels of the next value, `None` at the end.
    ///
    /// # Errors
    /// What is wrong with the column.
    pub fn peek(&mut self) -> Result<Option<Level>, Fault> {
        if self.levels.is_empty() {
            self.fill().map_err(|error| in_column(&self.path, error))?;
        }
        Ok(self.levels.front().copied())
    }

    /// The levels of the next value.
    ///
    /// # Errors
    /// What is wrong with the column, and if it has ended.
    pub fn level(&mut self) -> Result<Level, Fault> {
        self.peek()?.ok_or_else(|| format!("column `{}` ends before its rows do", self.path).into())
    }

    /// The next value, `null` if it is absent.
    ///
    /// # Errors
    /// What is wrong with the column, and if it has ended.
    pub fn take(&mut self) -> Result<Ordered, Fault> {
        let level = self.level()?;
        self.levels.pop_front();
        if level.definition < self.deepest {
            return Ok(Ordered::Null);
        }
        match self.values.pop_front() {
            None => Ok(Ordered::Null),
            Some(Raw::Plain(value)) => Ok(value),
            Some(Raw::Bytes(bytes)) => self
                .meaning
                .of_bytes(bytes.data())
                .map_err(|error| format!("column `{}` {error}", self.path).into()),
        }
    }

    /// Decodes the next rows.
    fn fill(&mut self) -> Result<(), ParquetError> {
        let meaning = self.meaning;
        let rows = if self.has_lists { 1 } else { ROWS };
        let plain = |value| Raw::Plain(value);
        let integer = |value: i64| Raw::Plain(meaning.of_integer(value));
        self.budget.begin();
        let (definitions, repetitions, values) = match &mut self.reader {
            ColumnReader::BoolColumnReader(reader) => {
                read(reader, rows, |value| plain(Ordered::Bool(value)))
            }
            ColumnReader::Int32ColumnReader(reader) => {
                read(reader, rows, |value| integer(value.into()))
            }
            ColumnReader::Int64ColumnReader(reader) => read(reader, rows, integer),
            ColumnReader::Int96ColumnReader(reader) => {
                read(reader, rows, |value| plain(old_timestamp(&value)))
            }
            ColumnReader::FloatColumnReader(reader) => {
                read(reader, rows, |value| plain(float(f64::from(value))))
            }
            ColumnReader::DoubleColumnReader(reader) => {
                read(reader, rows, |value| plain(float(value)))
            }
            ColumnReader::ByteArrayColumnReader(reader) => read(reader, rows, Raw::Bytes),
            ColumnReader::FixedLenByteArrayColumnReader(reader) => {
                read(reader, rows, |value| Raw::Bytes(value.into()))
            }
        }?;
        let bytes = |value: &Raw| match value {
            Raw::Bytes(bytes) => bytes.len(),
            Raw::Plain(_) => 0,
        };
        if self.has_lists && values.iter().map(bytes).sum::<usize>() > LARGEST_PAGE {
            return Err(large_row(format!("more than {LARGEST_PAGE} bytes of text")));
        }
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

fn in_column(path: &str, error: ParquetError) -> Fault {
    let fault = match error {
        ParquetError::General(error) | ParquetError::EOF(error) => Fault::Damaged(error),
        ParquetError::External(error) => match error.downcast::<Fault>() {
            Ok(fault) => *fault,
            Err(other) => Fault::Damaged(other.to_string()),
        },
        other => Fault::Damaged(other.to_string()),
    };
    fault.within(&format!("column `{path}`"))
}

fn large_row(has: String) -> ParquetError {
    ParquetError::External(Box::new(Fault::LargeRow(format!("the row has {has}"))))
}

/// Definition levels, repetition levels, and values.
type Batch = (Vec<i16>, Vec<i16>, Vec<Raw>);

/// The values of the next rows.
fn read<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    rows: usize,
    convert: impl Fn(T::T) -> Raw,
) -> Result<Batch, ParquetError> {
    let (mut definitions, mut repetitions, mut values) = (Vec::new(), Vec::new(), Vec::new());
    reader.read_records(rows, Some(&mut definitions), Some(&mut repetitions), &mut values)?;
    if definitions.len().max(values.len()) > MOST_ELEMENTS {
        return Err(large_row(format!("more than {MOST_ELEMENTS} elements")));
    }
    Ok((definitions, repetitions, values.into_iter().map(convert).collect()))
}
