//! Where the examples of a batch are in its rows.

/// The tokens of one example of a batch: all real tokens of a row or, in a packed row, some of them.
///
/// A block of a packed row sees the virtual tokens of its row and itself, and its positions are
/// those of a row of its own: what a model computes for it does not depend on the other blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// The row.
    pub row: usize,
    /// The column of the first token.
    pub start: usize,
    /// The number of tokens.
    pub len: usize,
}
