//! Texts that models continue greedily with a cache, and how far a text is from the one that is expected.

use peft_core::{FrozenModel, Result, VirtualTokens};
use peft_models::{
    generate::{GenerateConfig, generate, log_likelihoods},
    random_model::Family,
};

use super::{
    difference::Worst,
    rows::{ROWS, SEED},
    trainables::{Method, virtual_tokens},
};

/// New tokens of each row.
const NEW_TOKENS: usize = 8;

/// The texts that one kind of virtual tokens leads to, one for each row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Texts {
    /// Which virtual tokens.
    pub at: &'static str,
    /// Token ids.
    pub ids: Vec<Vec<u32>>,
}

/// The virtual tokens whose texts are compared.
fn each(model: &dyn FrozenModel, family: Family) -> Result<Vec<(&'static str, VirtualTokens)>> {
    let mut all = vec![("the model alone", VirtualTokens::none())];
    for method in Method::ALL {
        all.push((method.name(), virtual_tokens(method, family, model, SEED)?));
    }
    Ok(all)
}

/// A decoder of an encoder-decoder starts from the first token.
fn config() -> GenerateConfig {
    GenerateConfig::new(NEW_TOKENS).with_decoder_start(Some(0))
}

/// Continues all rows, by the model alone and by each method.
///
/// # Errors
///
/// Those of the model.
pub fn texts(model: &dyn FrozenModel, family: Family) -> Result<Vec<Texts>> {
    let of = |(at, virtual_tokens): (&'static str, VirtualTokens)| {
        let made = generate(model, &ROWS, &virtual_tokens, &config(), &mut ())?;
        let ids = made.into_iter().flatten().map(|sequence| sequence.ids).collect();
        Ok(Texts { at, ids })
    };
    each(model, family)?.into_iter().map(of).collect()
}

/// How much less likely, in nats, the first token is in which a text differs from what is expected, by the model that is
/// the measure: rounding decides only between tokens that are equally likely.
///
/// # Errors
///
/// Those of the model; a text of another length, or one that is missing, is infinitely far.
pub fn worst(
    measure: &dyn FrozenModel,
    family: Family,
    found: &[Texts],
    expected: &[Texts],
) -> Result<Worst> {
    let mut worst = Worst::default();
    let each = each(measure, family)?;
    // What is missing is not looked at below.
    let is_whole = |texts: &[Texts]| {
        texts.len() == each.len() && texts.iter().all(|text| text.ids.len() == ROWS.len())
    };
    if !is_whole(found) || !is_whole(expected) {
        worst.take(f64::INFINITY, "the number of texts");
    }
    for ((at, virtual_tokens), (found, expected)) in
        each.into_iter().zip(found.iter().zip(expected))
    {
        for ((row, found), expected) in ROWS.iter().zip(&found.ids).zip(&expected.ids) {
            let differs =
                found.iter().zip(expected).position(|(found, expected)| found != expected);
            let gap = match differs {
                _ if found.len() != expected.len() => f64::INFINITY,
                None => 0.0,
                Some(place) => {
                    let up_to = |end: u32| [&expected[..place], &[end]].concat();
                    let both = [up_to(expected[place]), up_to(found[place])];
                    let likely =
                        log_likelihoods(measure, &[row], &both, &virtual_tokens, &config())?;
                    likely.first().map_or(f64::INFINITY, |of_row| of_row[0] - of_row[1])
                }
            };
            worst.take(gap.abs(), at);
        }
    }
    Ok(worst)
}

/// How much likelier or less likely, in nats, a model finds the texts that another one made, at most: rounding may decide
/// between tokens that are as near as that.
///
/// # Errors
///
/// Those of the models.
pub fn moved([one, other]: [&dyn FrozenModel; 2], family: Family, made: &[Texts]) -> Result<f64> {
    let mut most = 0.0f64;
    for (((_, tokens), (_, of_other)), texts) in
        each(one, family)?.into_iter().zip(each(other, family)?).zip(made)
    {
        for (row, ids) in ROWS.iter().zip(&texts.ids) {
            let of = |model: &dyn FrozenModel, tokens: &VirtualTokens| -> Result<f64> {
                let likely =
                    log_likelihoods(model, &[row], std::slice::from_ref(ids), tokens, &config())?;
                Ok(likely.first().and_then(|of_row| of_row.first()).copied().unwrap_or(f64::NAN))
            };
            let off = of(one, &tokens)? - of(other, &of_other)?;
            // What is no number says nothing about the rest.
            most = if off.is_nan() { f64::INFINITY } else { off.abs().max(most) };
        }
    }
    Ok(most)
}

/// How far texts of one token are from those that are expected.
///
/// # Errors
///
/// Those of the model.
pub fn of_one_token(
    measure: &dyn FrozenModel,
    family: Family,
    expected: &[Texts],
) -> Result<Worst> {
    let mut texts = expected.to_vec();
    texts.iter_mut().flat_map(|texts| &mut texts.ids).for_each(|ids| ids.fill(0));
    worst(measure, family, &texts, expected)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use burn::tensor::Device;
    use peft_models::{LoadOptions, WeightFormat};

    use super::*;
    use crate::selftest::rows;

    #[test]
    fn rounding_moves_likelihoods_by_less_than_another_token() {
        for family in Family::CAUSAL.into_iter().chain(Family::ENCODER_DECODER) {
            let model = |weights| {
                let options = LoadOptions { weights, ..LoadOptions::default() };
                rows::model(family, &Device::default(), options).unwrap()
            };
            let (exact, rounded) = (model(WeightFormat::F32), model(WeightFormat::Bf16));
            let exact = exact.model.as_ref();
            let expected = texts(exact, family).unwrap();
            assert_eq!(moved([exact, exact], family, &expected).unwrap(), 0.0);
            let off = moved([exact, rounded.model.as_ref()], family, &expected).unwrap();
            let far = of_one_token(exact, family, &expected).unwrap().difference;
            assert!(off > 0.0 && 2.0 * off < far && far.is_finite(), "{family:?}: {off} {far}");
        }
    }

    #[test]
    fn another_token_is_as_far_as_it_is_less_likely() {
        for family in [Family::Llama, Family::T5] {
            let options = LoadOptions::default();
            let loaded = rows::model(family, &Device::default(), options).unwrap();
            let model = loaded.model.as_ref();
            let expected = texts(model, family).unwrap();
            let far = |found: &[Texts]| worst(model, family, found, &expected).unwrap();
            assert_eq!(far(&expected).difference, 0.0);
            let mut other = expected.clone();
            let token = &mut other[1].ids[2][4];
            *token = (*token + 1) % 23;
            let found = far(&other);
            assert!(found.difference > 1e-3 && found.at == "prompt", "{family:?}: {found:?}");
            other[1].ids[2].pop();
            assert_eq!(far(&other).difference, f64::INFINITY);
            let missing = Worst { difference: f64::INFINITY, at: "the number of texts" };
            assert_eq!(far(&expected[..3]), missing);
            assert_eq!(far(&[]), missing);
            let mut short = expected.clone();
            short[0].ids.pop();
            assert_eq!(far(&short), missing);
        }
    }
}
