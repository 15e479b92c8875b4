//! Drawing a token by its probability.

use std::cmp::Ordering;

use rand::Rng;

use super::Sampling;

/// Draws a token by the softmax of `scores` `[V]` over the temperature, restricted to the `top_k` likeliest tokens and
/// then to the nucleus of probability `top_p`, as in transformers. `None` if all scores are NaN or minus infinity.
pub(super) fn draw(scores: &[f32], sampling: &Sampling, rng: &mut impl Rng) -> Option<u32> {
    let candidates = candidates(scores, sampling);
    let total: f64 = candidates.iter().map(|(_, weight)| weight).sum();
    // One random number per draw whatever the settings, so that the draws of a sequence stay in step.
    let mut left = rng.random::<f64>() * total;
    for (id, weight) in &candidates {
        left -= weight;
        if left < 0.0 {
            return Some(*id);
        }
    }
    // Rounding left a remainder.
    candidates.iter().rev().find(|(_, weight)| *weight > 0.0).map(|(id, _)| *id)
}

/// The tokens that may be drawn, with their probabilities up to a common factor.
fn candidates(scores: &[f32], sampling: &Sampling) -> Vec<(u32, f64)> {
    let mut kept: Vec<(u32, f32)> = (0u32..)
        .zip(scores.iter().copied())
        .filter(|(_, score)| *score > f32::NEG_INFINITY)
        .collect();
    if let Some(k) = sampling.top_k
        && k < kept.len()
    {
        let (_, (_, last), _) = kept.select_nth_unstable_by(k - 1, likeliest_first);
        let last = *last;
        kept.retain(|(_, score)| *score >= last);
    }
    if sampling.top_k.is_some() || sampling.top_p < 1.0 {
        kept.sort_unstable_by(likeliest_first);
    }
    let best = kept.iter().map(|(_, score)| *score).fold(f32::NEG_INFINITY, f32::max);
    let temperature = f64::from(sampling.temperature);
    let mut weighted: Vec<(u32, f64)> = kept
        .into_iter()
        .map(|(id, score)| (id, (f64::from(score - best) / temperature).exp()))
        .collect();
    if sampling.top_p < 1.0 {
        let wanted = f64::from(sampling.top_p) * weighted.iter().map(|(_, w)| w).sum::<f64>();
        let mut above = 0.0;
        // A token stays while those before it have not reached the probability; the first always does.
        let len = weighted.iter().take_while(|(_, weight)| {
            let stays = above < wanted;
            above += weight;
            stays
        });
        let len = len.count();
        weighted.truncate(len);
    }
    weighted
}

/// By descending score; equal ones by id.
fn likeliest_first(a: &(u32, f32), b: &(u32, f32)) -> Ordering {
    b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use peft_core::contract::rng;

    fn ids(scores: &[f32], sampling: &Sampling) -> Vec<u32> {
        candidates(scores, sampling).iter().map(|(id, _)| *id).collect()
    }

    #[test]
    fn the_likeliest_are_kept() {
        let scores: Vec<f32> = [0.1f32, 0.4, 0.2, 0.0, 0.3].map(f32::ln).to_vec();
        let all = Sampling::default();
        assert_eq!(ids(&scores, &all), [0, 1, 2, 4]);
        assert_eq!(ids(&scores, &all.clone().with_top_k(Some(2))), [1, 4]);
        assert_eq!(ids(&scores, &all.clone().with_top_k(Some(9))), [1, 4, 2, 0]);
        assert_eq!(ids(&scores, &all.clone().with_top_p(0.65)), [1, 4]);
        assert_eq!(ids(&scores, &all.clone().with_top_p(0.75)), [1, 4, 2]);
        assert_eq!(ids(&scores, &all.clone().with_top_p(1e-6)), [1]);
        // The nucleus is that of what top_k leaves: 0.4 / 0.7.
        let both = all.clone().with_top_k(Some(2)).with_top_p(0.5);
        assert_eq!(ids(&scores, &both), [1]);
        // Tokens as likely as the last one stay too.
        assert_eq!(ids(&[1.0, 0.0, 1.0, 1.0], &all.with_top_k(Some(2))), [0, 2, 3]);
    }

    #[test]
    fn nothing_is_drawn_from_nothing() {
        let sampling = Sampling::default();
        let mut rng = rng::stream(0, 0, "test");
        assert_eq!(draw(&[f32::NEG_INFINITY; 3], &sampling, &mut rng), None);
        assert_eq!(draw(&[f32::NAN; 3], &sampling, &mut rng), None);
    }

    /// Frequencies of 20,000 draws against softmax(scores / temperature): Pearson's statistic, whose 0.1 %
    /// point with 4 degrees of freedom is 18.5.
    #[test]
    fn draws_follow_the_softmax() {
        let scores = [0.3f32, -1.2, 1.7, 0.0, 0.9];
        for (temperature, seed) in [(1.0f32, 1), (0.6, 2), (2.5, 3)] {
            let sampling = Sampling::default().with_temperature(temperature);
            let mut rng = rng::stream(seed, 0, "test");
            let mut counts = [0f64; 5];
            for _ in 0..20_000 {
                counts[draw(&scores, &sampling, &mut rng).unwrap() as usize] += 1.0;
            }
            let weights = scores.map(|score| f64::from(score / temperature).exp());
            let total: f64 = weights.iter().sum();
            let statistic: f64 = counts
                .iter()
                .zip(weights)
                .map(|(count, weight)| (weight / total * 20_000.0, count))
                .map(|(expected, count)| (count - expected).powi(2) / expected)
                .sum();
            assert!(statistic < 18.5, "temperature {temperature}: {statistic}");
        }
    }
}
