//! Attention: joined and separate, with and without virtual tokens, masks and biases.

use burn::tensor::{Bool, Tensor, activation::softmax};
use peft_core::LayerKeyValues;
use proptest::{
    option,
    prelude::*,
    sample::{Select, select},
};
use rand::Rng;

use super::{
    super::attention::{joined, separate},
    *,
};
use crate::kernels::{Heads, Scores};

/// Which keys a query sees.
#[derive(Clone, Copy, Debug)]
enum Mask {
    /// All.
    None,
    /// Those of virtual tokens, and of tokens those that do not follow it.
    Causal,
    /// Causal; besides, each row of the batch is padded on the left by one token more than the one before.
    Padded,
    /// Random ones, and the last one.
    Random,
    /// The same for all queries.
    Cross,
    /// Every other query sees nothing, as one in padding may.
    Blind,
}

/// The sizes and kinds of an attention.
#[derive(Clone, Copy, Debug)]
struct Draw {
    b: usize,
    /// Key heads.
    k: usize,
    /// Query heads that share a key head.
    group: usize,
    s: usize,
    /// Keys of tokens; `None` if rows are joined.
    t: Option<usize>,
    d: usize,
    /// Virtual tokens, and whether the batch shares them.
    past: Option<(usize, bool)>,
    scale: f64,
    mask: Mask,
    /// A bias, and whether the batch shares it.
    bias: Option<bool>,
    layouts: [Layout; 3],
    /// Whether mask and bias are the rightmost columns of wider ones, as in a layer without virtual tokens.
    rightmost: bool,
    seed: u64,
}

/// Few queries, one block of them, or several.
fn queries() -> impl Strategy<Value = usize> {
    prop_oneof![2 => 1usize..5, 3 => 5usize..41, 1 => 60usize..135]
}

/// Layouts of four dimensions: heads as models split them, others, and parts of a longer cache.
fn layouts_of_heads() -> Select<Layout> {
    use Layout::{Dense, Flipped, Narrowed, Swapped};
    select(vec![Dense, Swapped(1, 2), Swapped(2, 3), Narrowed(2), Narrowed(3), Flipped(2)])
}

prop_compose! {
    fn draws()(
        [b, k, group] in [1usize..4, 1usize..4, 1usize..4],
        s in queries(), t in option::of(queries()),
        d in prop_oneof![5 => 1usize..24, 1 => 60usize..70],
        past in option::of((1usize..18, any::<bool>())),
        factor in select(vec![0.5, 1.0, 2.0]),
        mask in select(vec![Mask::None, Mask::Causal, Mask::Padded, Mask::Random, Mask::Cross]),
        bias in option::of(any::<bool>()),
        layouts in [layouts(), layouts_of_heads(), layouts_of_heads()],
        rightmost: bool, seed: u64,
    ) -> Draw {
        let scale = factor / (d as f64).sqrt();
        Draw { b, k, group, s, t, d, past, scale, mask, bias, layouts, rightmost, seed }
    }
}

impl Draw {
    fn heads(&self) -> Heads {
        Heads { query: self.k * self.group, key_value: self.k, size: self.d }
    }

    /// Keys of tokens.
    fn tokens(&self) -> usize {
        self.t.unwrap_or(self.s)
    }

    /// P.
    fn virtual_tokens(&self) -> usize {
        self.past.map_or(0, |(p, _)| p)
    }

    fn columns(&self) -> usize {
        self.virtual_tokens() + self.tokens()
    }

    fn shape_of_past(&self) -> [usize; 4] {
        let rows = if self.past.is_some_and(|(_, shared)| shared) { 1 } else { self.b };
        [rows, self.k, self.virtual_tokens(), self.d]
    }

    /// Elements of each input.
    fn counts(&self) -> Vec<usize> {
        let Heads { query: n, key_value: k, size: d } = self.heads();
        let mut counts = match self.t {
            None => vec![self.b * self.s * (n + 2 * k) * d],
            Some(t) => vec![self.b * self.s * n * d, self.b * t * k * d, self.b * t * k * d],
        };
        if self.past.is_some() {
            counts.extend([self.shape_of_past().iter().product::<usize>(); 2]);
        }
        counts
    }

    /// The joined rows.
    fn rows(&self, x: &[Tensor<1>]) -> Tensor<3> {
        let Heads { query: n, key_value: k, size: d } = self.heads();
        shaped(&x[0], [self.b, self.s, (n + 2 * k) * d], self.layouts[0])
    }

    /// Queries, and the keys and values of tokens.
    fn parts(&self, x: &[Tensor<1>]) -> (Tensor<4>, LayerKeyValues) {
        let heads = self.heads();
        let Heads { query: n, key_value: k, size: d } = heads;
        let (query, key, value) = match self.t {
            None => {
                let rows = self.rows(x);
                let part = |start, count| rows.clone().narrow(2, start * d, count * d);
                let [key, value] = [n, n + k].map(|start| heads.split_key_values(part(start, k)));
                (heads.split_queries(part(0, n)), key, value)
            }
            Some(t) => {
                let [_, of_query, of_own] = self.layouts;
                let own = |x| shaped(x, [self.b, k, t, d], of_own);
                (shaped(&x[0], [self.b, n, self.s, d], of_query), own(&x[1]), own(&x[2]))
            }
        };
        (query, LayerKeyValues { key, value })
    }

