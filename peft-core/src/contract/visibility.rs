//! The positions of the entries of a pass, and which keys each query sees; computed on the host
//! from masks.
//!
//! Columns are keys: virtual tokens, then cached tokens, then the rows' own. A layer without
//! virtual tokens has only the rightmost of them.

use burn::tensor::{Bool, Device, Int, Tensor, TensorData};

use super::{
    block::Block,
    mask::Mask,
    virtual_tokens::{PrefixPositions, VirtualTokens},
};

/// Positions and visibility of one pass.
#[derive(Clone, Debug)]
pub(crate) struct Visibility {
    /// The number of distinct rows: B, or 1 if all rows are alike.
    rows: usize,
    /// The number of queries, S.
    queries: usize,
    /// The number of keys, P + T + S.
    columns: usize,
    /// The number of leading columns that are virtual tokens, P.
    virtual_tokens: usize,
    /// The number of leading columns that a relative position bias does not cover.
    unbiased: usize,
    /// `[rows, columns]`; 0 where padded.
    positions: Vec<i64>,
    /// `[rows, columns]`.
    real: Vec<bool>,
    causal: bool,
    /// Of packed rows, `[rows, S]`: the first of the row's own columns that an entry sees.
    first_seen: Option<Vec<usize>>,
    /// With an infix, `[rows]`: the first of the row's own columns that sees it; those before it do not.
    /// `None` where all see the virtual tokens.
    behind: Option<Vec<usize>>,
    /// Whether the virtual tokens stand behind tokens of the rows.
    is_infix: bool,
}

/// The distance of each key from each query, from which a relative position bias is computed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distances {
    /// The number of distinct rows: B, or 1.
    pub rows: usize,
    /// The number of queries, S.
    pub queries: usize,
    /// The number of keys, P + T + S.
    pub columns: usize,
    /// `[rows, S, columns]`: the position of the key minus that of the query; `None` where there is
    /// no bias.
    pub values: Vec<Option<i64>>,
}

impl Visibility {
    pub(crate) fn new(
        read: &Mask,
        mask: &Mask,
        virtual_tokens: &VirtualTokens,
        causal: bool,
    ) -> Self {
        Self::with(read, mask, (None, None), virtual_tokens, causal)
    }

    /// Of rows of a decoder, with real entries `mask`, that follow the tokens `read`. The virtual tokens
    /// stand behind so many tokens of each row, `infix` `[B]`, those read before included.
    pub(crate) fn around(
        read: &Mask,
        mask: &Mask,
        infix: &[usize],
        virtual_tokens: &VirtualTokens,
    ) -> Self {
        Self::with(read, mask, (None, Some(infix)), virtual_tokens, true)
    }

    /// Of packed rows of a decoder, with real entries `mask`: each of their `blocks` sees the
    /// virtual tokens and itself, and its positions follow those of the virtual tokens.
    pub(crate) fn packed(mask: &Mask, blocks: &[Block], virtual_tokens: &VirtualTokens) -> Self {
        Self::with(&Mask::full(1, 0), mask, (Some(blocks), None), virtual_tokens, true)
    }

