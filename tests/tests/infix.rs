//! Infix tuning (Li & Liang 2021, section 7.3): keys and values between the source and the target of a row. They stand
//! in front of the last token of the source, which predicts the first of the target.

mod program;
mod properties;
#[cfg(feature = "cpu")]
mod runs;
mod stored;

use burn::tensor::Tensor;
use peft_core::{
    FrozenModel, LayerKeyValues, PaddingSide, SiteKeyValues, TokenBatch, VirtualTokens,
    contract::{frozen::activations, rng},
    data::{Example, IGNORE, Target},
    methods::prefix::Placement,
};
use peft_tests::{device, strategies::ids, virtual_tokens::random_prefix};
use proptest::prelude::*;

use crate::support::slices;

/// A source, and the target behind it.
#[derive(Clone, Debug)]
struct Row {
    source: Vec<u32>,
    target: Vec<u32>,
}

impl Row {
    fn ids(&self) -> Vec<u32> {
        [self.source.as_slice(), &self.target].concat()
    }

    fn example(&self) -> Example {
        let learnt = self.target.iter().map(|id| i64::from(*id));
        let targets = vec![IGNORE; self.source.len()].into_iter().chain(learnt).collect();
        Example::new(self.ids(), Target::Tokens(targets), 1)
    }
}

fn row() -> impl Strategy<Value = Row> {
    (ids(1..7), ids(0..6)).prop_map(|(source, target)| Row { source, target })
}

fn batch(rows: &[Row], side: PaddingSide) -> TokenBatch {
    let all: Vec<Vec<u32>> = rows.iter().map(Row::ids).collect();
    let sources = rows.iter().map(|row| row.source.len()).collect();
    TokenBatch::new(&slices(&all), side).with_sources(sources)
}

/// P random keys and values in every layer, or in the last one only.
fn infix(model: &dyn FrozenModel, p: usize, last_layer: bool, seed: u64) -> VirtualTokens {
    let site = model.spec().self_site().unwrap().site;
    let mut stream = rng::stream(seed, 0, "infix");
    let mut made = random_prefix(model, &[site], last_layer, [1, p], &mut stream, &device());
    made.infix = true;
    made
}

fn numbers(states: Tensor<3>) -> Vec<f32> {
    states.into_data().convert::<f32>().try_into_vec::<f32>().unwrap()
}

/// The hidden states `[T, H]` of the tokens of each row, flattened.
fn states(
    model: &dyn FrozenModel,
    batch: &TokenBatch,
    virtual_tokens: &VirtualTokens,
) -> Vec<Vec<f32>> {
    let hidden = model.forward(batch, virtual_tokens).unwrap().tokens;
    (0..batch.rows())
        .map(|row| {
            let own = hidden.clone().narrow(0, row, 1);
            numbers(own.narrow(1, batch.column(row, 0), batch.row_len(row)))
        })
        .collect()
}

/// What the definition says of a row alone. What stands in front of the infix is what the base model makes of
/// it. To what stands behind, its keys and values are those of a prefix that goes on with the infix.
fn by_definition(model: &dyn FrozenModel, row: &Row, infix: &VirtualTokens) -> Vec<f32> {
    let (last, front) = row.source.split_last().unwrap();
    let behind = [&[*last][..], &row.target].concat();
    let alone = |ids: &[u32], virtual_tokens: &VirtualTokens| {
        let batch = TokenBatch::new(&[ids], PaddingSide::Right);
        numbers(model.forward(&batch, virtual_tokens).unwrap().tokens)
    };
    if front.is_empty() {
        let mut prefix = infix.clone();
        prefix.infix = false;
        return alone(&behind, &prefix);
    }
    let (read, site) = (activations(model, front).unwrap(), model.spec().self_site().unwrap());
    let join = |own: &Tensor<4>, more: &Tensor<4>| Tensor::cat(vec![own.clone(), more.clone()], 2);
    let layer = |index: usize| {
        let own = read.layer(site.site, index).unwrap();
        match infix.layer(site.site, index) {
            None => own.clone(),
            Some(more) => LayerKeyValues {
                key: join(&own.key, &more.key),
                value: join(&own.value, &more.value),
            },
        }
    };
    let layers = (0..site.num_layers).map(|index| Some(layer(index))).collect();
    let joined = VirtualTokens::key_values(vec![SiteKeyValues { site: site.site, layers }]);
    [alone(front, &VirtualTokens::none()), alone(&behind, &joined)].concat()
}

fn placement() -> Placement {
    Placement { infix: true, ..Placement::default() }
}
