//! The parameters of prefix methods, and the method that has none.
//!
//! | folder or file | what it is |
//! |---|---|
//! | [`prefix`] | flat keys and values, or the MLP that makes them while training lasts |
//! | [`head_only`] | the head alone: the baseline that every method has to beat |

pub mod head_only;
pub mod prefix;
