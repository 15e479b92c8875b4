//! The K/V cache: keys and values of the tokens read so far.

use burn::tensor::Tensor;

use super::{mask::Mask, spec::SiteSpec, virtual_tokens::LayerKeyValues};
use crate::error::{Error, Result};

/// The K/V cache: keys and values of real tokens in every self-attention layer.
///
/// [`expecting`](Self::expecting) reserves capacity for later tokens, which are then written in
/// place. An empty cache that expects nothing keeps what it is given unchanged, differentiably.
#[derive(Clone, Debug)]
pub struct TokenCache {
    layers: Vec<Layer>,
    /// Which of the tokens read are real, `[B, T]`.
    mask: Mask,
    /// The number of tokens per row that may still follow.
    expected: usize,
    /// The rows read so far, while the first pass comes in chunks.
    chunks: Option<Chunks>,
    /// Where an infix stands in each row, those of the pass that goes on included.
    infix: Option<Vec<usize>>,
}

/// See [`TokenCache::in_chunks`].
#[derive(Clone, Debug)]
struct Chunks {
    /// The final B.
    rows: usize,
    /// The masks of the rows read so far.
    read: Mask,
}

/// Keys and values of one layer.
#[derive(Clone, Debug)]
struct Layer {
    /// `[B, K, columns, D]` each; the first `used` columns are tokens.
    buffer: LayerKeyValues,
    used: usize,
}

impl Default for TokenCache {
    fn default() -> Self {
        Self { layers: Vec::new(), mask: Mask::full(1, 0), expected: 0, chunks: None, infix: None }
    }
}

impl TokenCache {
    /// Creates an empty cache.
    pub fn new() -> Self {
        Self::default()
    }

    /// Announces that up to `tokens` more tokens will be read in each row.
    #[must_use]
    pub fn expecting(mut self, tokens: usize) -> Self {
        self.expected = tokens;
        self
    }

    /// Announces that the first pass comes in chunks, each with the next few of `rows` rows, all
    /// padded to one length. A pass then needs only the memory of one chunk. Rows cannot be selected
    /// before the last chunk has been read.
    #[must_use]
    pub fn in_chunks(mut self, rows: usize) -> Self {
        self.chunks = Some(Chunks { rows, read: Mask::full(0, 0) });
        self
    }

    /// Says where an infix stands in the rows of the next pass, the first that reads them: behind so many
    /// tokens of each.
    #[must_use]
    pub(crate) fn with_infix(mut self, behind: impl IntoIterator<Item = usize>) -> Self {
        self.infix.get_or_insert_default().extend(behind);
        self
    }

    /// Where an infix stands in the `rows` rows of a pass, if that is known.
    pub(crate) fn infix(&self, rows: usize) -> Option<&[usize]> {
        let all = self.infix.as_deref()?;
        // In chunks of the first pass, the rows of those before come first.
        all.get(all.len().checked_sub(rows)?..)
    }

    /// The number of tokens read, T, padding included.
    pub fn len(&self) -> usize {
        self.mask.len()
    }

    /// Whether nothing has been read.
    pub fn is_empty(&self) -> bool {
        self.mask.is_empty()
    }

    /// Whether [`append`](Self::append) returns the next `tokens` tokens of each row unchanged: in a
    /// chunk of the first pass, or if nothing was read before them and nothing is expected after
    /// them.
    pub fn returns_unchanged(&self, tokens: usize) -> bool {
        self.chunks.is_some() || self.is_empty() && self.expected <= tokens
    }

    /// Which of the tokens are real, `[B, T]`.
    pub fn mask(&self) -> &Mask {
        &self.mask
    }