    fn with(
        read: &Mask,
        mask: &Mask,
        (blocks, infix): (Option<&[Block]>, Option<&[usize]>),
        virtual_tokens: &VirtualTokens,
        causal: bool,
    ) -> Self {
        let virtual_mask = virtual_tokens.mask();
        let padded = !(mask.all() && read.all() && virtual_mask.all());
        let places_differ =
            infix.is_some_and(|places| places.windows(2).any(|pair| pair[0] != pair[1]));
        let differ = padded || blocks.is_some() || places_differ;
        let rows = if differ { mask.rows() } else { mask.rows().min(1) };
        let columns = virtual_mask.len() + read.len() + mask.len();
        let mask_of_row =
            |mask: &Mask, row: usize| mask.row(if mask.rows() == 1 { 0 } else { row }).to_vec();
        let (queries, before_own) = (mask.len(), columns - mask.len());
        let first_seen = blocks.map(|blocks| first_seen(rows, queries, blocks));
        let begins = |row: usize, column: usize| {
            let of_row = first_seen.as_ref().map(|first_seen| &first_seen[row * queries..]);
            let own = column.checked_sub(before_own);
            of_row.zip(own).is_some_and(|(of_row, own)| of_row[own] == own)
        };
        let mut positions = Vec::with_capacity(rows * columns);
        let mut real = Vec::with_capacity(rows * columns);
        let mut behind = vec![queries; rows];
        for row in 0..rows {
            let own = mask_of_row(&virtual_mask, row);
            // Unshifted virtual tokens are before position 0.
            let count = own.iter().filter(|real| **real).count() as i64;
            let start = match virtual_tokens.positions {
                PrefixPositions::Shifted => 0,
                PrefixPositions::Unshifted => -count,
            };
            // The tokens in front of the virtual ones.
            let ahead = infix.map_or(0, |places| places[row] as i64);
            let mut next = start + ahead;
            for is_real in own {
                positions.push(if is_real { next } else { 0 });
                next += i64::from(is_real);
                real.push(is_real);
            }
            let mut tokens = 0;
            let rest = [mask_of_row(read, row), mask_of_row(mask, row)].concat();
            for (column, is_real) in rest.into_iter().enumerate() {
                if begins(row, virtual_mask.len() + column) {
                    tokens = 0;
                }
                let is_behind = tokens >= ahead;
                if let Some(own) = column.checked_sub(read.len()).filter(|_| is_behind) {
                    behind[row] = behind[row].min(own);
                }
                let position = start + tokens + if is_behind { count } else { 0 };
                positions.push(if is_real { position } else { 0 });
                tokens += i64::from(is_real);
                real.push(is_real);
            }
        }
        let p = virtual_tokens.len();
        let unbiased = if virtual_tokens.relative_bias { 0 } else { p };
        Self {
            rows,
            queries,
            columns,
            virtual_tokens: p,
            unbiased,
            positions,
            real,
            causal,
            first_seen,
            behind: Some(behind).filter(|behind| behind.iter().any(|first| *first > 0)),
            is_infix: infix.is_some(),
        }
    }

    /// The number of keys: virtual tokens, tokens read before, and the rows' own.
    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    /// P + T: the number of keys before the rows' own.
    fn before(&self) -> usize {
        self.columns - self.queries
    }

    /// The positions of each row's own entries, `[batch, S]`.
    pub(crate) fn positions(&self, batch: usize, device: &Device) -> Tensor<2, Int> {
        self.positions_without(&vec![false; batch * self.queries], batch, device)
    }

    /// As [`positions`](Self::positions), but of the real entries those in `uncounted` `[batch, S]` take none: they are at -1,
    /// and those behind them count on without them.
    pub(crate) fn positions_without(
        &self,
        uncounted: &[bool],
        batch: usize,
        device: &Device,
    ) -> Tensor<2, Int> {
        let mut values = Vec::with_capacity(batch * self.queries);
        for row in 0..batch {
            let start = if self.rows == batch { row } else { 0 } * self.columns;
            let own = start + self.before()..start + self.columns;
            let entries = self.positions[own.clone()].iter().zip(&self.real[own]);
            let mut skipped = 0;
            for (query, (position, is_real)) in entries.enumerate() {
                let is_skipped = *is_real && uncounted[row * self.queries + query];
                skipped += i64::from(is_skipped);
                values.push(match (is_real, is_skipped) {
                    (true, true) => -1,
                    (true, false) => position - skipped,
                    (false, _) => *position,
                });
            }
        }
        Tensor::from_data(TensorData::new(values, [batch, self.queries]), device)
    }

