//! What a training step would cost, before anything is trained: `peft plan`.
//!
//! Counting is done by `peft_models::cost`; docs/PLAN.md says how.
//!
//! | file | contents |
//! |---|---|
//! | [`weightless`] | a model that has sizes alone |
//! | [`rows`] | flags that say what rows would be |
//! | [`planned`] | from settings and a config to a step |
//! | `method` | what a method costs on a model |
//! | `limits` | what is not planned |
//! | [`hardware`] | devices and links by name |
//! | [`measure`] | what products and memory of this machine do in a second |
//! | [`estimate`] | memory, seconds and bytes of that step on a device, and on many |
//! | [`written`] | all of it as text or JSON |

pub mod estimate;
pub mod hardware;
mod limits;
pub mod measure;
mod method;
pub mod planned;
pub mod rows;
pub mod weightless;
pub mod written;