    /// Appends the keys and values `[B, K, S, D]` that the rows of a pass have in a layer, and
    /// returns them after those of earlier passes: `[B, K, T + S, D]`. Layers must come in order.
    /// In a chunk of the first pass, only the rows of the chunk are given and returned.
    ///
    /// They are written in place if there is capacity and the cache has no clone.
    pub fn append(&mut self, layer: usize, own: LayerKeyValues) -> LayerKeyValues {
        let added = own.key.dims()[2];
        let more = self.expected.saturating_sub(added);
        let old = self.layers.get(layer);
        let used = old.map_or(0, |old| old.used);
        let total = used + added;
        let rows = self.chunks.as_ref().map_or(own.key.dims()[0], |chunks| chunks.rows);
        if self.chunks.is_none() && used == 0 && more == 0 {
            self.layers.push(Layer { buffer: own.clone(), used: added });
            return own;
        }
        if old.is_none_or(|old| old.buffer.key.dims()[2] < total) {
            let spare = if more > 0 || used == 0 { more.min(GROWTH.max(total)) } else { GROWTH };
            let old = old.map(Layer::tokens);
            let grow = |part: fn(&LayerKeyValues) -> &Tensor<4>| {
                buffer_for([rows, total + spare], old.as_ref().map(part).cloned(), part(&own))
            };
            let (key, value) = (grow(|layer| &layer.key), grow(|layer| &layer.value));
            let grown = Layer { buffer: LayerKeyValues { key, value }, used };
            match self.layers.get_mut(layer) {
                Some(found) => *found = grown,
                None => self.layers.push(grown),
            }
        }
        let Some(found) = self.layers.get_mut(layer) else { return own };
        let first = [self.chunks.as_ref().map_or(0, |chunks| chunks.read.rows()), used];
        found.buffer.key.inplace(|buffer| write(buffer, first, own.key.clone()));
        found.buffer.value.inplace(|buffer| write(buffer, first, own.value.clone()));
        found.used = total;
        if self.chunks.is_some() { own } else { found.tokens() }
    }

    /// Checks that the cache can serve a batch of `rows` rows of `len` tokens.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] if the cache holds another number of rows, or the batch is not a chunk
    /// of what was announced.
    pub(crate) fn check(&self, rows: usize, len: usize) -> Result<()> {
        if let Some(chunks) = &self.chunks {
            let before = chunks.read.rows();
            let as_long = before == 0 || chunks.read.len() == len;
            if self.is_empty() && as_long && before + rows <= chunks.rows {
                return Ok(());
            }
            return Err(Error::Mismatch(format!(
                "{rows} rows of {len} tokens are not a chunk of a first pass of {} rows, {before} of which \
                 were read",
                chunks.rows
            )));
        }
        match self.layers.first().map(|layer| layer.buffer.key.dims()[0]) {
            Some(found) if found != rows => Err(Error::Mismatch(format!(
                "a cache of {found} rows cannot serve a batch of {rows} rows"
            ))),
            _ => Ok(()),
        }
    }

    /// Ends a pass, whose rows were `mask` `[B, S]`.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] if the model has not appended the rows exactly once in every layer of
    /// `site`.
    pub(crate) fn end_pass(&mut self, mask: &Mask, site: &SiteSpec) -> Result<()> {
        let total = self.len() + mask.len();
        let columns: Vec<usize> = self.layers.iter().map(|layer| layer.used).collect();
        if columns != vec![total; site.num_layers] {
            return Err(Error::Mismatch(format!(
                "the model kept keys and values of {columns:?} tokens in its layers, expected {total} in each \
                 of {}",
                site.num_layers
            )));
        }
        let mut all = mask.clone();
        if let Some(Chunks { rows, read }) = self.chunks.take() {
            all = read.above(mask);
            if all.rows() < rows {
                self.layers.iter_mut().for_each(|layer| layer.used = 0);
                self.chunks = Some(Chunks { rows, read: all });
                return Ok(());
            }
        }
        self.mask = self.mask.concat(&all);
        self.expected = self.expected.saturating_sub(mask.len());
        Ok(())
    }

    /// Returns the keys and values of all tokens, one entry per layer.
    pub fn into_layers(self) -> Vec<LayerKeyValues> {
        self.layers.iter().map(Layer::tokens).collect()
    }

    /// Selects rows, in the given order; a row may be selected several times.
    #[must_use]
    pub fn select_rows(&self, rows: &[usize]) -> Self {
        let select = |layer: &Layer| Layer { buffer: layer.buffer.of_rows(rows), used: layer.used };
        Self {
            layers: self.layers.iter().map(select).collect(),
            mask: self.mask.select_rows(rows),
            expected: self.expected,
            chunks: self.chunks.clone(),
            infix: self.infix.as_ref().map(|all| rows.iter().map(|row| all[*row]).collect()),
        }
    }
}