    /// The attention mask `[rows, 1, S, columns]`, `true` = hidden, or `None` if every key is visible
    /// to every query. With a `window`, keys that many or more positions before their query are
    /// hidden too.
    pub(crate) fn masked(&self, window: Option<usize>, device: &Device) -> Option<Tensor<4, Bool>> {
        // The largest possible distance is that of the last query from the first key.
        let window = window.filter(|window| *window < self.columns).map(|window| window as i64);
        let all_real = self.real.iter().all(|real| *real);
        let few = !self.causal || self.queries <= 1;
        let all_see = self.first_seen.is_none() && self.behind.is_none();
        if all_real && window.is_none() && few && all_see {
            return None;
        }
        let before = self.before();
        let mut masked = Vec::with_capacity(self.rows * self.queries * self.columns);
        for row in 0..self.rows {
            let start = row * self.columns;
            let real = &self.real[start..start + self.columns];
            let positions = &self.positions[start..start + self.columns];
            // Padding behind a row sees what its last entry sees, so that no key is computed for it alone.
            let mut position = 0;
            for query in 0..self.queries {
                if real[before + query] {
                    position = positions[before + query];
                }
                // Those of an infix that stands behind the query.
                let later = match &self.behind {
                    Some(behind) if query < behind[row] => self.virtual_tokens,
                    _ => 0,
                };
                let hidden = |key: usize| {
                    !real[key]
                        || key < later
                        || window.is_some_and(|window| position - positions[key] >= window)
                };
                let seen = &self.first_seen;
                let first = seen.as_ref().map_or(0, |seen| seen[row * self.queries + query]);
                let end = if self.causal { before + query + 1 } else { self.columns };
                let all = masked.len() + self.columns;
                masked.extend((0..before).map(hidden));
                masked.resize(masked.len() + first, true);
                masked.extend((before + first..end).map(hidden));
                masked.resize(all, true);
            }
        }
        let shape = [self.rows, 1, self.queries, self.columns];
        Some(Tensor::from_data(TensorData::new(masked, shape), device))
    }

    /// As [`masked`](Self::masked), but where every row is causal and padded behind its tokens alone, one mask for all
    /// rows, `[1, 1, S, columns]`, which is made on the device. No token sees what stands behind it, be it real or
    /// padding; what is padding sees other padding, too.
    pub(crate) fn masked_alike(
        &self,
        window: Option<usize>,
        device: &Device,
    ) -> Option<Tensor<4, Bool>> {
        if self.queries <= 1 || !self.ends_in_padding_alone() {
            return self.masked(window, device);
        }
        let shape = [1, 1, self.queries, self.columns];
        // A key is hidden from the queries in front of it: where its column is more than P + T behind the query's row.
        let before = self.before() as i64;
        let later = Tensor::<4, Bool>::tril_mask(shape, before, device);
        Some(match window.filter(|window| *window < self.columns) {
            None => later,
            // Between real entries, columns differ as positions do.
            Some(window) => {
                let first_seen = before + 1 - window as i64;
                later.bool_or(Tensor::triu_mask(shape, first_seen, device))
            }
        })
    }

    /// Whether every row is causal, and what is not real stands behind all that is.
    fn ends_in_padding_alone(&self) -> bool {
        let ends = |real: &[bool]| {
            let count = real.iter().take_while(|real| **real).count();
            count >= self.before() && real[count..].iter().all(|real| !real)
        };
        let alone = self.first_seen.is_none() && self.behind.is_none() && !self.is_infix;
        self.causal && alone && self.real.chunks(self.columns.max(1)).all(ends)
    }

    /// The distances. Rows without gaps, whose padding is at the ends only, share those of the
    /// columns. Values at padding, and between the blocks of a packed row, are undefined.
    pub(crate) fn distances(&self) -> Distances {
        let before = self.before();
        let columns: Vec<i64> = (0..self.columns as i64).collect();
        // A block of a packed row has all blocks before it between itself and the virtual tokens, and an
        // infix stands among the tokens.
        let has_gaps = self.first_seen.is_some() || self.is_infix || self.has_gaps();
        let rows = if has_gaps { self.rows } else { self.rows.min(1) };
        let mut values = Vec::with_capacity(rows * self.queries * self.columns);
        for row in 0..rows {
            let positions = match has_gaps {
                true => &self.positions[row * self.columns..(row + 1) * self.columns],
                false => &columns,
            };
            for query in 0..self.queries {
                let position = positions[before + query];
                values.extend(
                    (0..self.columns)
                        .map(|key| (key >= self.unbiased).then(|| positions[key] - position)),
                );
            }
        }
        Distances { rows, queries: self.queries, columns: self.columns, values }
    }

