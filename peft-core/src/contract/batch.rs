//! Rows of token ids, padded to one length. They stay on the host: positions and masks are derived
//! from them there, where they are easy to check, and only tensors go to the device.

use std::ops::Range;

use super::{block::Block, mask::Mask, pooling::Pooling};

/// The side of the padding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PaddingSide {
    /// Padding precedes the tokens, so that every row ends at the last column.
    Left,
    /// Padding follows the tokens.
    #[default]
    Right,
}

/// B rows of token ids, padded to T columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenBatch {
    /// Token ids `[B, T]`, row by row; 0 where padded.
    ids: Vec<u32>,
    /// Segment ids `[B, T]`, for models that have them.
    token_types: Option<Vec<u32>>,
    mask: Mask,
    side: PaddingSide,
    /// In order, if rows are packed; otherwise each row is one.
    blocks: Option<Vec<Block>>,
    /// The number of tokens of each row that are its source.
    sources: Option<Vec<usize>>,
    decoder: Option<Box<TokenBatch>>,
    /// Where a classifier of whole rows reads, if nothing else reads the hidden states.
    pooling: Option<Pooling>,
}

impl TokenBatch {
    /// Pads `rows` to the longest of them.
    pub fn new(rows: &[&[u32]], side: PaddingSide) -> Self {
        let len = rows.iter().map(|row| row.len()).max().unwrap_or(0);
        let mut ids = vec![0; rows.len() * len];
        let mut real = vec![false; rows.len() * len];
        for (index, row) in rows.iter().enumerate() {
            let start = index * len + if side == PaddingSide::Left { len - row.len() } else { 0 };
            ids[start..start + row.len()].copy_from_slice(row);
            real[start..start + row.len()].fill(true);
        }
        let mask = Mask { rows: rows.len(), len, real };
        Self {
            ids,
            token_types: None,
            mask,
            side,
            blocks: None,
            sources: None,
            decoder: None,
            pooling: None,
        }
    }

    /// As [`new`](Self::new), for packed rows: each is several examples, one after another. They
    /// stay apart, see [`Block`]. For decoder-only models.
    pub fn packed(rows: &[Vec<&[u32]>], side: PaddingSide) -> Self {
        let joined: Vec<Vec<u32>> = rows.iter().map(|examples| examples.concat()).collect();
        let mut batch = Self::new(&joined.iter().map(Vec::as_slice).collect::<Vec<_>>(), side);
        let mut blocks = Vec::new();
        for (row, examples) in rows.iter().enumerate() {
            let mut start = batch.column(row, 0);
            for example in examples {
                blocks.push(Block { row, start, len: example.len() });
                start += example.len();
            }
        }
        batch.blocks = Some(blocks);
        batch
    }

    /// Adds segment ids, one list per row, as long as the row.
    pub fn with_token_types(mut self, rows: &[&[u32]]) -> Self {
        let mut types = vec![0; self.ids.len()];
        for (row, values) in rows.iter().enumerate() {
            for (index, value) in values.iter().enumerate().take(self.row_len(row)) {
                types[row * self.len() + self.column(row, index)] = *value;
            }
        }
        self.token_types = Some(types);
        self
    }

    /// Says how many tokens of each row, one number per row, are its source; its target follows them. Only
    /// an [infix](super::virtual_tokens::VirtualTokens::infix) depends on it.
    #[must_use]
    pub fn with_sources(mut self, tokens: Vec<usize>) -> Self {
        self.sources = Some(tokens);
        self
    }

    /// Adds the decoder's rows, for encoder-decoders.
    pub fn with_decoder(mut self, decoder: TokenBatch) -> Self {
        self.decoder = Some(Box::new(decoder));
        self
    }

    /// Says that nothing but a classifier of whole rows reads the hidden states of these rows, and where: an encoder's last
    /// layer then computes no others.
    #[must_use]
    pub fn for_classifier(mut self, pooling: Pooling) -> Self {
        self.pooling = Some(pooling);
        self
    }

    /// Pads the rows on their side to `len` columns; a decoder's rows stay as they are, and so do rows that are as long.
    #[must_use]
    pub fn padded_to(mut self, len: usize) -> Self {
        let old = self.len();
        if len <= old {
            return self;
        }
        let in_front = if self.side == PaddingSide::Left { len - old } else { 0 };
        let sizes = (self.rows(), old, len, in_front);
        self.ids = widened(&self.ids, sizes, 0);
        self.token_types = self.token_types.map(|types| widened(&types, sizes, 0));
        let real = widened(&self.mask.real, sizes, false);
        self.mask = Mask { rows: self.mask.rows, len, real };
        for block in self.blocks.iter_mut().flatten() {
            block.start += in_front;
        }
        self
    }