impl Layer {
    /// The columns in use.
    fn tokens(&self) -> LayerKeyValues {
        let view = |tensor: &Tensor<4>| match tensor.dims()[2] == self.used {
            true => tensor.clone(),
            false => tensor.clone().narrow(2, 0, self.used),
        };
        LayerKeyValues { key: view(&self.buffer.key), value: view(&self.buffer.value) }
    }
}

/// The number of columns by which a cache grows at once, or its current number of columns if that
/// is larger.
const GROWTH: usize = 64;

/// Zeros like `own`, with the given numbers of rows and columns; `old` fills the first columns.
fn buffer_for([rows, columns]: [usize; 2], old: Option<Tensor<4>>, own: &Tensor<4>) -> Tensor<4> {
    let [_, k, _, d] = own.dims();
    let buffer = Tensor::zeros([rows, k, columns, d], (&own.device(), own.dtype()));
    match old {
        Some(old) => write(buffer, [0, 0], old),
        None => buffer,
    }
}

/// Writes `values` into `buffer`, starting at the given row and column.
fn write(buffer: Tensor<4>, [row, column]: [usize; 2], values: Tensor<4>) -> Tensor<4> {
    let [rows, k, added, d] = values.dims();
    buffer.slice_assign([row..row + rows, 0..k, column..column + added, 0..d], values)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use burn::tensor::Device;
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::contract::{
        init::{Distribution, tensor},
        rng,
        spec::Site,
    };

    const K: usize = 2;
    const D: usize = 3;

    fn site(num_layers: usize) -> SiteSpec {
        SiteSpec { site: Site::DecoderSelf, num_layers, num_heads: K, num_kv_heads: K, head_dim: D }
    }

    fn drawn(rows: usize, columns: usize, name: &str) -> LayerKeyValues {
        let draw = |part: &str| {
            let mut stream = rng::stream(1, 0, &format!("{name} {part}"));
            tensor(
                [rows, K, columns, D],
                Distribution::Uniform { range: 1.0 },
                &mut stream,
                &Device::default(),
            )
        };
        LayerKeyValues { key: draw("key"), value: draw("value") }
    }

    fn numbers(layer: &LayerKeyValues) -> Vec<f32> {
        [&layer.key, &layer.value]
            .into_iter()
            .flat_map(|x| x.to_data().iter::<f32>().collect::<Vec<_>>())
            .collect()
    }

    fn all_numbers(cache: &TokenCache) -> Vec<Vec<f32>> {
        cache.clone().into_layers().iter().map(numbers).collect()
    }

    fn behind(old: Option<&LayerKeyValues>, new: LayerKeyValues) -> LayerKeyValues {
        let Some(old) = old else { return new };
        LayerKeyValues {
            key: Tensor::cat(vec![old.key.clone(), new.key], 2),
            value: Tensor::cat(vec![old.value.clone(), new.value], 2),
        }
    }

    #[test]
    fn rows_keep_the_place_of_their_infix() {
        let cache = TokenCache::new().with_infix([4, 0, 7]);
        assert_eq!(cache.infix(3), Some([4, 0, 7].as_slice()));
        assert_eq!(cache.select_rows(&[2, 2, 0]).infix(3), Some([7, 7, 4].as_slice()));
        // The next chunk of the first pass.
        assert_eq!(cache.clone().with_infix([5]).infix(1), Some([5].as_slice()));
        assert_eq!((cache.infix(4), TokenCache::new().infix(0)), (None, None));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whatever is announced, selected and cloned, a cache holds what was appended, in order.
        #[test]
        fn a_cache_is_what_was_appended(
            expected in prop_oneof![Just(0usize), 1usize..12, 60usize..80],
            passes in vec((1usize..5, any::<bool>()), 1..6),
            chosen in vec(vec(any::<prop::sample::Index>(), 1..4), 6),
        ) {
            let mut rows = 2;
            let mut cache = TokenCache::new().expecting(expected);
            let mut plain: Vec<LayerKeyValues> = Vec::new();
            for (pass, ((columns, is_held), chosen)) in passes.into_iter().zip(chosen).enumerate() {
                let held = is_held.then(|| (cache.clone(), all_numbers(&cache)));
                cache.check(rows, columns).unwrap();
                for layer in 0..2 {
                    let own = drawn(rows, columns, &format!("{pass} {layer}"));
                    let whole = behind(plain.get(layer), own.clone());
                    prop_assert_eq!(numbers(&cache.append(layer, own)), numbers(&whole));
                    if layer < plain.len() { plain[layer] = whole } else { plain.push(whole) }
                }
                cache.end_pass(&Mask::full(rows, columns), &site(2)).unwrap();
                if let Some((held, before)) = held {
                    prop_assert_eq!(all_numbers(&held), before);
                }
                let chosen: Vec<usize> = chosen.iter().map(|index| index.index(rows)).collect();
                cache = cache.select_rows(&chosen);
                plain = plain.iter().map(|layer| layer.of_rows(&chosen)).collect();
                rows = chosen.len();
                let whole: Vec<_> = plain.iter().map(numbers).collect();
                prop_assert_eq!(all_numbers(&cache), whole);
                prop_assert_eq!(cache.len(), plain[0].key.dims()[2]);
            }
        }
    }

    fn columns(cache: &TokenCache) -> usize {
        cache.layers[0].buffer.key.dims()[2]
    }

    #[test]
    fn capacity_is_reserved_once_for_what_is_announced() {
        let mut cache = TokenCache::new().expecting(9);
        for step in 0..5 {
            let added = if step == 0 { 5 } else { 1 };
            cache.append(0, drawn(2, added, "row"));
            cache.end_pass(&Mask::full(2, added), &site(1)).unwrap();
            assert_eq!(columns(&cache), 9);
        }
        // More than was announced: the cache grows by several columns at once.
        cache.append(0, drawn(2, 1, "row"));
        assert_eq!(columns(&cache), 10 + GROWTH);
        // If much is announced, it grows as tokens come, for rows may end early.
        let mut cache = TokenCache::new().expecting(1000);
        cache.append(0, drawn(2, 3, "row"));
        assert_eq!(columns(&cache), 3 + GROWTH);
    }

    #[test]
    fn chunks_of_the_first_pass_make_one_cache() {
        let masks = [vec![false, true, true, true, true, true], vec![true; 3]];
        let chunks = [drawn(2, 3, "first"), drawn(1, 3, "second")];
        for expected in [0, 3, 7] {
            let mut cache = TokenCache::new().expecting(expected).in_chunks(3);
            assert!(cache.returns_unchanged(3) && cache.check(4, 3).is_err());
            for (chunk, mask) in chunks.iter().zip(&masks) {
                let rows = chunk.key.dims()[0];
                cache.check(rows, 3).unwrap();
                assert!(cache.check(1, 2).is_ok() == cache.layers.is_empty());
                assert_eq!(numbers(&cache.append(0, chunk.clone())), numbers(chunk));
                let mask = Mask::new(rows, 3, mask.clone()).unwrap();
                cache.end_pass(&mask, &site(1)).unwrap();
            }
            assert_eq!(columns(&cache), expected.max(3));
            assert!(cache.clone().in_chunks(3).check(1, 1).is_err());
            assert_eq!((cache.mask().rows(), cache.len()), (3, 3));
            assert_eq!(cache.mask().row(0), [false, true, true]);
            let all = |part: fn(&LayerKeyValues) -> Tensor<4>| {
                Tensor::cat(chunks.iter().map(part).collect(), 0)
            };
            let own = drawn(3, 1, "next");
            let whole =
                LayerKeyValues { key: all(|x| x.key.clone()), value: all(|x| x.value.clone()) };
            let whole = behind(Some(&whole), own.clone());
            assert_eq!(numbers(&cache.append(0, own)), numbers(&whole));
        }
    }

    #[test]
    fn a_model_that_keeps_too_little_is_told() {
        let mut cache = TokenCache::new();
        cache.append(0, drawn(2, 3, "row"));
        let error = cache.end_pass(&Mask::full(2, 3), &site(2)).unwrap_err().to_string();
        assert!(error.contains("[3] tokens") && error.contains("3 in each of 2"), "{error}");
        let error = cache.check(3, 1).unwrap_err().to_string();
        assert!(error.contains("2 rows") && error.contains("3 rows"), "{error}");
    }
}
