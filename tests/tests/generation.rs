//! Generation: its results, how a watcher follows it, and what it refuses.

mod defaults;
mod likelihoods;
mod program;
mod properties;
mod references;

use burn::tensor::Tensor;
use peft_core::{Error, FrozenModel, VirtualTokens};
use peft_models::generate::{Beams, GenerateConfig, Generated, Sampling, Watcher, generate};
use peft_tests::{
    Family, Shape,
    altered::{Alteration, Altered},
    random_model,
};

/// The continuations of rows.
pub fn sequences(
    model: &dyn FrozenModel,
    rows: &[&[u32]],
    virtual_tokens: &VirtualTokens,
    config: &GenerateConfig,
) -> Vec<Vec<Vec<u32>>> {
    let made = generate(model, rows, virtual_tokens, config, &mut ()).unwrap();
    made.into_iter().map(|row| row.into_iter().map(|sequence| sequence.ids).collect()).collect()
}

/// Records what it is told, and ends sequences at a token.
#[derive(Default)]
struct Recorder {
    tokens: Vec<(usize, usize, u32)>,
    done: Vec<usize>,
    end: Option<u32>,
}

impl Watcher for Recorder {
    fn token(&mut self, row: usize, sequence: usize, token: u32) {
        self.tokens.push((row, sequence, token));
    }

    fn ends(&mut self, _: usize, new_tokens: &[u32]) -> bool {
        self.end.is_some() && new_tokens.last() == self.end.as_ref()
    }

    fn row_done(&mut self, row: usize) {
        self.done.push(row);
    }
}

#[test]
fn a_watcher_sees_every_token_and_may_end_a_sequence() {
    let loaded = random_model(Family::Llama, Shape::default(), 5);
    let model = loaded.model.as_ref();
    let rows: [&[u32]; 3] = [&[1, 2, 3, 4], &[5], &[6, 7]];
    let none = VirtualTokens::none();
    let sampling = Sampling::default().with_temperature(2.0);
    let config = GenerateConfig::new(12).with_sampling(sampling).with_num_return_sequences(2);
    let run = |config: &GenerateConfig, end: Option<u32>| {
        let mut recorder = Recorder { end, ..Recorder::default() };
        let made = generate(model, &rows, &none, config, &mut recorder).unwrap();
        recorder.done.sort_unstable();
        assert_eq!(recorder.done, [0, 1, 2]);
        (made, recorder.tokens)
    };
    let told = |tokens: &[(usize, usize, u32)], made: &[Vec<Generated>]| {
        for (row, sequences) in made.iter().enumerate() {
            for (number, sequence) in sequences.iter().enumerate() {
                let own = tokens.iter().filter(|token| (token.0, token.1) == (row, number));
                assert_eq!(own.map(|token| token.2).collect::<Vec<_>>(), sequence.ids);
            }
        }
    };
    let (made, tokens) = run(&config, None);
    told(&tokens, &made);
    // Ended by the watcher: the same, cut after the token.
    let end = made[1][0].ids[4];
    let (ended, tokens) = run(&config, Some(end));
    told(&tokens, &ended);
    for (whole, cut) in made.iter().flatten().zip(ended.iter().flatten()) {
        let len = whole.ids.iter().position(|id| *id == end).map_or(12, |at| at + 1);
        assert_eq!(cut.ids, whole.ids[..len]);
    }
    // In a beam search, a sequence that the watcher ends is one that an end token ends.
    let beams = GenerateConfig::new(12).with_beams(Beams::new(3));
    let expected =
        generate(model, &rows, &none, &beams.clone().with_end_tokens(vec![end]), &mut ()).unwrap();
    assert_eq!(run(&beams, Some(end)).0, expected);
}

#[test]
fn what_cannot_be_continued_is_refused() {
    let loaded = random_model(Family::Gpt2, Shape::default(), 1);
    let model = loaded.model.as_ref();
    let none = VirtualTokens::none();
    let run = |rows: &[&[u32]], config: &GenerateConfig| {
        generate(model, rows, &none, config, &mut ()).map_err(|error| error.to_string())
    };
    let config = GenerateConfig::new(4);
    assert!(run(&[&[1], &[]], &config).unwrap_err().contains("row 1 has no tokens"));
    assert!(run(&[&[1, 23]], &config).unwrap_err().contains("token id 23"));
    let last = |row| config.clone().with_first_row(row);
    let error = run(&[&[1], &[2]], &last(usize::MAX - 1)).unwrap_err();
    let says = format!("first_row: found {}, expected at most", usize::MAX - 1);
    assert!(error.starts_with(&says), "{error}");
    assert!(run(&[&[1], &[2]], &last(usize::MAX - 2)).is_ok());
    assert!(run(&[&[1; 62]], &config).unwrap_err().contains("64 positions"));
    // The last new token needs no position.
    assert_eq!(run(&[&[1; 61]], &config).unwrap()[0][0].ids.len(), 4);
    assert_eq!(run(&[], &config).unwrap(), Vec::<Vec<Generated>>::new());
    assert!(run(&[&[1]], &GenerateConfig::new(0)).unwrap()[0][0].ids.is_empty());
    // Sequences whose scores fill the memory, before any of them is made.
    let many = vec![&[1_u32][..]; 1 << 16];
    let config = GenerateConfig::new(4).with_beams(Beams::new(1 << 16)).with_batch_size(1 << 16);
    let error = run(&many, &config).unwrap_err();
    assert!(error.starts_with("batch_size: found 65536, expected at most 1424"), "{error}");
    let bert = random_model(Family::Bert, Shape::default(), 1);
    let error = generate(bert.model.as_ref(), &[&[1]], &none, &config, &mut ()).unwrap_err();
    assert!(matches!(error, Error::Mismatch(_)), "{error}");
}

/// All scores of a model are this number.
#[derive(Debug)]
struct Scores(f32);

impl Alteration for Scores {
    fn scores(&self, logits: Tensor<2>) -> Tensor<2> {
        logits.zeros_like() + self.0
    }
}

#[test]
fn scores_that_allow_no_token_are_refused_however_it_is_chosen() {
    let loaded = random_model(Family::Gpt2, Shape::default(), 1);
    let made = |score: f32, config: &GenerateConfig| {
        let model = Altered::new(loaded.model.as_ref(), Scores(score));
        generate(&model, &[&[1, 2]], &VirtualTokens::none(), config, &mut ())
    };
    let greedy = GenerateConfig::new(3);
    let adjusted = greedy.clone().with_suppress_tokens(vec![5]);
    for config in [&greedy, &adjusted, &greedy.clone().with_sampling(Sampling::default())] {
        assert_eq!(made(0.5, config).unwrap()[0][0].ids.len(), 3);
        for score in [f32::NAN, f32::NEG_INFINITY] {
            let error = made(score, config).unwrap_err().to_string();
            assert!(error.starts_with("row 0: no token can follow"), "{score}: {error}");
        }
    }
}
