//! Virtual tokens per row: several adapters in one batch, and reordering the rows of a search.

use burn::tensor::Tensor;

use super::{Content, LayerKeyValues, SiteKeyValues, VirtualTokens, change::Change};
use crate::{
    contract::{mask::Mask, tensors::select_first},
    error::{Error, Result},
};

impl VirtualTokens {
    /// Selects rows, in the given order; shared virtual tokens stay shared.
    #[must_use]
    pub fn select_rows(&self, rows: &[usize]) -> Self {
        struct Select<'a>(&'a [usize]);
        impl Change for Select<'_> {
            fn change<const D: usize>(&mut self, tensor: Tensor<D>) -> Tensor<D> {
                select_shared(tensor, self.0)
            }
        }
        let mut selected = self.clone().changed(&mut Select(rows));
        selected.mask = selected.mask.map(|mask| mask.select_rows(rows));
        selected
    }

    /// Combines several adapters in one batch: row r has the virtual tokens `adapters[of_row[r]]`.
    ///
    /// P is that of the longest. Shorter ones are padded on the left with masked virtual tokens,
    /// and act as they do alone. The hidden state of the last virtual token is kept if all have
    /// one.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] for adapters that cannot share a pass: prompts that were not prefilled
    /// beside keys and values, different layers or sizes, different positions, a prefix beside an infix;
    /// for a row whose adapter is not there.
    pub fn per_row(adapters: &[Self], of_row: &[usize]) -> Result<Self> {
        let mut rows = of_row.iter().enumerate();
        if let Some((row, adapter)) = rows.find(|(_, adapter)| **adapter >= adapters.len()) {
            return Err(Error::Mismatch(format!(
                "row {row} has the adapter {adapter}, expected one below {}",
                adapters.len()
            )));
        }
        if let [only] = adapters {
            return Ok(only.clone());
        }
        let len = adapters.iter().map(|adapter| adapter.len).max().unwrap_or(0);
        let Some(first) = adapters.iter().find(|adapter| !adapter.is_empty()).filter(|_| len > 0)
        else {
            return Ok(Self::none());
        };
        let refuse = |what: &str| {
            Err(Error::Mismatch(format!("one batch cannot hold adapters of different {what}")))
        };
        for adapter in adapters.iter().filter(|adapter| !adapter.is_empty()) {
            if adapter.rows() != 1 {
                return Err(Error::Mismatch("the virtual tokens already differ by row".into()));
            }
            if (adapter.positions, adapter.relative_bias) != (first.positions, first.relative_bias)
            {
                return refuse("prefix positions");
            }
            if adapter.infix != first.infix {
                return refuse("places (prefix and infix)");
            }
            if adapter.ignores_token_types != first.ignores_token_types {
                return refuse("use of token types");
            }
        }
        let content = match &first.content {
            Content::None => return Ok(Self::none()),
            Content::Embeddings(like) => {
                let like = like.clone();
                let mut rows = Vec::with_capacity(adapters.len());
                for adapter in adapters {
                    match &adapter.content {
                        Content::Embeddings(prompt) if prompt.dims()[2] != like.dims()[2] => {
                            return refuse("hidden sizes");
                        }
                        Content::Embeddings(prompt) => rows.push(pad_front(prompt.clone(), len)),
                        Content::None => rows.push(zeros_like(&like, len)),
                        Content::KeyValues(_) => return refuse("kinds (prompts and prefixes)"),
                    }
                }
                Content::Embeddings(select_first(Tensor::cat(rows, 0), of_row))
            }
            Content::KeyValues(sites) => {
                let mut joined = Vec::with_capacity(sites.len());
                for site in sites {
                    let mut layers = Vec::with_capacity(site.layers.len());
                    for index in 0..site.layers.len() {
                        layers.push(layer_per_row(adapters, site, index, len, of_row)?);
                    }
                    joined.push(SiteKeyValues { site: site.site, layers });
                }
                for adapter in adapters {
                    match &adapter.content {
                        Content::Embeddings(_) => return refuse("kinds (prompts and prefixes)"),
                        Content::KeyValues(others) if others.len() != sites.len() => {
                            return refuse("attention sites");
                        }
                        _ => {}
                    }
                }
                Content::KeyValues(joined)
            }
        };
        let real = of_row
            .iter()
            .flat_map(|adapter| {
                let mask = adapters[*adapter].mask();
                let padding = vec![false; len - mask.len()];
                padding.into_iter().chain(mask.row(0).to_vec())
            })
            .collect();
        let mask = Mask::new(of_row.len(), len, real)
            .ok_or_else(|| Error::Mismatch("the mask has another size".into()))?;
        let hidden =
            adapters.iter().map(|adapter| adapter.last_hidden.clone()).collect::<Option<Vec<_>>>();
        let last_hidden = hidden.map(|hidden| select_first(Tensor::cat(hidden, 0), of_row));
        Ok(Self { content, len, mask: Some(mask), last_hidden, ..first.clone() })
    }
}

