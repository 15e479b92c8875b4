//! Conversations: rows of messages, rendered by a model's own chat template.
//!
//! | file | what it is |
//! |---|---|
//! | `source` | [`ChatSource`]: where a model's template comes from |
//! | `template` | `ChatTemplate`: a template that can be rendered, within limits |
//! | `generation` | the blocks in which a template marks what the assistant says |
//! | `value` | values as a template sees them, printed as Python prints them |
//! | `dumps` | the filter `tojson` |
//! | `methods` | methods of Python's strings, dictionaries and lists |
//! | `filters` | filters and tests as Jinja has them |
//! | `clock` | [`Clock`]: the date that a template may print |
//! | `messages` | from a record's fields to a `Conversation` |
//! | `spans` | which part of a rendered conversation is the assistant's |

mod clock;
mod dumps;
mod filters;
mod generation;
mod messages;
mod methods;
mod source;
mod spans;
mod template;
mod value;

pub use clock::Clock;
pub(super) use messages::Conversation;
pub use source::ChatSource;
pub(super) use spans::{continued, learnt};