    /// Keys and values of virtual tokens.
    fn past(&self, x: &[Tensor<1>]) -> Option<LayerKeyValues> {
        self.past?;
        let [key, value] = &x[x.len() - 2..] else { unreachable!("two inputs") };
        let shaped = |x| shaped(x, self.shape_of_past(), self.layouts[2]);
        Some(LayerKeyValues { key: shaped(key), value: shaped(value) })
    }

    fn hidden(&self) -> Option<Tensor<4, Bool>> {
        let (p, t, columns) = (self.virtual_tokens(), self.tokens(), self.columns());
        let mut choices = stream(self.seed, 0, "mask");
        let mut chance = || choices.random_bool(0.4);
        let [rows, queries] = match self.mask {
            Mask::None => return None,
            Mask::Causal => [1, self.s],
            Mask::Padded | Mask::Random | Mask::Blind => [self.b, self.s],
            Mask::Cross => [self.b, 1],
        };
        let mut hidden = Vec::new();
        for row in 0..rows {
            for query in 0..queries {
                // The last query sees all, and each sees one at least.
                let last = p + (query + t).saturating_sub(self.s);
                hidden.extend((0..columns).map(|key| match self.mask {
                    Mask::None => false,
                    Mask::Causal => key > last,
                    Mask::Padded => key > last || key >= p && key < (p + row).min(last),
                    Mask::Random | Mask::Cross => chance() && key + 1 < columns,
                    Mask::Blind => query % 2 == 0,
                }));
            }
        }
        let data = TensorData::new(hidden, [rows, 1, queries, columns]);
        let hidden = Tensor::<4, Bool>::from_data(data, &Device::flex());
        Some(if self.rightmost {
            Tensor::cat(vec![hidden.clone().bool_not(), hidden], 3).narrow(3, columns, columns)
        } else {
            hidden
        })
    }

    fn scores(&self, dtype: DType) -> Scores {
        let bias = self.bias.map(|shared| {
            let rows = if shared { 1 } else { self.b };
            let extra = if self.rightmost { 2 } else { 0 };
            let shape = [rows, self.k * self.group, self.s, extra + self.columns()];
            frozen(self.seed, "bias", shape, dtype).narrow(3, extra, self.columns())
        });
        Scores { scale: self.scale, hidden: self.hidden(), bias }
    }

    fn kernel(&self, x: &[Tensor<1>]) -> Tensor<1> {
        let (past, scores) = (self.past(x), self.scores(x[0].dtype()));
        let read = match self.t {
            None => joined(self.rows(x), past.as_ref(), self.heads(), &scores),
            Some(_) => {
                let (query, own) = self.parts(x);
                separate(query, own, past.as_ref(), &scores)
            }
        };
        flat(read.unwrap())
    }

    fn plain(&self, x: &[Tensor<1>]) -> Tensor<1> {
        let Scores { scale, hidden, bias } = self.scores(x[0].dtype());
        let (query, own) = self.parts(x);
        let [b, n, s, d] = query.dims();
        let columns = self.columns();
        let whole = |past: Option<Tensor<4>>, own: Tensor<4>| {
            let past = past.map(|past| past.expand([b, self.k, self.virtual_tokens(), d]));
            let all = Tensor::cat(past.into_iter().chain([own]).collect(), 2);
            // Each key head serves a group of query heads.
            let all = all.unsqueeze_dim::<5>(2).expand([b, self.k, self.group, columns, d]);
            all.reshape([b, n, columns, d])
        };
        let (key, value) = match self.past(x) {
            Some(past) => (whole(Some(past.key), own.key), whole(Some(past.value), own.value)),
            None => (whole(None, own.key), whole(None, own.value)),
        };
        let mut scores = query.matmul(key.swap_dims(2, 3)).mul_scalar(scale);
        if let Some(bias) = bias {
            scores = scores + bias;
        }
        if let Some(hidden) = hidden {
            scores = scores.mask_fill(hidden.expand([b, n, s, columns]), -1e9);
        }
        let read = softmax(scores, 3).matmul(value);
        flat(read.swap_dims(1, 2).reshape([b, s, n * d]))
    }

    fn check(&self) {
        check(self.seed, &self.counts(), &|x| self.kernel(x), &|x| self.plain(x));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(160))]

    #[test]
    fn attention(draw in draws()) {
        draw.check();
    }

    /// The first layer under a prefix: rows come from frozen weights, and only virtual tokens are trained.
    #[test]
    fn virtual_tokens_alone_are_trained(draw in draws(), past in (1usize..9, any::<bool>())) {
        let draw = Draw { past: Some(past), ..draw };
        let inputs = inputs(draw.seed, &draw.counts());
        let roles: Vec<Role> = (0..inputs.len())
            .map(|which| if which + 2 < inputs.len() { Role::Plain } else { Role::Tracked })
            .collect();
        let (output, found) = run(&|x| draw.kernel(x), &inputs, &roles);
        let (expected_output, expected) = run(&|x| draw.plain(x), &inputs, &roles);
        assert_close("output", &output, &expected_output);
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(found.is_some(), expected.is_some());
            if let (Some(found), Some(expected)) = (found, expected) {
                assert_close("gradient", found, expected);
            }
        }
    }

    #[test]
    fn queries_that_see_nothing(draw in draws()) {
        Draw { mask: Mask::Blind, ..draw }.check();
    }

    #[test]
    fn no_nan_is_hidden(draw in draws()) {
        // A NaN behind a mask may stay unread.
        let draw = Draw { mask: Mask::None, ..draw };
        check_nan(draw.seed, &draw.counts(), &|x| draw.kernel(x), &|x| draw.plain(x));
    }
}
