//! The likelihood of a continuation is that of the row with it, read at once.

use peft_core::{
    FrozenModel, Task, VirtualTokens,
    data::{Example, IGNORE, Target},
    evaluate::Predictor,
};
use peft_models::generate::{GenerateConfig, log_likelihoods};
use peft_tests::{
    Family, Shape, random_model,
    strategies::{cases, decoder, encoder_decoder, ids},
    virtual_tokens::prompt_of,
};
use proptest::{collection::vec, prelude::*};

use crate::support::slices;

/// The first token of a decoder.
const START: u32 = 1;

/// By the loss of one example.
fn expected(model: &dyn FrozenModel, own: &VirtualTokens, row: &[u32], after: &[u32]) -> f64 {
    let targets: Vec<i64> = after.iter().map(|id| i64::from(*id)).collect();
    let (task, example) = match model.spec().is_encoder_decoder() {
        true => {
            let read = [&[START], &after[..after.len() - 1]].concat();
            let example = Example::new(row.to_vec(), Target::Tokens(targets), 1);
            (Task::Seq2SeqLm, Example { decoder_input_ids: Some(read), ..example })
        }
        false => {
            let targets = [vec![IGNORE; row.len()], targets].concat();
            (Task::CausalLm, Example::new([row, after].concat(), Target::Tokens(targets), 1))
        }
    };
    let predictor = Predictor::new(model, own, None, task).unwrap();
    let loss = predictor.evaluate(&[example], None).unwrap().get("loss").unwrap();
    -loss * after.len() as f64
}

fn check(family: Family, rows: &[Vec<u32>], classes: &[Vec<u32>], words: &[u32], seed: u64) {
    let loaded = random_model(family, Shape::default(), seed);
    let model = loaded.model.as_ref();
    let own = match words {
        [] => VirtualTokens::none(),
        _ => prompt_of(model, words),
    };
    for batch_size in [1, 4, 64] {
        let config =
            GenerateConfig::new(0).with_batch_size(batch_size).with_decoder_start(Some(START));
        let found = log_likelihoods(model, &slices(rows), classes, &own, &config).unwrap();
        assert_eq!((found.len(), found[0].len()), (rows.len(), classes.len()));
        for (row, found) in rows.iter().zip(&found) {
            for (class, found) in classes.iter().zip(found) {
                let expected = expected(model, &own, row, class);
                let difference = (found - expected).abs() / expected.abs().max(1.0);
                assert!(difference < 1e-4, "{family:?} {row:?} {class:?}: {found}, not {expected}");
            }
        }
    }
}

proptest! {
    #![proptest_config(cases(12))]

    #[test]
    fn classes_after_a_row_of_a_decoder(
        family in decoder(), rows in vec(ids(1..8), 1..4), classes in vec(ids(1..5), 1..4),
        words in ids(0..4), seed: u64,
    ) {
        check(family, &rows, &classes, &words, seed);
    }

    #[test]
    fn classes_after_a_row_of_an_encoder_decoder(
        family in encoder_decoder(), rows in vec(ids(1..8), 1..4), classes in vec(ids(1..5), 1..4),
        words in ids(0..4), seed: u64,
    ) {
        check(family, &rows, &classes, &words, seed);
    }
}

#[test]
fn what_cannot_be_read_is_refused() {
    let loaded = random_model(Family::Gpt2, Shape::default(), 3);
    let model = loaded.model.as_ref();
    let of = |rows: &[&[u32]], classes: &[Vec<u32>]| {
        let none = VirtualTokens::none();
        log_likelihoods(model, rows, classes, &none, &GenerateConfig::new(0))
            .map_err(|e| e.to_string())
    };
    assert!(of(&[&[1]], &[vec![]]).unwrap_err().contains("continuation 0 has the tokens []"));
    assert!(of(&[&[1]], &[vec![2], vec![999]]).unwrap_err().contains("continuation 1"));
    assert!(of(&[&[]], &[vec![2]]).unwrap_err().contains("row 0 has no tokens"));
    assert!(of(&[&[1; 60]], &[vec![2; 9]]).unwrap_err().contains("exceed the model's limit of 64"));
    assert_eq!(of(&[], &[vec![2]]).unwrap().len(), 0);
    let encoder = random_model(Family::Bert, Shape::default(), 3);
    let refused = log_likelihoods(
        encoder.model.as_ref(),
        &[&[1]],
        &[vec![2]],
        &VirtualTokens::none(),
        &GenerateConfig::new(0),
    );
    assert!(refused.is_err());
}
