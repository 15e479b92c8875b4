//! Products of a few rows, as a step of generation makes them: the matrix comes from memory, each line of it once and in the
//! order in which it is stored, and the rows are laid out in its place, term by term, in panels of 32.
//!
//! Panels of the matrix, as in [`product_by_tiles`](super::product::product_by_tiles), would be used by two or three tiles
//! only, and lines of it would be asked for one by one. The order of additions is the same, and so are all bits.
//!
//! | file | what it is |
//! |---|---|
//! | `rows` | the rows, laid out |
//! | `product` | which way a product goes |
//! | `by_columns` | of matrices whose columns are stored one after another, as PyTorch's weights are |
//! | `by_rows` | of those whose rows are, as GPT-2's weights are, and all in the backward pass |

mod by_columns;
mod by_rows;
mod product;
mod rows;

pub(super) use product::product;
pub(super) use rows::MOST;
