//! What must hold for every model and every kind of virtual tokens: properties over random shapes.
//!
//! The numbers in the names are those of docs/SEMANTICS.md.

use burn::tensor::Tensor;
use peft_core::{
    Content, Error, FrozenModel, LayerKeyValues, Mask, PaddingSide, PrefixPositions, Side,
    SiteKeyValues, StackInput, TokenBatch, VirtualTokens,
    contract::{frozen::activations, rng},
};
use peft_tests::{
    Family, Shape, device, random_model,
    strategies::{cases, decoder, family, ids, shape},
    virtual_tokens::{prompt_of, random_prefix, random_prompt},
};
use proptest::{collection::vec, option, prelude::*, sample::select};
use rand::Rng as _;

use crate::support::slices;

/// Kinds of virtual tokens a model can be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    None,
    Embeddings,
    KeyValues,
    /// Keys and values in the last layer only.
    LastLayer,
}

const KINDS: [Kind; 4] = [Kind::None, Kind::Embeddings, Kind::KeyValues, Kind::LastLayer];

/// Random virtual tokens of a kind, R rows of P.
fn virtual_tokens(
    model: &dyn FrozenModel,
    kind: Kind,
    shape: [usize; 2],
    seed: u64,
) -> VirtualTokens {
    let mut stream = rng::stream(seed, 0, "test");
    let site = model.spec().self_site().unwrap().site;
    match kind {
        Kind::None => VirtualTokens::none(),
        Kind::Embeddings => random_prompt(model, shape, &mut stream, &device()),
        Kind::KeyValues | Kind::LastLayer => {
            let last = kind == Kind::LastLayer;
            random_prefix(model, &[site], last, shape, &mut stream, &device())
        }
    }
}

/// The hidden states `[T, H]` of the real tokens of each row, flattened.
fn states(
    model: &dyn FrozenModel,
    rows: &[Vec<u32>],
    side: PaddingSide,
    virtual_tokens: &VirtualTokens,
) -> Vec<Vec<f32>> {
    let batch = TokenBatch::new(&slices(rows), side);
    let hidden = model.forward(&batch, virtual_tokens).unwrap().tokens;
    (0..rows.len())
        .map(|row| {
            let start = batch.column(row, 0);
            let own = hidden.clone().narrow(0, row, 1).narrow(1, start, rows[row].len());
            own.into_data().convert::<f32>().try_into_vec::<f32>().unwrap()
        })
        .collect()
}