    /// Selects a range of rows, with their padding unchanged.
    #[must_use]
    pub fn part(&self, rows: Range<usize>) -> Self {
        let places = rows.start * self.len()..rows.end * self.len();
        let real = self.mask.real[places.clone()].to_vec();
        let of_part = |blocks: &Vec<Block>| {
            let chosen = blocks.iter().filter(|block| rows.contains(&block.row));
            chosen.map(|block| Block { row: block.row - rows.start, ..*block }).collect()
        };
        let of_rows = |tokens: &Vec<usize>| tokens.get(rows.clone()).unwrap_or_default().to_vec();
        Self {
            ids: self.ids[places.clone()].to_vec(),
            token_types: self.token_types.as_ref().map(|types| types[places].to_vec()),
            mask: Mask { rows: rows.len(), len: self.len(), real },
            side: self.side,
            blocks: self.blocks.as_ref().map(of_part),
            sources: self.sources.as_ref().map(of_rows),
            decoder: self.decoder.as_ref().map(|decoder| Box::new(decoder.part(rows))),
            pooling: self.pooling,
        }
    }

    /// The number of rows, B.
    pub fn rows(&self) -> usize {
        self.mask.rows
    }

    /// The length of the rows, T, padding included.
    pub fn len(&self) -> usize {
        self.mask.len
    }

    /// Whether there are no tokens.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The number of real tokens of a row.
    pub fn row_len(&self, row: usize) -> usize {
        self.mask.count(row)
    }

    /// The number of real tokens of all rows.
    pub fn num_tokens(&self) -> usize {
        self.mask.real.iter().filter(|real| **real).count()
    }

    /// The column of the `index`-th real token of a row.
    pub fn column(&self, row: usize, index: usize) -> usize {
        match self.side {
            PaddingSide::Left => self.len() - self.row_len(row) + index,
            PaddingSide::Right => index,
        }
    }

    /// The number of examples: rows or, if they are packed, blocks.
    pub fn num_examples(&self) -> usize {
        self.blocks.as_ref().map_or(self.rows(), Vec::len)
    }

    /// Where an example is; without packing, all real tokens of the row of that number.
    ///
    /// # Panics
    ///
    /// If there are not so many examples.
    pub fn example(&self, index: usize) -> Block {
        match &self.blocks {
            Some(blocks) => blocks[index],
            None => Block { row: index, start: self.column(index, 0), len: self.row_len(index) },
        }
    }

    /// The blocks of packed rows, row by row; `None` if the rows are not packed.
    pub fn blocks(&self) -> Option<&[Block]> {
        self.blocks.as_deref()
    }

    /// The number of tokens of each row that are its source, if that is known.
    pub fn sources(&self) -> Option<&[usize]> {
        self.sources.as_deref()
    }

    /// Where a classifier of whole rows reads, if nothing else reads the hidden states.
    pub fn pooling(&self) -> Option<Pooling> {
        self.pooling
    }

    /// Which entries are real tokens.
    pub fn mask(&self) -> &Mask {
        &self.mask
    }

    /// Token ids `[B, T]`, row by row.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// Segment ids `[B, T]`, row by row.
    pub fn token_types(&self) -> Option<&[u32]> {
        self.token_types.as_deref()
    }

    /// The rows for which a model returns hidden states: the decoder's if there are any, else
    /// these.
    pub fn output_rows(&self) -> &TokenBatch {
        self.decoder().unwrap_or(self)
    }

    /// The decoder's rows.
    pub fn decoder(&self) -> Option<&TokenBatch> {
        self.decoder.as_deref()
    }
}

