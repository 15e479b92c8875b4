//! The softmax of one query's scores and its derivative.

use super::{
    super::{
        super::Scores,
        simd::{dot_body, exp, max_body, mul_add, sum_body, vectorised},
    },
    plan::Row,
};

/// The score of a hidden key.
const HIDDEN: f32 = Scores::HIDDEN as f32;

vectorised! {
    fn scale<FMA>(scores: &mut [f32], factor: f32) {
        for score in scores.iter_mut() {
            *score *= factor;
        }
    }

    fn scale_and_add<FMA>(scores: &mut [f32], factor: f32, bias: &[f32]) {
        for (score, bias) in scores.iter_mut().zip(bias) {
            *score = mul_add::<FMA>(*score, factor, *bias);
        }
    }

    fn hide<FMA>(scores: &mut [f32], hidden: &[u8]) {
        for (score, hidden) in scores.iter_mut().zip(hidden) {
            *score = if *hidden == 0 { *score } else { HIDDEN };
        }
    }

    /// In place; returns the largest score and the inverse of the denominator.
    fn softmax<FMA>(scores: &mut [f32]) -> [f32; 2] {
        let largest = max_body(scores);
        for score in scores.iter_mut() {
            *score = exp::<FMA>(*score - largest);
        }
        let sum = sum_body::<FMA>(scores);
        let inverse = 1.0 / sum;
        for score in scores.iter_mut() {
            *score *= inverse;
        }
        [largest, inverse]
    }

    /// The softmax again, from what it returned.
    fn softmax_again<FMA>(scores: &mut [f32], largest: f32, inverse: f32) {
        for score in scores.iter_mut() {
            *score = exp::<FMA>(*score - largest) * inverse;
        }
    }

    /// `ds = factor p (dp - Σ p dp)`, in place of `dp`.
    fn softmax_gradient<FMA>(weights: &[f32], gradient: &mut [f32], factor: f32) {
        let along = dot_body::<FMA>(weights, gradient);
        for (gradient, weight) in gradient.iter_mut().zip(weights) {
            *gradient = factor * weight * (*gradient - along);
        }
    }
}

/// Turns the products of a query and keys into scores.
fn finish(products: &mut [f32], factor: f32, row: Row<'_>) {
    match row.bias {
        Some(bias) => {
            of_each(products, bias, |products, bias| scale_and_add(products, factor, bias));
        }
        None => scale(products, factor),
    }
    if let Some(hidden) = row.hidden {
        of_each(products, hidden, hide);
    }
}

/// For virtual tokens, then for tokens.
fn of_each<T>(products: &mut [f32], added: [&[T]; 2], change: impl Fn(&mut [f32], &[T])) {
    let (of_virtual, of_tokens) = products.split_at_mut(added[0].len());
    change(of_virtual, added[0]);
    change(of_tokens, added[1]);
}

/// Turns the products of a query and keys into weights; returns the moments of the softmax, which are its largest score
/// and the inverse of its denominator.
pub(super) fn weights(products: &mut [f32], factor: f32, row: Row<'_>) -> [f32; 2] {
    finish(products, factor, row);
    softmax(products)
}

/// The same weights again, from the moments.
pub(super) fn weights_again(products: &mut [f32], factor: f32, row: Row<'_>, moments: &[f32]) {
    finish(products, factor, row);
    softmax_again(products, moments[0], moments[1]);
}

/// The gradient of the products, from that of the weights.
pub(super) fn gradient(weights: &[f32], gradient: &mut [f32], factor: f32) {
    softmax_gradient(weights, gradient, factor);
}