pub fn assert_close(found: &[f32], expected: &[f32], tolerance: f32) -> Result<(), TestCaseError> {
    prop_assert_eq!(found.len(), expected.len());
    for (a, b) in found.iter().zip(expected) {
        prop_assert!((a - b).abs() <= tolerance * (1.0 + b.abs()), "{} is not {}", a, b);
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases(24))]

    /// 1. Batched = alone, on either padding side.
    #[test]
    fn p1_a_row_is_answered_alone(
        family in family(), kind in select(KINDS.to_vec()), shape in shape(),
        rows in vec(ids(1..9), 1..5), p in 1..6usize, seed: u64, per_row: bool,
    ) {
        let loaded = random_model(family, shape, seed);
        let model = loaded.model.as_ref();
        let r = if per_row { rows.len() } else { 1 };
        let all = virtual_tokens(model, kind, [r, p], seed);
        for side in [PaddingSide::Left, PaddingSide::Right] {
            let batched = states(model, &rows, side, &all);
            for (index, row) in rows.iter().enumerate() {
                let own = if per_row { one_row(&all, index) } else { all.clone() };
                let alone = &states(model, std::slice::from_ref(row), side, &own)[0];
                assert_close(&batched[index], alone, 2e-5)?;
            }
        }
    }

    /// 2. A prompt made of the embeddings of real tokens = the base on those tokens and the input.
    #[test]
    fn p2_a_prompt_of_real_embeddings_is_those_tokens(
        family in family(), shape in shape(), words in ids(1..6),
        row in ids(1..8), seed: u64,
    ) {
        let loaded = random_model(family, shape, seed);
        let model = loaded.model.as_ref();
        // A token that takes no position by itself takes one behind a prompt.
        let counted = |ids: Vec<u32>| -> Vec<u32> {
            let is_counted = |id: &u32| model.uncounted_token() != Some(*id);
            ids.into_iter().map(|id| if is_counted(&id) { id } else { id + 1 }).collect()
        };
        let (words, row) = (counted(words), counted(row));
        let prompt = prompt_of(model, &words);
        let with_prompt = states(model, std::slice::from_ref(&row), PaddingSide::Right, &prompt);
        let joined = [words.clone(), row].concat();
        let plain = states(model, &[joined], PaddingSide::Right, &VirtualTokens::none());
        let skip = words.len() * model.spec().hidden_size;
        assert_close(&with_prompt[0], &plain[0][skip..], 2e-5)?;
    }

    /// 3. A prefix made of the keys and values of real tokens = the base on those tokens and the input.
    #[test]
    fn p3_a_prefix_of_real_activations_is_those_tokens(
        family in decoder(), shape in shape(), words in ids(1..6),
        row in ids(1..8), seed: u64,
    ) {
        let loaded = random_model(family, shape, seed);
        let model = loaded.model.as_ref();
        let prefix = activations(model, &words).unwrap();
        let with_prefix = states(model, std::slice::from_ref(&row), PaddingSide::Right, &prefix);
        let joined = [words.clone(), row].concat();
        let plain = states(model, &[joined], PaddingSide::Right, &VirtualTokens::none());
        let skip = words.len() * model.spec().hidden_size;
        assert_close(&with_prefix[0], &plain[0][skip..], 2e-5)?;
    }

    /// 3. A prefilled prompt = the prefix of the keys and values that the prompt produces; its last hidden state is
    /// that of the prompt's last row.
    #[test]
    fn p3_a_prefilled_prompt_is_a_prefix(
        family in decoder(), shape in shape(), rows in vec(ids(1..7), 1..4),
        p in 1..6usize, seed: u64,
    ) {
        let loaded = random_model(family, shape, seed);
        let model = loaded.model.as_ref();
        let prompt = virtual_tokens(model, Kind::Embeddings, [1, p], seed);
        let prefilled = model.prefill(&prompt).unwrap();
        prop_assert!(matches!(prefilled.content, Content::KeyValues(_)));
        prop_assert_eq!(prefilled.last_hidden.as_ref().unwrap().dims(), [1, 1, model.spec().hidden_size]);
        prop_assert_eq!((prefilled.len(), prefilled.rows()), (p, 1));
        let direct = states(model, &rows, PaddingSide::Right, &prompt);
        let through = states(model, &rows, PaddingSide::Right, &prefilled);
        for (a, b) in direct.iter().zip(&through) {
            assert_close(a, b, 1e-6)?;
        }
    }

    /// 4. A masked virtual token = an absent one, and P = 0 = the base.
    #[test]
    fn p4_a_masked_virtual_token_is_absent(
        family in family(), kind in select(KINDS[1..].to_vec()), shape in shape(),
        row in ids(1..7), masked in 1..4usize, left in 0..4usize, seed: u64,
    ) {
        let loaded = random_model(family, shape, seed);
        let model = loaded.model.as_ref();
        let p = masked + left;
        let all = virtual_tokens(model, kind, [1, p], seed);
        let kept = keep_last(&all, left);
        let mask = Mask::new(1, p, (0..p).map(|i| i >= masked).collect()).unwrap();
        let rows = [row];
        let with_mask = states(model, &rows, PaddingSide::Right, &all.with_mask(mask).unwrap());
        let without = states(model, &rows, PaddingSide::Right, &kept);
        assert_close(&with_mask[0], &without[0], 2e-5)?;
        if left == 0 {
            let base = states(model, &rows, PaddingSide::Right, &VirtualTokens::none());
            assert_close(&without[0], &base[0], 0.0)?;
        }
    }

    /// 4 and 1. Rows of a batch with different P, aligned next to the text.
    #[test]
    fn p4_rows_may_have_different_p(
        family in family(), kind in select(KINDS[1..].to_vec()), shape in shape(),
        rows in vec(ids(1..7), 2..4), seed: u64,
    ) {
        let loaded = random_model(family, shape, seed);
        let model = loaded.model.as_ref();
        let p = rows.len();
        let all = virtual_tokens(model, kind, [rows.len(), p], seed);
        // Row i has i + 1 virtual tokens.
        let real = (0..p).flat_map(|row| (0..p).map(move |i| i + row + 1 >= p)).collect();
        let masked = all.clone().with_mask(Mask::new(p, p, real).unwrap()).unwrap();
        let batched = states(model, &rows, PaddingSide::Left, &masked);
        for (index, row) in rows.iter().enumerate() {
            let own = keep_last(&one_row(&all, index), index + 1);
            let alone = states(model, std::slice::from_ref(row), PaddingSide::Left, &own);
            assert_close(&batched[index], &alone[0], 2e-5)?;
        }
    }

    /// 5. Real token i of row r has position p_r + i, or i if the prefix does not shift positions: wherever the
    /// padding is, and whichever virtual tokens are masked.
    #[test]
    fn p5_positions_count_real_entries(
        family in family(), s in 1..8usize, p in 0..6usize, b in 1..5usize,
        shared: bool, padding in option::of(select(vec![PaddingSide::Left, PaddingSide::Right])),
        seed: u64,
    ) {
        let mut stream = rng::stream(seed, 0, "test");
        let rows: Vec<Vec<u32>> = (0..b).map(|_| vec![1; stream.random_range(1..=s)]).collect();
        let mut random =
            |r, len| Mask::new(r, len, (0..r * len).map(|_| stream.random()).collect()).unwrap();
        let past_mask = random(if shared { 1 } else { b }, p);
        // Without a side the padding is anywhere, even between the tokens.
        let mask = match padding {
            Some(side) => TokenBatch::new(&slices(&rows), side).mask().clone(),
            None => random(b, s),
        };
        let loaded = random_model(family, Shape::default(), seed);
        let shape = [past_mask.rows(), p];
        let mut past = virtual_tokens(loaded.model.as_ref(), Kind::KeyValues, shape, seed)
            .with_mask(past_mask.clone())
            .unwrap();
        for way in [PrefixPositions::Shifted, PrefixPositions::Unshifted] {
            past.positions = way;
            let rows = Tensor::zeros([b, mask.len(), 2], &device());
            let found = StackInput::new(Side::Decoder, rows, &mask, past.clone()).positions;
            let found: Vec<i64> = found.into_data().iter().collect();
            for row in 0..b {
                let p_r = match way {
                    PrefixPositions::Shifted => past_mask.count(if shared { 0 } else { row }),
                    PrefixPositions::Unshifted => 0,
                };
                let found = found[row * mask.len()..][..mask.len()].iter();
                let real: Vec<i64> =
                    found.zip(mask.row(row)).filter(|(_, real)| **real).map(|(at, _)| *at).collect();
                let expected: Vec<i64> = (0..mask.count(row)).map(|i| (p_r + i) as i64).collect();
                prop_assert_eq!(real, expected);
            }
        }
    }

    /// 8. The limit applies to each row: a long row with few virtual tokens may share a batch with a short one that
    /// has many.
    #[test]
    fn p8_the_limit_counts_row_by_row(
        family in family(), kind in select(KINDS[1..].to_vec()),
        p in vec(0..7usize, 2), t in vec(1..9usize, 2), seed: u64,
    ) {
        let loaded = random_model(family, Shape { positions: 10, ..Shape::default() }, seed);
        let model = loaded.model.as_ref();
        let real = p.iter().flat_map(|p| (0..6).map(move |i| i + p >= 6)).collect();
        let tokens = virtual_tokens(model, kind, [2, 6], seed)
            .with_mask(Mask::new(2, 6, real).unwrap())
            .unwrap();
        let rows: Vec<Vec<u32>> = t.iter().map(|t| vec![1; *t]).collect();
        let most = p.iter().zip(&t).map(|(p, t)| p + t).max().unwrap();
        match model.forward(&TokenBatch::new(&slices(&rows), PaddingSide::Right), &tokens) {
            Ok(_) => prop_assert!(most <= 10),
            Err(Error::TooLong { virtual_tokens, tokens, limit: 10, .. }) => {
                prop_assert!(virtual_tokens + tokens > 10);
                prop_assert!(p.iter().zip(&t).any(|(p, t)| (*p, *t) == (virtual_tokens, tokens)));
            }
            Err(other) => prop_assert!(false, "{}", other),
        }
    }

    /// 8. Rows beyond the limit are refused with the numbers; rows up to it are not.
    #[test]
    fn p8_too_long_is_refused(
        family in family(), kind in select(KINDS[1..].to_vec()),
        p in 1..6usize, t in 1..12usize, seed: u64,
    ) {
        let shape = Shape { positions: 10, ..Shape::default() };
        let loaded = random_model(family, shape, seed);
        let model = loaded.model.as_ref();
        let tokens = virtual_tokens(model, kind, [1, p], seed);
        let row: Vec<u32> = vec![1; t];
        let result = model.forward(&TokenBatch::new(&[&row], PaddingSide::Right), &tokens);
        match result {
            Ok(_) => prop_assert!(p + t <= 10),
            Err(Error::TooLong { virtual_tokens, tokens, limit, .. }) => {
                prop_assert!(p + t > 10);
                prop_assert_eq!((virtual_tokens, tokens, limit), (p, t, 10));
            }
            Err(other) => prop_assert!(false, "{}", other),
        }
    }
}

