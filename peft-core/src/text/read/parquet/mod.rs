//! Parquet files: columns of values, read row by row.
//!
//! The `parquet` crate reads a file's metadata and decodes the values of a page. What is here: pages are unpacked to
//! what they hold, never to a length that they only claim, and rows are put together from columns, which that crate
//! does rightly only for Arrow.
//!
//! Limits, so that a small file takes no more memory than its rows: a page unpacks to 512 MiB at most, a page of lists
//! holds 16 Mi values at most, and one row has 4 Mi elements and 512 MiB of text in a column at most.
//!
//! | file | what it is |
//! |---|---|
//! | `rows` | [`ParquetRecords`]: the rows of a file |
//! | `file` | a file's metadata, and what keeps it from being read |
//! | `fault` | what keeps the values of a file from being read |
//! | `schema` | how the columns of a file make up a row |
//! | `column` | the values of one column, with their levels |
//! | `bits` | the bytes of a file, for all columns |
//! | `pages` | the pages of a column, unpacked |
//! | `page_header` | what stands before a page |
//! | `value` | a value as JSON has it |
//! | `calendar` | days and times as text |

mod bits;
mod calendar;
mod column;
mod fault;
mod file;
mod page_header;
mod pages;
mod rows;
mod schema;
mod value;

pub(super) use rows::ParquetRecords;