impl LayerKeyValues {
    /// Selects rows of keys and values, in the given order; shared ones stay shared.
    #[must_use]
    pub fn select_rows(&self, rows: &[usize]) -> Self {
        Self {
            key: select_shared(self.key.clone(), rows),
            value: select_shared(self.value.clone(), rows),
        }
    }

    /// As [`select_rows`](Self::select_rows), but a single row counts as a row of its own, not as
    /// shared, so that it can be selected several times.
    pub(crate) fn of_rows(&self, rows: &[usize]) -> Self {
        Self {
            key: select_first(self.key.clone(), rows),
            value: select_first(self.value.clone(), rows),
        }
    }
}

/// Selects rows of `[R, ..]`, or returns the tensor itself if R = 1 is shared.
fn select_shared<const D: usize>(tensor: Tensor<D>, rows: &[usize]) -> Tensor<D> {
    if tensor.dims()[0] == 1 { tensor } else { select_first(tensor, rows) }
}

/// One layer of one site, with one entry per row.
fn layer_per_row(
    adapters: &[VirtualTokens],
    like: &SiteKeyValues,
    index: usize,
    len: usize,
    of_row: &[usize],
) -> Result<Option<LayerKeyValues>> {
    let (mut keys, mut values) = (Vec::new(), Vec::new());
    for adapter in adapters {
        match (adapter.layer(like.site, index), &like.layers[index]) {
            (Some(layer), Some(like)) if sizes(layer) != sizes(like) => {
                return Err(Error::Mismatch(format!(
                    "one batch cannot hold adapters of different heads: found keys and values of {:?} beside {:?}",
                    sizes(layer),
                    sizes(like)
                )));
            }
            (Some(layer), Some(_)) => {
                keys.push(pad_front(layer.key.clone(), len));
                values.push(pad_front(layer.value.clone(), len));
            }
            (None, Some(like)) if adapter.is_empty() => {
                keys.push(zeros_like(&like.key, len));
                values.push(zeros_like(&like.value, len));
            }
            (None, None) => {}
            _ => {
                return Err(Error::Mismatch(
                    "one batch cannot hold adapters of different layers".into(),
                ));
            }
        }
    }
    if keys.is_empty() {
        return Ok(None);
    }
    Ok(Some(LayerKeyValues {
        key: select_first(Tensor::cat(keys, 0), of_row),
        value: select_first(Tensor::cat(values, 0), of_row),
    }))
}

/// K and D of the keys, and of the values.
fn sizes(layer: &LayerKeyValues) -> [[usize; 2]; 2] {
    [&layer.key, &layer.value].map(|tensor| {
        let [_, k, _, d] = tensor.dims();
        [k, d]
    })
}

/// Puts zeros in front of the virtual tokens, which are in the second to last dimension.
fn pad_front<const D: usize>(tensor: Tensor<D>, len: usize) -> Tensor<D> {
    let missing = len - tensor.dims()[D - 2];
    if missing == 0 {
        return tensor;
    }
    Tensor::cat(vec![zeros_like(&tensor, missing), tensor], D - 2)
}

/// One row of zeros for `len` virtual tokens.
fn zeros_like<const D: usize>(tensor: &Tensor<D>, len: usize) -> Tensor<D> {
    let mut shape = tensor.dims();
    shape[0] = 1;
    shape[D - 2] = len;
    Tensor::zeros(shape, (&tensor.device().without_autodiff(), tensor.dtype()))
}
