//! Conversations: rows of messages, rendered by a model's own chat template.
//!
//! | file | what it is |
//! |---|---|
//! | `source` | [`ChatSource`]: where a model's template comes from |
//! | `template` | `ChatTemplate`: a template that can be rendered, within limits |
//! | `generation` | the blocks in which a template marks what the assistant says |
//! | `tokens` | the code within a tag, in tokens |
//! | `parser` | a place among those tokens |
//! | `expressions` | expressions, written as calls of what Python would compute |
//! | `operands` | what stands between their operators |
//! | `statements` | tags, with their expressions |
//! | `operators` | operators as in Python |
//! | `lookup` | attributes, items and slices as in Python |
//! | `number` | numbers, and what a value is, for messages |
//! | `value` | the values of a record as a template sees them |
//! | `lists` | lists, tuples, ranges and views |
//! | `generator` | what is made one by one |
//! | `mapping` | mappings, and what is a key |
//! | `objects` | what an object is: a mapping, or one of Jinja's own |
//! | `comparison` | which values are equal, and which comes first |
//! | `print` | values as Python prints them |
//! | `memory` | how much a rendering may write and make |
//! | `dumps` | the filter `tojson` |
//! | `arguments` | arguments by place or by name |
//! | `methods` | methods of Python's strings, dictionaries and lists |
//! | `characters` | kinds of characters, and their cases, as Python has them |
//! | `texts` | what they make of a text |
//! | `filters` | filters, tests and functions as Jinja has them |
//! | `sequences` | those that select, map, order and group |
//! | `number_filters` | those of numbers |
//! | `format` | `text % values` |
//! | `clock` | [`Clock`]: the date that a template may print |
//! | `messages` | from a record's fields to a `Conversation` |
//! | `marks` | which messages a data set marks as not to be learnt |
//! | `spans` | which part of a rendered conversation is the assistant's |

mod arguments;
mod characters;
mod clock;
mod comparison;
mod dumps;
mod expressions;
mod filters;
mod format;
mod generation;
mod generator;
mod lists;
mod lookup;
mod mapping;
mod marks;
mod memory;
mod messages;
mod methods;
mod number;
mod number_filters;
mod objects;
mod operands;
mod operators;
mod parser;
mod print;
mod sequences;
mod source;
mod spans;
mod statements;
mod template;
mod texts;
mod tokens;
mod value;

pub use clock::Clock;
pub(super) use messages::Conversation;
pub use source::ChatSource;
pub(super) use spans::{continued, learnt};
