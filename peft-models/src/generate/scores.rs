//! What changes the scores of the next token before one is chosen, in transformers' order.

use super::GenerateConfig;

/// The tokens of a sequence so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context<'a> {
    /// The tokens that the model read before the first new one: the input, or the start token of a decoder.
    pub read: &'a [u32],
    /// The new tokens.
    pub new: &'a [u32],
}

/// Whether [`adjust`] changes anything after `context`.
pub(super) fn adjusts(config: &GenerateConfig, context: Context<'_>) -> bool {
    let made = context.new.len();
    config.repetition_penalty != 1.0
        || made < config.min_new_tokens
        || (config.forced_bos.is_some() && context.read.len() + made == 1)
        || (!config.forced_eos.is_empty() && made + 1 == config.max_new_tokens)
}

/// Changes the scores `[V]` of the token after `context`: logits, or log-probabilities in a beam search.
pub(super) fn adjust(config: &GenerateConfig, context: Context<'_>, scores: &mut [f32]) {
    let made = context.new.len();
    if config.repetition_penalty != 1.0 {
        let mut seen = [context.read, context.new].concat();
        // Each token once, however often it occurs.
        seen.sort_unstable();
        seen.dedup();
        for id in seen {
            if let Some(score) = scores.get_mut(id as usize) {
                let penalty = config.repetition_penalty;
                *score = if *score < 0.0 { *score * penalty } else { *score / penalty };
            }
        }
    }
    if made < config.min_new_tokens {
        set(scores, &config.end_tokens, f32::NEG_INFINITY);
    }
    if let Some(forced) = config.forced_bos
        && context.read.len() + made == 1
    {
        force(scores, &[forced]);
    }
    if !config.forced_eos.is_empty() && made + 1 == config.max_new_tokens {
        force(scores, &config.forced_eos);
    }
}

fn set(scores: &mut [f32], ids: &[u32], value: f32) {
    for id in ids {
        if let Some(score) = scores.get_mut(*id as usize) {
            *score = value;
        }
    }
}

fn force(scores: &mut [f32], ids: &[u32]) {
    scores.fill(f32::NEG_INFINITY);
    set(scores, ids, 0.0);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adjusted(config: &GenerateConfig, read: &[u32], new: &[u32]) -> Vec<f32> {
        let mut scores = vec![2.0, -1.0, 0.5, 4.0];
        let context = Context { read, new };
        let before = scores.clone();
        adjust(config, context, &mut scores);
        assert!(adjusts(config, context) || scores == before);
        scores
    }

    #[test]
    fn a_token_is_penalised_once_however_often_it_occurred() {
        let config = GenerateConfig::new(9).with_repetition_penalty(2.0);
        // 9 is outside this head's vocabulary.
        assert_eq!(adjusted(&config, &[0, 0, 9], &[1, 1]), [1.0, -2.0, 0.5, 4.0]);
    }

    #[test]
    fn end_tokens_are_suppressed_and_forced() {
        let none = f32::NEG_INFINITY;
        let config = GenerateConfig::new(3).with_end_tokens(vec![3, 2]).with_min_new_tokens(2);
        assert_eq!(adjusted(&config, &[0], &[1]), [2.0, -1.0, none, none]);
        assert_eq!(adjusted(&config, &[0], &[1, 1]), [2.0, -1.0, 0.5, 4.0]);
        let config = config.with_forced_bos(Some(1)).with_forced_eos(vec![3]);
        assert_eq!(adjusted(&config, &[0], &[]), [none, 0.0, none, none]);
        assert_eq!(adjusted(&config, &[0, 0], &[]), [2.0, -1.0, none, none]);
        assert_eq!(adjusted(&config, &[0], &[1, 1]), [none, none, none, 0.0]);
    }
}