/// The last `count` virtual tokens.
fn keep_last(all: &VirtualTokens, count: usize) -> VirtualTokens {
    let from = all.len() - count;
    if count == 0 {
        return VirtualTokens::none();
    }
    match &all.content {
        Content::None => VirtualTokens::none(),
        Content::Embeddings(rows) => VirtualTokens::embeddings(rows.clone().narrow(1, from, count)),
        Content::KeyValues(sites) => map_key_values(sites, |x| x.narrow(2, from, count)),
    }
}

/// The virtual tokens of one row.
fn one_row(all: &VirtualTokens, row: usize) -> VirtualTokens {
    match &all.content {
        Content::None => VirtualTokens::none(),
        Content::Embeddings(rows) => VirtualTokens::embeddings(rows.clone().narrow(0, row, 1)),
        Content::KeyValues(sites) => map_key_values(sites, |x| x.narrow(0, row, 1)),
    }
}

fn map_key_values(
    sites: &[SiteKeyValues],
    change: impl Fn(Tensor<4>) -> Tensor<4>,
) -> VirtualTokens {
    let sites = sites
        .iter()
        .map(|site| SiteKeyValues {
            site: site.site,
            layers: site
                .layers
                .iter()
                .map(|layer| {
                    layer.as_ref().map(|layer| LayerKeyValues {
                        key: change(layer.key.clone()),
                        value: change(layer.value.clone()),
                    })
                })
                .collect(),
        })
        .collect();
    VirtualTokens::key_values(sites)
}

/// 6. The geometry comes from the config: H / N is not D in the Llama here, and K is not N.
#[test]
fn p6_heads_follow_the_config() {
    let loaded = random_model(Family::Llama, Shape::default(), 1);
    let spec = loaded.model.spec();
    let site = spec.self_site().unwrap();
    assert_eq!((site.num_heads, site.num_kv_heads, site.head_dim), (4, 2, 6));
    assert_ne!(spec.hidden_size, site.num_heads * site.head_dim);
    let wrong = VirtualTokens::key_values(vec![SiteKeyValues {
        site: site.site,
        layers: vec![
            Some(LayerKeyValues {
                key: Tensor::zeros([1, 4, 3, 6], &device()),
                value: Tensor::zeros([1, 4, 3, 6], &device()),
            });
            2
        ],
    }]);
    let batch = TokenBatch::new(&[&[1, 2]], PaddingSide::Right);
    let error = loaded.model.forward(&batch, &wrong).unwrap_err().to_string();
    assert!(error.contains("[1, 4, 3, 6]") && error.contains("[1 or 1, 2, 3, 6]"), "{error}");
}
