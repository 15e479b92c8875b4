//! Perplexity of a language model.

/// The exponential of the mean negative log-likelihood per token, in nats, which is the mean loss.
///
/// Infinite if the exponential exceeds the range of `f64`, NaN if the mean is NaN.
pub fn perplexity(mean_nll: f64) -> f64 {
    mean_nll.exp()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_uniform_guess_has_the_vocabulary_as_perplexity() {
        assert!((perplexity(50257f64.ln()) - 50257.0).abs() < 1e-9);
        assert_eq!(perplexity(0.0), 1.0);
        assert_eq!(perplexity(1e4), f64::INFINITY);
        assert!(perplexity(f64::NAN).is_nan());
    }
}
