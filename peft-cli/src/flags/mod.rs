//! What flags share.
//!
//! | file | contents |
//! |---|---|
//! | [`method_name`] | the methods by name, and their defaults |
//! | [`reparameterization`] | what makes the rows of a prompt in training |
//! | [`byte_size`] | numbers of bytes |
//! | [`choices`] | values that are chosen by name |
//! | [`escapes`] | texts with a backslash where the end of a line was meant |
//! | [`everywhere`] | the flags of every command |
//! | [`given`] | flags that are no settings, for a command that goes on |
//! | [`decoding`] | the flags of generation |
//! | [`outputs`] | what the outputs of a classifier are |
//! | [`field_flags`] | fields of configs that are flags of another name |
//! | [`help`] | defaults and names in help texts |

pub mod byte_size;
pub mod choices;
pub mod decoding;
pub mod escapes;
pub mod everywhere;
pub mod field_flags;
pub mod given;
pub mod help;
pub mod method_name;
pub mod outputs;
pub mod reparameterization;
