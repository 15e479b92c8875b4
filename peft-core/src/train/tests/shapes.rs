//! Batches on a device that tunes its kernels to shapes: of few lengths, and with the same numbers.

use super::*;
use crate::{
    Mode, VirtualTokens,
    contract::{
        batch::TokenBatch,
        length_multiple::{LENGTH_MULTIPLE, to_few_lengths},
    },
    data::{Target, packed_batch, token_batch},
};

impl Case {
    /// The same case on a device that tunes its kernels to shapes.
    fn tuned(mut self) -> Self {
        self.model.tunes = true;
        self
    }

    /// The lengths of the batches that the model was given.
    fn lengths(&self) -> Vec<usize> {
        self.model.lengths.lock().unwrap().iter().copied().collect()
    }
}

fn near(found: f64, expected: f64) -> bool {
    (found - expected).abs() <= 1e-4 * (1.0 + expected.abs())
}

#[test]
fn runs_on_padded_batches_are_the_same_but_for_rounding() {
    let sides = [PaddingSide::Right, PaddingSide::Left];
    for (case, padding) in CASES.into_iter().flat_map(|case| sides.map(|side| (case, side))) {
        let packs: &[bool] = if case.0 == Task::CausalLm { &[false, true] } else { &[false] };
        for packing in packs {
            let config = TrainConfig {
                packing: *packing,
                padding,
                eval_every: Some(3),
                // What Adam makes of a gradient is of one size, even if that is nothing but rounding.
                optimizer: OptimizerConfig::Sgd(Sgd::default()),
                ..config(case.0, 6)
            };
            let run = |case: Case| {
                let mut watch = Watch::default();
                let outcome = case.run(&config, &anywhere(), 0.2, &mut watch).unwrap();
                (watch.reports, outcome, case.lengths())
            };
            let (expected, whole, given) = run(Case::new(case));
            let (found, padded, lengths) = run(Case::new(case).tuned());
            assert!(given.iter().any(|length| length % LENGTH_MULTIPLE != 0), "{given:?}");
            assert!(lengths.iter().all(|length| length % LENGTH_MULTIPLE == 0), "{lengths:?}");
            assert_eq!((found.len(), expected.len()), (6, 6));
            for (found, expected) in found.iter().zip(&expected) {
                assert_eq!((found.tokens, found.labelled), (expected.tokens, expected.labelled));
                let (loss, norm) = (expected.loss, expected.grad_norm.unwrap());
                assert!(near(found.loss, loss), "{case:?} {padding:?}: {} {loss}", found.loss);
                let found = found.grad_norm.unwrap();
                assert!(near(found, norm), "{case:?} {padding:?}: {found} {norm}");
            }
            assert_eq!(padded.history.len(), whole.history.len());
            assert!(padded.history.len() > 1);
            for (found, expected) in padded.history.iter().zip(&whole.history) {
                let loss = |of: &Evaluation| of.metrics.get("loss").unwrap();
                assert!(near(loss(found), loss(expected)), "{case:?} {padding:?}");
            }
            let parameters = whole.trainable.parameters().unwrap();
            for (name, data) in padded.trainable.parameters().unwrap() {
                let pairs = data.iter::<f64>().zip(parameters[&name].iter::<f64>());
                pairs.for_each(|(found, expected)| assert!(near(found, expected), "{name}"));
            }
        }
    }
}

/// A row of so many tokens.
fn row(tokens: usize) -> Example {
    Example::new(vec![1; tokens], Target::Tokens(vec![1; tokens]), 1)
}

/// 32 positions, of which three are taken, and 16 of a decoder behind an encoder, of which none are.
#[test]
fn rows_are_not_padded_beyond_the_positions() {
    let padded = |case: Case, batch: TokenBatch| {
        let virtual_tokens = case.trainable(0.0).method.virtual_tokens(Mode::Evaluate);
        to_few_lengths(batch, &case.model, &virtual_tokens)
    };
    let batch = |tokens| token_batch(&[&row(tokens), &row(1)], PaddingSide::Right);
    for case in [CASES[0], CASES[1], CASES[2], CASES[4]] {
        let long = |tokens| padded(Case::new(case).tuned(), batch(tokens)).len();
        assert_eq!([1, 16, 17, 29].map(long), [16, 16, 29, 29]);
        // What a model refuses stays what it is.
        assert_eq!(long(30), 30);
        assert_eq!(padded(Case::new(case), batch(17)).len(), 17);
    }
    let case = || Case::new(CASES[0]).tuned();
    let bare = |tokens| to_few_lengths(batch(tokens), &case().model, &VirtualTokens::none()).len();
    assert_eq!([17, 30].map(bare), [32, 32]);
    // Examples of packed rows have all positions to themselves.
    let packed = packed_batch(&[&row(20), &row(14)], &[2], PaddingSide::Left);
    let packed = padded(case(), packed);
    assert_eq!((packed.len(), packed.example(1).start), (48, 34));
    let nothing = TokenBatch::new(&[&[]], PaddingSide::Right);
    assert!(padded(case(), nothing).is_empty());
    for case in [CASES[5], CASES[6]] {
        let of_decoder = |tokens| {
            let batch =
                batch(2).with_decoder(TokenBatch::new(&[&vec![1; tokens]], PaddingSide::Right));
            let batch = padded(Case::new(case).tuned(), batch);
            (batch.len(), batch.decoder().unwrap().len())
        };
        assert_eq!([1, 16, 17].map(of_decoder), [(16, 16), (16, 16), (16, 17)]);
    }
}
