//! What changes the scores of the next token before one is chosen, in transformers' order.

use super::GenerateConfig;

/// The tokens of a sequence so far. Virtual tokens are not among them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context<'a> {
    /// The tokens of the row, on an encoder-decoder those of the encoder.
    pub input: &'a [u32],
    /// The tokens that the model read before the first new one: the input, or the start token of a decoder.
    pub read: &'a [u32],
    /// The new tokens.
    pub new: &'a [u32],
    /// The most new tokens.
    pub longest: usize,
}

impl Context<'_> {
    fn all(&self) -> Vec<u32> {
        [self.read, self.new].concat()
    }

    /// Whether the sequence is too short to end.
    fn must_go_on(&self, config: &GenerateConfig) -> bool {
        let made = self.new.len();
        made < config.min_new_tokens || self.read.len() + made < config.min_total_tokens
    }

    /// Whether the next token is the first that is not forced.
    fn begins(&self, config: &GenerateConfig) -> bool {
        let forced = config.forced_bos.is_some() && self.read.len() == 1;
        self.new.len() == usize::from(forced)
    }
}

/// Whether [`adjust`] changes anything after `context`.
pub(super) fn adjusts(config: &GenerateConfig, context: Context<'_>) -> bool {
    let made = context.new.len();
    config.repetition_penalty != 1.0
        || config.no_repeat_ngram_size > 0
        || config.encoder_no_repeat_ngram_size > 0
        || !config.bad_words.is_empty()
        || context.must_go_on(config)
        || (config.forced_bos.is_some() && context.read.len() + made == 1)
        || (!config.forced_eos.is_empty() && made + 1 == context.longest)
        || !config.suppress_tokens.is_empty()
        || (!config.begin_suppress_tokens.is_empty() && context.begins(config))
}

/// Changes the scores `[V]` of the token after `context`: logits, or log-probabilities in a beam search.
pub(super) fn adjust(config: &GenerateConfig, context: Context<'_>, scores: &mut [f32]) {
    let made = context.new.len();
    if config.repetition_penalty != 1.0 {
        penalise(scores, context.all(), config.repetition_penalty);
    }
    for (size, tokens) in [
        (config.no_repeat_ngram_size, context.all().as_slice()),
        (config.encoder_no_repeat_ngram_size, context.input),
    ] {
        if size > 0 {
            rule_out(scores, &repeating(&context.all(), tokens, size));
        }
    }
    if !config.bad_words.is_empty() {
        rule_out(scores, &completing(&context.all(), config));
    }
    if context.must_go_on(config) {
        rule_out(scores, &config.end_tokens);
    }
    if let Some(forced) = config.forced_bos
        && context.read.len() + made == 1
    {
        force(scores, &[forced]);
    }
    if !config.forced_eos.is_empty() && made + 1 == context.longest {
        force(scores, &config.forced_eos);
    }
    rule_out(scores, &config.suppress_tokens);
    if context.begins(config) {
        rule_out(scores, &config.begin_suppress_tokens);
    }
}

/// Makes the tokens that occurred less likely, each once, however often it did.
fn penalise(scores: &mut [f32], mut seen: Vec<u32>, penalty: f32) {
    seen.sort_unstable();
    seen.dedup();
    for id in seen {
        if let Some(score) = scores.get_mut(id as usize) {
            *score = if *score < 0.0 { *score * penalty } else { *score / penalty };
        }
    }
}

/// The tokens after which `before` would end with `size` tokens that stand in a row in `tokens`.
fn repeating(before: &[u32], tokens: &[u32], size: usize) -> Vec<u32> {
    let Some(start) = (before.len() + 1).checked_sub(size) else { return Vec::new() };
    let end = &before[start..];
    let rows = tokens.windows(size).filter_map(<[u32]>::split_last);
    rows.filter(|(_, first)| *first == end).map(|(last, _)| *last).collect()
}

/// The tokens that would complete one of the bad words.
fn completing(before: &[u32], config: &GenerateConfig) -> Vec<u32> {
    let may_come = |word: &[u32]| matches!(word, [id] if config.end_tokens.contains(id));
    let words = config.bad_words.iter().filter(|word| !may_come(word));
    let words = words.filter_map(|word| word.split_last());
    words.filter(|(_, first)| before.ends_with(first)).map(|(last, _)| *last).collect()
}