/// Rows of `old` values as rows of `len`, in which they begin behind the first `in_front`.
fn widened<T: Copy>(
    values: &[T],
    (rows, old, len, in_front): (usize, usize, usize, usize),
    padding: T,
) -> Vec<T> {
    let mut all = vec![padding; rows * len];
    for row in 0..rows {
        let start = row * len + in_front;
        all[start..start + old].copy_from_slice(&values[row * old..(row + 1) * old]);
    }
    all
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn padding_goes_to_the_side_asked_for() {
        let rows: [&[u32]; 2] = [&[5, 6, 7], &[8]];
        let right = TokenBatch::new(&rows, PaddingSide::Right);
        assert_eq!(right.ids(), [5, 6, 7, 8, 0, 0]);
        assert_eq!(right.column(1, 0), 0);
        let left = TokenBatch::new(&rows, PaddingSide::Left).with_token_types(&[&[0, 1, 1], &[1]]);
        assert_eq!(left.ids(), [5, 6, 7, 0, 0, 8]);
        assert_eq!(left.token_types(), Some([0, 1, 1, 0, 0, 1].as_slice()));
        assert_eq!(left.column(1, 0), 2);
        assert_eq!((left.row_len(1), left.num_tokens()), (1, 4));
        let part = left.with_sources(vec![2, 1]).part(1..2);
        assert_eq!((part.ids(), part.rows(), part.column(0, 0)), ([0, 0, 8].as_slice(), 1, 2));
        assert_eq!((part.sources(), right.sources()), (Some([1].as_slice()), None));
        assert_eq!(part.token_types(), Some([0, 0, 1].as_slice()));
    }

    #[test]
    fn more_padding_moves_nothing_but_columns() {
        let rows: [&[u32]; 2] = [&[5, 6, 7], &[8]];
        for side in [PaddingSide::Right, PaddingSide::Left] {
            let decoder = TokenBatch::new(&[&[1, 2], &[3]], side);
            let types: [&[u32]; 2] = [&[1, 0, 1], &[1]];
            let batch = TokenBatch::new(&rows, side)
                .with_token_types(&types)
                .with_sources(vec![2, 1])
                .with_decoder(decoder.clone());
            let padded = batch.clone().padded_to(5);
            assert_eq!((padded.len(), padded.rows(), padded.num_tokens()), (5, 2, 4));
            for (row, (ids, types)) in rows.iter().zip(types).enumerate() {
                assert_eq!(padded.row_len(row), ids.len());
                for (at, (id, of_type)) in ids.iter().zip(types).enumerate() {
                    let place = row * 5 + padded.column(row, at);
                    assert_eq!((padded.ids()[place], padded.mask().real[place]), (*id, true));
                    assert_eq!(padded.token_types().unwrap()[place], *of_type);
                }
            }
            assert_eq!((padded.sources(), padded.decoder()), (batch.sources(), Some(&decoder)));
            assert_eq!(batch.clone().padded_to(2), batch);
            let packed: [Vec<&[u32]>; 2] = [vec![&[5, 6], &[7]], vec![&[4]]];
            let packed = TokenBatch::packed(&packed, side).padded_to(4);
            for (index, ids) in [vec![5, 6], vec![7], vec![4]].into_iter().enumerate() {
                let Block { row, start, len } = packed.example(index);
                assert_eq!(packed.ids()[4 * row + start..][..len], ids);
                assert!(packed.mask().row(row)[start..start + len].iter().all(|real| *real));
            }
        }
    }

    #[test]
    fn packed_rows_say_where_their_examples_are() {
        let rows: [Vec<&[u32]>; 2] = [vec![&[5, 6], &[7, 8, 9]], vec![&[4], &[3]]];
        let block = |row, start, len| Block { row, start, len };
        for (side, first) in [(PaddingSide::Right, 0), (PaddingSide::Left, 3)] {
            let batch = TokenBatch::packed(&rows, side);
            assert_eq!(&batch.ids()[..5], [5, 6, 7, 8, 9]);
            assert_eq!(&batch.ids()[5 + first..7 + first], [4, 3]);
            let second = [block(1, first, 1), block(1, first + 1, 1)];
            assert_eq!(batch.blocks().unwrap()[..2], [block(0, 0, 2), block(0, 2, 3)]);
            assert_eq!(batch.blocks().unwrap()[2..], second);
            assert_eq!((batch.num_examples(), batch.example(3)), (4, second[1]));
            let part = batch.part(1..2);
            assert_eq!(part.example(1), Block { row: 0, ..second[1] });
        }
        let plain = TokenBatch::new(&[&[1, 2], &[3]], PaddingSide::Left);
        assert_eq!((plain.blocks(), plain.num_examples()), (None, 2));
        assert_eq!(plain.example(1), block(1, 1, 1));
    }
}
