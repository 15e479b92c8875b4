//! What a person sees while the program works, all of it on stderr.
//!
//! | file | contents |
//! |---|---|
//! | [`manners`] | colours, and how much is said |
//! | [`mod@line`] | a line that fits the terminal |
//! | [`fact`] | a named fact, in several lines where it is long |
//! | [`bar`] | a line that is drawn again and again |
//! | [`rows`] | how many rows of a long loop are done |
//! | [`clock`] | times as people read them |
//! | [`memory`] | the memory that the program has |

pub mod bar;
pub mod clock;
pub mod fact;
pub mod line;
pub mod manners;
pub mod memory;
pub mod rows;