    /// Whether any row has padding between real entries, among those that a bias covers.
    fn has_gaps(&self) -> bool {
        (0..self.rows).any(|row| {
            let biased = row * self.columns + self.unbiased..(row + 1) * self.columns;
            let real = &self.real[biased];
            let first = real.iter().position(|real| *real);
            let last = real.iter().rposition(|real| *real);
            first.zip(last).is_some_and(|(first, last)| real[first..=last].contains(&false))
        })
    }
}

/// For each entry of packed rows `[rows, S]` the column where its block begins. Padding counts as the
/// end of the block before it, so that it sees no more than needed.
fn first_seen(rows: usize, queries: usize, blocks: &[Block]) -> Vec<usize> {
    let mut first_seen = vec![0; rows * queries];
    for block in blocks {
        first_seen[block.row * queries..][block.start..queries].fill(block.start);
    }
    first_seen
}

/// The rightmost `columns` of a mask `[.., all columns]`.
pub(crate) fn rightmost<const D: usize>(
    tensor: Tensor<D, Bool>,
    columns: usize,
) -> Tensor<D, Bool> {
    let extra = tensor.dims()[D - 1] - columns;
    if extra == 0 { tensor } else { tensor.narrow(D - 1, extra, columns) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::contract::{
        batch::{PaddingSide, TokenBatch},
        spec::Site,
        virtual_tokens::{LayerKeyValues, SiteKeyValues},
    };

    fn nothing() -> Mask {
        Mask::full(1, 0)
    }

    fn prefix(p: usize) -> VirtualTokens {
        let zeros = || Tensor::<4>::zeros([1, 1, p, 2], &Device::flex());
        let layers = vec![Some(LayerKeyValues { key: zeros(), value: zeros() })];
        VirtualTokens::key_values(vec![SiteKeyValues { site: Site::DecoderSelf, layers }])
    }

    #[test]
    fn distances_reach_over_the_prefix_or_not() {
        let mask = Mask::full(3, 2);
        let mut past = prefix(2);
        let found = Visibility::new(&nothing(), &mask, &past, true).distances();
        assert_eq!((found.rows, found.queries, found.columns), (1, 2, 4));
        let some = |values: [i64; 4]| values.map(Some);
        assert_eq!(found.values, [some([-2, -1, 0, 1]), some([-3, -2, -1, 0])].concat());
        // Where positions start makes no difference to distances.
        past.positions = PrefixPositions::Unshifted;
        assert_eq!(
            Visibility::new(&nothing(), &mask, &past, true).distances().values,
            found.values
        );
        past.relative_bias = false;
        let found = Visibility::new(&nothing(), &mask, &past, true);
        let without = [None, None, Some(0), Some(1), None, None, Some(-1), Some(0)];
        assert_eq!(found.distances().values, without);
        let positions = found.positions(3, &Device::flex()).into_data();
        assert_eq!(positions.iter::<i64>().collect::<Vec<_>>(), [0, 1, 0, 1, 0, 1]);
    }

    /// transformers' `create_position_ids_from_input_ids`, from 0 on: 3 tokens are in front of the rows.
    #[test]
    fn entries_that_do_not_count_are_before_the_first_position() {
        let positions = |rows: &[&[u32]], side| {
            let batch = TokenBatch::new(rows, side);
            let found = Visibility::new(&nothing(), batch.mask(), &prefix(3), false);
            let uncounted: Vec<bool> = batch.ids().iter().map(|id| *id == 1).collect();
            let values = found.positions_without(&uncounted, rows.len(), &Device::flex());
            values.into_data().iter::<i64>().collect::<Vec<_>>()
        };
        let alike: [&[u32]; 2] = [&[0, 5, 1, 6, 2], &[1, 0, 5, 6, 2]];
        assert_eq!(positions(&alike, PaddingSide::Right), [3, 4, -1, 5, 6, -1, 3, 4, 5, 6]);
        let padded: [&[u32]; 2] = [&[0, 5, 1, 6], &[7, 1]];
        assert_eq!(positions(&padded, PaddingSide::Right), [3, 4, -1, 5, 3, -1, 0, 0]);
        assert_eq!(positions(&padded, PaddingSide::Left), [3, 4, -1, 5, 0, 0, 3, -1]);
    }

    #[test]
    fn padding_between_prefix_and_text_is_no_distance() {
        let mask = Mask::new(2, 2, vec![false, true, true, true]).unwrap();
        let found = Visibility::new(&nothing(), &mask, &prefix(1), true).distances();
        assert_eq!(found.values[3..6], [Some(-1), Some(-1), Some(0)]);
    }

    #[test]
    fn rows_padded_at_an_end_share_their_distances() {
        for real in [[true, true, false], [false, true, true]] {
            let mask = Mask::new(2, 3, [[true; 3], real].concat()).unwrap();
            let found =
                Visibility::new(&nothing(), &mask, &VirtualTokens::none(), false).distances();
            let shared =
                Visibility::new(&nothing(), &Mask::full(1, 3), &VirtualTokens::none(), false)
                    .distances();
            assert_eq!(found, shared);
            // After a prefix that the bias covers, left padding is a gap.
            let mut past = prefix(1);
            let rows = |past: &VirtualTokens| {
                Visibility::new(&nothing(), &mask, past, false).distances().rows
            };
            assert_eq!(rows(&past), if real[0] { 1 } else { 2 });
            past.relative_bias = false;
            assert_eq!(rows(&past), 1);
        }
    }

    /// Whatever is padded, read before or windowed: what real entries see is the same, by one mask where padding is at the end.
    #[test]
    fn rows_that_end_in_padding_share_their_mask() {
        let device = Device::flex();
        let mut shared = 0;
        for case in 0usize..600 {
            let (p, t, read) = (case % 4, case / 4 % 5 + 1, case / 20 % 3);
            let lens = [t, case / 60 % (t + 1)];
            let side = if case % 7 == 0 { PaddingSide::Left } else { PaddingSide::Right };
            let own = [vec![7; lens[0]], vec![7; lens[1]]];
            let batch = TokenBatch::new(&[&own[0], &own[1]], side);
            let read_mask = match case % 5 {
                0 => Mask::full(2, read),
                1 if read > 0 => {
                    let second = (0..read).map(|at| at + 1 < read);
                    Mask::new(2, read, vec![true; read].into_iter().chain(second).collect())
                        .unwrap()
                }
                _ => nothing(),
            };
            let mut past = if p > 0 { prefix(p) } else { VirtualTokens::none() };
            if case % 11 == 0 {
                past.positions = PrefixPositions::Unshifted;
            }
            if case % 13 == 0 && p > 1 {
                let mask = (0..p).map(|at| at > 0).collect();
                past = past.with_mask(Mask::new(1, p, mask).unwrap()).unwrap();
            }
            let causal = case % 17 != 0;
            let found = Visibility::new(&read_mask, batch.mask(), &past, causal);
            let columns = found.columns();
            for window in [None, Some(1), Some(2), Some(columns), Some(columns + 3)] {
                let both = [found.masked(window, &device), found.masked_alike(window, &device)];
                let of = |mask: &Option<Tensor<4, Bool>>| match mask {
                    None => (1, vec![false; t * columns]),
                    Some(mask) => {
                        let [rows, _, queries, keys] = mask.dims();
                        assert_eq!((queries, keys), (t, columns));
                        (rows, mask.to_data().iter::<bool>().collect())
                    }
                };
                let [(rows, each), (alike, one)] = both.each_ref().map(of);
                let at = |rows: usize, row: usize| if rows == 1 { 0 } else { row };
                for row in 0..2 {
                    for query in (0..t).filter(|query| batch.mask().row(row)[*query]) {
                        let of = |all: &[bool], rows| {
                            let start = (at(rows, row) * t + query) * columns;
                            all[start..start + columns].to_vec()
                        };
                        assert_eq!(of(&each, rows), of(&one, alike), "{case} {window:?}: {query}");
                    }
                }
                shared += usize::from(rows == 2 && alike == 1);
                // What it is made for: rows padded on the right behind whatever is real.
                let plain = side == PaddingSide::Right && !(case % 13 == 0 && p > 1);
                if causal && t > 1 && plain && read_mask.all() {
                    assert_eq!(alike, 1, "{case} {window:?}");
                }
            }
        }
        assert!(shared > 500, "{shared}");
    }

    #[test]
    fn blocks_of_a_packed_row_see_virtual_tokens_and_themselves() {
        let device = Device::flex();
        let rows: [Vec<&[u32]>; 2] = [vec![&[7, 7], &[7, 7]], vec![&[7], &[7, 7]]];
        for side in [PaddingSide::Right, PaddingSide::Left] {
            let batch = TokenBatch::packed(&rows, side);
            let found = Visibility::packed(batch.mask(), batch.blocks().unwrap(), &prefix(1));
            let positions: Vec<i64> = found.positions(2, &device).into_data().iter().collect();
            assert_eq!(positions[..4], [1, 2, 1, 2]);
            let first = batch.column(1, 0);
            assert_eq!(positions[4 + first..7 + first], [1, 1, 2]);
            let masked: Vec<bool> =
                found.masked(None, &device).unwrap().into_data().iter().collect();
            let (t, f) = (true, false);
            let first_row =
                [[f, f, t, t, t], [f, f, f, t, t], [f, t, t, f, t], [f, t, t, f, f]].concat();
            assert_eq!(masked[..20], first_row);
            // The last token of the second row.
            let last = &masked[20 + 5 * (first + 2)..][..5];
            assert!(!last[0] && last[1 + first] && !last[2 + first] && !last[3 + first]);
            let distances = found.distances();
            assert_eq!(distances.rows, 2);
            // The third query: the virtual token, and itself.
            let third = &distances.values[10..15];
            assert_eq!((third[0], third[3]), (Some(-1), Some(0)));
            let in_window: Vec<bool> =
                found.masked(Some(1), &device).unwrap().into_data().iter().collect();
            assert_eq!(in_window[15..20], [t, t, t, t, f]);
        }
    }

    fn infix(mask: &[bool]) -> VirtualTokens {
        let mut made = prefix(mask.len());
        made.infix = true;
        made.with_mask(Mask::new(1, mask.len(), mask.to_vec()).unwrap()).unwrap()
    }

    #[test]
    fn an_infix_is_seen_by_what_stands_behind_it() {
        let device = Device::flex();
        // Tokens of the rows: x is padding. The first has two in front of the infix, the second none.
        let mask = Mask::new(2, 4, vec![true, true, true, true, false, true, true, true]).unwrap();
        let found = Visibility::around(&nothing(), &mask, &[2, 0], &infix(&[true, false]));
        let positions: Vec<i64> = found.positions(2, &device).into_data().iter().collect();
        assert_eq!(positions, [0, 1, 3, 4, 0, 1, 2, 3]);
        let masked: Vec<bool> = found.masked(None, &device).unwrap().into_data().iter().collect();
        let (t, f) = (true, false);
        let first =
            [[t, t, f, t, t, t], [t, t, f, f, t, t], [f, t, f, f, f, t], [f, t, f, f, f, f]];
        assert_eq!(masked[..24], first.concat());
        // As behind a prefix.
        let front =
            [[f, t, t, t, t, t], [f, t, t, f, t, t], [f, t, t, f, f, t], [f, t, t, f, f, f]];
        assert_eq!(masked[24..], front.concat());
        // Of the distances, that of the virtual token counts from where it stands.
        assert_eq!(found.distances().values[12], Some(-1));
        let in_window: Vec<bool> =
            found.masked(Some(2), &device).unwrap().into_data().iter().collect();
        assert_eq!(in_window[12..24], [[f, t, t, t, f, t], [t, t, t, t, f, f]].concat());
    }

    /// What follows the tokens that were read: all of it is behind the infix, whose place the window counts from.
    #[test]
    fn an_infix_among_tokens_that_were_read_is_seen_by_all() {
        let device = Device::flex();
        let next = Mask::full(1, 1);
        let found = Visibility::around(&Mask::full(1, 3), &next, &[2], &infix(&[true, true]));
        assert_eq!(found.positions(1, &device).into_data().iter::<i64>().next(), Some(5));
        assert!(found.masked(None, &device).is_none());
        let masked = found.masked(Some(3), &device).unwrap().into_data();
        let (t, f) = (true, false);
        assert_eq!(masked.iter::<bool>().collect::<Vec<_>>(), [t, f, t, t, f, f]);
    }

    /// By loops over positions and tokens, whatever is padded, masked or read before.
    #[test]
    fn an_infix_is_masked_as_its_definition_says() {
        let device = Device::flex();
        for case in 0u32..400 {
            let bit = |at: u32| case.wrapping_mul(2_654_435_761).rotate_left(at * 3) & 4 == 0;
            let (p, t, place) = (case % 3 + 1, case / 3 % 4 + 1, case as usize / 7 % 4);
            let of_virtual: Vec<bool> = (0..p).map(|at| at == 0 || bit(at)).collect();
            let read: Vec<bool> = (0..case / 11 % 3).map(|at| bit(at + 5)).collect();
            let own: Vec<bool> = (0..t).map(|at| bit(at + 9)).collect();
            let [read_mask, own_mask] =
                [&read, &own].map(|mask| Mask::new(1, mask.len(), mask.clone()).unwrap());
            let virtual_tokens = infix(&of_virtual);
            let found = Visibility::around(&read_mask, &own_mask, &[place], &virtual_tokens);
            let counted = of_virtual.iter().filter(|real| **real).count();
            let all = [read.clone(), own.clone()].concat();
            let before = |at: usize| all[..at].iter().filter(|real| **real).count();
            let position = |at: usize| match before(at) {
                tokens if tokens < place => tokens,
                tokens => tokens + counted,
            };
            let positions: Vec<i64> = found.positions(1, &device).into_data().iter().collect();
            let masked = found.masked(None, &device).map(|masked| masked.into_data());
            let masked: Vec<bool> = match &masked {
                Some(masked) => masked.iter().collect(),
                None => vec![false; own.len() * (of_virtual.len() + all.len())],
            };
            let rows = masked.chunks(of_virtual.len() + all.len());
            for ((query, is_real), masked) in own.iter().enumerate().zip(rows) {
                let at = read.len() + query;
                if !is_real {
                    continue;
                }
                assert_eq!(positions[query] as usize, position(at), "{case}");
                for (key, is_real) in of_virtual.iter().enumerate() {
                    let sees = *is_real && before(at) >= place;
                    assert_eq!(masked[key], !sees, "{case}: virtual token {key} from {query}");
                }
                for (key, is_real) in all.iter().enumerate() {
                    let sees = *is_real && key <= at;
                    assert_eq!(masked[of_virtual.len() + key], !sees, "{case}: {key} from {query}");
                }
            }
        }
    }

    #[test]
    fn a_window_hides_what_is_that_far_behind() {
        let device = Device::flex();
        let visibility = Visibility::new(&nothing(), &Mask::full(1, 3), &prefix(1), true);
        let masked = visibility.masked(Some(2), &device).unwrap().into_data();
        let rows =
            [[false, false, true, true], [true, false, false, true], [true, true, false, false]];
        assert_eq!(masked.iter::<bool>().collect::<Vec<_>>(), rows.concat());
        // A window that covers everything changes nothing, even for a single query.
        let single = Visibility::new(&nothing(), &Mask::full(1, 1), &prefix(3), true);
        assert!(
            single.masked(Some(4), &device).is_none() && single.masked(Some(3), &device).is_some()
        );
        // Nor does one that no signed number holds.
        assert!(single.masked(Some(usize::MAX), &device).is_none());
    }
}
