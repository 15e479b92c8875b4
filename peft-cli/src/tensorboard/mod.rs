//! Scores by step as TensorBoard reads them: event files, that is, records of TFRecord that hold messages of protobuf.
//!
//! | file | contents |
//! |---|---|
//! | `record` | the frame of a record, with its sums |
//! | `event` | [`Event`]: a message |
//! | `writer` | [`EventWriter`]: the file of a run |

mod event;
mod record;
mod writer;

pub use event::Event;
pub use writer::{EventWriter, is_of_run};