fn rule_out(scores: &mut [f32], ids: &[u32]) {
    set(scores, ids, f32::NEG_INFINITY);
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
        let context = Context { input: &[0, 1, 2, 1], read, new, longest: config.max_new_tokens };
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
    fn what_stands_in_a_row_comes_once() {
        let none = f32::NEG_INFINITY;
        let config = |size| GenerateConfig::new(9).with_no_repeat_ngram_size(size);
        assert_eq!(adjusted(&config(1), &[0], &[3]), [none, -1.0, 0.5, none]);
        assert_eq!(adjusted(&config(2), &[0, 1, 0], &[2, 0]), [2.0, none, none, 4.0]);
        assert_eq!(adjusted(&config(3), &[0, 1, 2], &[0, 1]), [2.0, -1.0, none, 4.0]);
        assert_eq!(adjusted(&config(3), &[0], &[]), [2.0, -1.0, 0.5, 4.0]);
        assert_eq!(adjusted(&config(3), &[0], &[9]), [2.0, -1.0, 0.5, 4.0]);
        // The input is 0 1 2 1.
        let config = |size| GenerateConfig::new(9).with_encoder_no_repeat_ngram_size(size);
        assert_eq!(adjusted(&config(1), &[3], &[]), [none, none, none, 4.0]);
        assert_eq!(adjusted(&config(2), &[3], &[1]), [2.0, -1.0, none, 4.0]);
        assert_eq!(adjusted(&config(2), &[3], &[3]), [2.0, -1.0, 0.5, 4.0]);
        assert_eq!(adjusted(&config(3), &[3], &[1, 2]), [2.0, none, 0.5, 4.0]);
        assert_eq!(adjusted(&config(4), &[3], &[]), [2.0, -1.0, 0.5, 4.0]);
    }

    #[test]
    fn suppressed_tokens_and_bad_words_do_not_come() {
        let none = f32::NEG_INFINITY;
        let config = GenerateConfig::new(9)
            .with_suppress_tokens(vec![0])
            .with_begin_suppress_tokens(vec![1])
            .with_bad_words(vec![vec![3], vec![1, 2], vec![9, 9, 2]]);
        assert_eq!(adjusted(&config, &[0, 0], &[]), [none, none, 0.5, none]);
        assert_eq!(adjusted(&config, &[0], &[1]), [none, -1.0, none, none]);
        assert_eq!(adjusted(&config, &[0], &[1, 9]), [none, -1.0, 0.5, none]);
        assert_eq!(adjusted(&config, &[0], &[9, 9]), [none, -1.0, none, none]);
        // An end token may come, and a forced token moves the beginning.
        let config = config.with_end_tokens(vec![3]).with_forced_bos(Some(1));
        assert_eq!(adjusted(&config, &[9], &[0]), [none, none, 0.5, 4.0]);
    }

    #[test]
    fn end_tokens_are_suppressed_and_forced() {
        let none = f32::NEG_INFINITY;
        let config = GenerateConfig::new(3).with_end_tokens(vec![3, 2]).with_min_new_tokens(2);
        assert_eq!(adjusted(&config, &[0], &[1]), [2.0, -1.0, none, none]);
        assert_eq!(adjusted(&config, &[0], &[1, 1]), [2.0, -1.0, 0.5, 4.0]);
        let total = config.clone().with_min_new_tokens(0).with_min_total_tokens(3);
        assert_eq!(adjusted(&total, &[0], &[1]), [2.0, -1.0, none, none]);
        assert_eq!(adjusted(&total, &[0, 0], &[1]), [2.0, -1.0, 0.5, 4.0]);
        let config = config.with_forced_bos(Some(1)).with_forced_eos(vec![3]);
        assert_eq!(adjusted(&config, &[0], &[]), [none, 0.0, none, none]);
        assert_eq!(adjusted(&config, &[0, 0], &[]), [2.0, -1.0, none, none]);
        assert_eq!(adjusted(&config, &[0], &[1, 1]), [none, none, none, 0.0]);
    }
}
