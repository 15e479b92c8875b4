//! What flags share.
//!
//! | file | contents |
//! |---|---|
//! | [`method_name`] | the methods by name, and their defaults |
//! | [`choices`] | values that are chosen by name |
//! | [`decoding`] | the flags of generation |
//! | [`help`] | defaults and names in help texts |

pub mod choices;
pub mod decoding;
pub mod help;
pub mod method_name;
