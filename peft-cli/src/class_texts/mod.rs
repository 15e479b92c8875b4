//! Classes that a language model writes: `True`, `entailment`.
//!
//! | file | contents |
//! |---|---|
//! | [`scores`] | what is right of the classes found, with answers that are none |
//! | [`written`] | the classes in texts that were generated |
//! | [`referents`] | what a pronoun stands for, in such texts |
//! | [`ranked`] | the likeliest class, without generating |

pub mod ranked;
pub mod referents;
pub mod scores;
pub mod written;
