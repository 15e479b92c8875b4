//! Generation gives what transformers gives, token by token, and does not depend on how rows are batched.
//!
//! Vectors: `python/make_generation.py`, `python/make_search.py`.

use std::{fs, path::Path};

use burn::tensor::{Int, Tensor, TensorData};
use peft_cli::session::Session;
use peft_core::{
    Adapter, Error, FrozenModel, PaddingSide, TokenBatch, VirtualTokens,
    contract::frozen::activations,
};
use peft_models::generate::{
    Beams, EarlyStopping, GenerateConfig, Generated, Sampling, Watcher, generate, greedy,
};
use peft_tests::{Family, Shape, VOCAB, device, random_model, shared, vectors};
use proptest::{collection::vec, prelude::*, sample::select, test_runner::RngSeed};
use serde_json::Value;

use crate::support::{peft, root, succeed, tiny_model};

fn session(model: &Path, adapter: Option<&Path>) -> Session {
    let base = peft_models::load(model, &device()).unwrap();
    let adapter = adapter.map(|dir| Adapter::load(dir).unwrap());
    Session::new(base, model.to_path_buf(), adapter, &device()).unwrap()
}

/// A row of a vector file.
struct Row {
    input: Vec<u32>,
    output: Vec<u32>,
    fields: Value,
}

fn rows(file: &Path) -> Vec<Row> {
    let ids = |value: &Value| {
        value.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
    };
    let text = fs::read_to_string(file).unwrap();
    let rows: Vec<Row> = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|fields| Row {
            input: ids(&fields["input_ids"]),
            output: ids(&fields["output_ids"]),
            fields,
        })
        .collect();
    assert!(!rows.is_empty(), "{}", file.display());
    rows
}

/// The settings of a row.
fn config(session: &Session, row: &Row) -> GenerateConfig {
    let number = |key: &str| row.fields.get(key).map(|value| value.as_f64().unwrap() as f32);
    let size = |key: &str| row.fields.get(key).map(|value| value.as_u64().unwrap() as usize);
    let config = GenerateConfig::for_model(&session.base, size("max_new_tokens").unwrap_or(40));
    let config =
        config.unwrap().with_repetition_penalty(number("repetition_penalty").unwrap_or(1.0));
    let Some(num_beams) = size("num_beams") else { return config };
    let early_stopping = match row.fields.get("early_stopping") {
        Some(Value::String(name)) if name == "never" => EarlyStopping::Never,
        Some(Value::Bool(true)) => EarlyStopping::Always,
        _ => EarlyStopping::Heuristic,
    };
    let beams = Beams::new(num_beams)
        .with_length_penalty(number("length_penalty").unwrap_or(1.0))
        .with_early_stopping(early_stopping);
    config.with_beams(beams)
}

fn made(session: &Session, inputs: &[&[u32]], config: &GenerateConfig) -> Vec<Vec<u32>> {
    let made = generate(session.model(), inputs, &session.virtual_tokens, config, &mut ()).unwrap();
    made.into_iter().map(|mut sequences| sequences.remove(0).ids).collect()
}

/// Each row alone, and in batches with the others, left-padded: both must give the reference.
fn check(session: &Session, rows: &[Row], name: &str) {
    let inputs: Vec<&[u32]> = rows.iter().map(|row| row.input.as_slice()).collect();
    for (index, row) in rows.iter().enumerate() {
        let config = config(session, row);
        let alone = made(session, &[&row.input], &config);
        assert_eq!(alone[0], row.output, "{name}: {}", row.fields);
        // The others are there for company: their own settings may differ.
        let from = index - index % 7;
        let company = &inputs[from..inputs.len().min(from + 7)];
        let batched = made(session, company, &config.with_batch_size(company.len()));
        assert_eq!(batched[index - from], row.output, "{name}, batched: {}", row.fields);
    }
}

/// More tokens than are read at once: rows of several lengths, with virtual tokens that they share and with some
/// of their own.
#[test]
fn prompts_read_in_parts_continue_as_alone() {
    for model in ["gpt2", "llama"] {
        let dir = vectors(&format!("logits/{model}"));
        let adapters = ["prompt", "prefix"].map(|name| session(&dir, Some(&dir.join(name))));
        let prompts: Vec<Vec<u32>> = (0..45u32)
            .map(|row| (0..7 + row % 11).map(|i| (row * 7 + i * 5) % 20 + 1).collect())
            .collect();
        let prompts: Vec<&[u32]> = prompts.iter().map(Vec::as_slice).collect();
        let base = adapters[0].model();
        let compiled = adapters.each_ref().map(|one| base.compile(&one.virtual_tokens).unwrap());
        let of_row: Vec<usize> = (0..prompts.len()).map(|row| row % 2).collect();
        let each = VirtualTokens::per_row(&compiled, &of_row).unwrap();
        let made = |virtual_tokens: &VirtualTokens, prompts: &[&[u32]]| {
            greedy(base, prompts, virtual_tokens, 6, &[]).unwrap()
        };
        let shared = made(&compiled[1], &prompts);
        let own = made(&each, &prompts);
        for (row, prompt) in prompts.iter().enumerate() {
            assert_eq!(made(&compiled[1], &[prompt])[0], shared[row], "{model} {row}");
            assert_eq!(made(&compiled[row % 2], &[prompt])[0], own[row], "{model} {row}, own");
        }
    }
}

#[test]
fn stories260k_continues_as_in_transformers() {
    let Some(model) = shared("models/stories260k") else { return };
    let rows = rows(&vectors("generation/stories260k.jsonl"));
    check(&session(&model, None), &rows, "stories260k");
}

#[test]
fn tiny_models_with_adapters_continue_as_in_peft() {
    for model in ["gpt2", "llama"] {
        let dir = vectors(&format!("logits/{model}"));
        let base = session(&dir, None);
        check(&base, &rows(&vectors(&format!("generation/{model}.jsonl"))), model);
        for adapter in ["prompt", "prefix", "prefix-mlp"] {
            let rows = rows(&vectors(&format!("generation/{model}-{adapter}.jsonl")));
            check(&session(&dir, Some(&dir.join(adapter))), &rows, adapter);
        }
    }
}

/// Greedy, beams with each kind of length penalty and early stopping, repetition penalty; forced ends.
#[test]
fn searches_find_what_transformers_finds() {
    let mut checked = 0;
    let mut files: Vec<_> = fs::read_dir(vectors("generation/search"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    for file in files {
        let name = file.file_stem().unwrap().to_str().unwrap();
        let (model, adapter) = match name.split_once('-') {
            Some((model, adapter)) => (model, Some(adapter)),
            None => (name, None),
        };
        let dir = vectors(&format!("logits/{model}"));
        let adapter = adapter.map(|adapter| dir.join(adapter));
        let rows = rows(&file);
        check(&session(&dir, adapter.as_deref()), &rows, name);
        checked += rows.len();
    }
    assert!(checked >= 150, "{checked} rows");
}

#[test]
fn bart_pronounces_words_as_in_transformers() {
    let rows = rows(&vectors("generation/bart-g2p.jsonl"));
    for name in ["bart-g2p-us", "bart-g2p-gb"] {
        let Some(model) = shared(&format!("models/{name}")) else { return };
        let session = session(&model, None);
        let own = |row: &&Row| row.fields["model"] == name;
        let inputs: Vec<&[u32]> = rows.iter().filter(own).map(|row| row.input.as_slice()).collect();
        let config = config(&session, &rows[0]);
        for batch_size in [1, 16, 60] {
            let made = made(&session, &inputs, &config.clone().with_batch_size(batch_size));
            for (made, row) in made.iter().zip(rows.iter().filter(own)) {
                assert_eq!(*made, row.output, "{name}, {batch_size} at once: {}", row.fields);
            }
        }
    }
}

fn cases() -> ProptestConfig {
    // A fixed seed: two scores that differ by rounding alone would tell one batching from another.
    let cases = if cfg!(feature = "wgpu") { 2 } else { 16 };
    ProptestConfig { rng_seed: RngSeed::Fixed(7), ..ProptestConfig::with_cases(cases) }
}

fn ids(len: std::ops::Range<usize>) -> impl Strategy<Value = Vec<u32>> {
    vec(0..VOCAB as u32, len)
}

fn slices(rows: &[Vec<u32>]) -> Vec<&[u32]> {
    rows.iter().map(Vec::as_slice).collect()
}

/// The settings whose output must not depend on how rows are batched.
fn strategies(seed: u64) -> Vec<GenerateConfig> {
    let base = || GenerateConfig::new(9).with_end_tokens(vec![3, 5, 7, 11]);
    let sampling = Sampling::default().with_seed(seed);
    vec![
        base(),
        base().with_repetition_penalty(1.4).with_min_new_tokens(3),
        base().with_beams(Beams::new(3)),
        base()
            .with_beams(Beams::new(4).with_length_penalty(-0.5))
            .with_repetition_penalty(1.2)
            .with_num_return_sequences(2),
        base().with_beams(Beams::new(2).with_early_stopping(EarlyStopping::Always)),
        base().with_sampling(sampling.clone()).with_num_return_sequences(2),
        base().with_sampling(sampling.with_temperature(0.7).with_top_k(Some(9)).with_top_p(0.9)),
    ]
}

/// Virtual tokens made of real words: rows in front, or their keys and values.
fn virtual_tokens(model: &dyn FrozenModel, words: &[u32], compiled: bool) -> VirtualTokens {
    if words.is_empty() {
        return VirtualTokens::none();
    }
    if compiled {
        return activations(model, words).unwrap();
    }
    let index: Vec<i64> = words.iter().map(|id| i64::from(*id)).collect();
    let index = TensorData::new(index, [1, words.len()]);
    VirtualTokens::embeddings(model.embed(Tensor::<2, Int>::from_data(index, &device())))
}

fn sequences(
    model: &dyn FrozenModel,
    rows: &[&[u32]],
    virtual_tokens: &VirtualTokens,
    config: &GenerateConfig,
) -> Vec<Vec<Vec<u32>>> {
    let made = generate(model, rows, virtual_tokens, config, &mut ()).unwrap();
    made.into_iter().map(|row| row.into_iter().map(|sequence| sequence.ids).collect()).collect()
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_row_is_continued_as_alone(
        family in select(Family::CAUSAL.to_vec()), rows in vec(ids(1..9), 1..6), words in ids(0..4),
        compiled: bool, seed: u64,
    ) {
        let loaded = random_model(family, Shape::default(), seed);
        let model = loaded.model.as_ref();
        let own = virtual_tokens(model, &words, compiled);
        for config in strategies(seed) {
            let all = sequences(model, &slices(&rows), &own, &config);
            let alone = sequences(model, &slices(&rows), &own, &config.clone().with_batch_size(1));
            prop_assert_eq!(&all, &alone, "{:?}", config);
            // The other rows may be any.
            let mut others: Vec<Vec<u32>> = vec![vec![1, 2, 3]; rows.len()];
            others[0].clone_from(&rows[0]);
            let among_others = sequences(model, &slices(&others), &own, &config);
            prop_assert_eq!(&all[0], &among_others[0], "{:?}", config);
        }
    }

    #[test]
    fn each_row_may_have_its_own_virtual_tokens(
        rows in vec(ids(1..6), 2..5), words in vec(ids(1..4), 4), seed: u64,
    ) {
        let loaded = random_model(Family::Llama, Shape::default(), seed);
        let model = loaded.model.as_ref();
        let each: Vec<VirtualTokens> =
            words.iter().map(|words| virtual_tokens(model, words, true)).collect();
        let of_row: Vec<usize> = (0..rows.len()).map(|row| row % each.len()).collect();
        let all = VirtualTokens::per_row(&each, &of_row).unwrap();
        let config = &strategies(seed)[2];
        let made = sequences(model, &slices(&rows), &all, &config.clone().with_batch_size(3));
        for ((row, own), made) in rows.iter().zip(&of_row).zip(made) {
            prop_assert_eq!(&made, &sequences(model, &[row], &each[*own], config)[0]);
        }
    }

    #[test]
    fn without_a_choice_every_way_is_greedy(
        family in select(Family::CAUSAL.to_vec()), rows in vec(ids(1..7), 1..4), seed: u64,
    ) {
        let loaded = random_model(family, Shape::default(), seed);
        let model = loaded.model.as_ref();
        let base = GenerateConfig::new(8).with_end_tokens(vec![2, 4]);
        let none = VirtualTokens::none();
        let expected = sequences(model, &slices(&rows), &none, &base);
        let sampling = Sampling::default().with_seed(seed);
        for config in [
            base.clone().with_beams(Beams::new(1)),
            base.clone().with_sampling(sampling.clone().with_top_k(Some(1))),
            base.clone().with_sampling(sampling.clone().with_top_p(1e-6)),
            base.clone().with_sampling(sampling.with_temperature(1e-6)),
            // The path over the host's scores.
            base.clone().with_repetition_penalty(1.0 + 1e-7),
        ] {
            prop_assert_eq!(&sequences(model, &slices(&rows), &none, &config), &expected);
        }
    }

    #[test]
    fn a_cache_changes_nothing(
        family in select(Family::CAUSAL.to_vec()), row in ids(1..8), words in ids(0..5),
        compiled: bool, seed: u64,
    ) {
        let loaded = random_model(family, Shape::default(), seed);
        let model = loaded.model.as_ref();
        let own = virtual_tokens(model, &words, compiled);
        let made = greedy(model, &[&row], &own, 8, &[2]).unwrap();
        // The whole sequence anew at each step, the words in front of it.
        let mut expected = Vec::new();
        while expected.len() < 8 && expected.last() != Some(&2) {
            let so_far = [words.as_slice(), &row, &expected].concat();
            let batch = TokenBatch::new(&[&so_far], PaddingSide::Right);
            let hidden = model.forward(&batch, &VirtualTokens::none()).unwrap().tokens;
            let [_, s, h] = hidden.dims();
            let logits = model.lm_logits(hidden.narrow(1, s - 1, 1).reshape([1, h])).unwrap();
            expected.push(logits.argmax(1).into_scalar::<i64>() as u32);
        }
        prop_assert_eq!(&made[0], &expected);
    }

    #[test]
    fn the_first_of_several_is_the_one_alone(row in ids(1..6), seed: u64) {
        let loaded = random_model(Family::Gpt2, Shape::default(), seed);
        let model = loaded.model.as_ref();
        let none = VirtualTokens::none();
        let sampling = Sampling::default().with_seed(seed).with_temperature(1.5);
        let config = GenerateConfig::new(6).with_sampling(sampling);
        let one = sequences(model, &[&row], &none, &config);
        let four = sequences(model, &[&row], &none, &config.with_num_return_sequences(4));
        prop_assert_eq!(four[0].len(), 4);
        prop_assert_eq!(&four[0][0], &one[0][0]);
        let beams = GenerateConfig::new(6).with_beams(Beams::new(4));
        let four = generate(
            model, &[&row], &none, &beams.clone().with_num_return_sequences(4), &mut (),
        ).unwrap();
        prop_assert_eq!(&four[0][0].ids, &sequences(model, &[&row], &none, &beams)[0][0]);
        prop_assert!(four[0].windows(2).all(|pair| pair[0].score >= pair[1].score));
    }
}

/// Collects what is told, and ends sequences at a token.
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
    // Ended by the watcher = the same, cut after the token.
    let end = made[1][0].ids[4];
    let (ended, tokens) = run(&config, Some(end));
    told(&tokens, &ended);
    for (whole, cut) in made.iter().flatten().zip(ended.iter().flatten()) {
        let len = whole.ids.iter().position(|id| *id == end).map_or(12, |at| at + 1);
        assert_eq!(cut.ids, whole.ids[..len]);
    }
    // To a beam search an end of the watcher is an end token.
    let beams = GenerateConfig::new(12).with_beams(Beams::new(3));
    let expected =
        generate(model, &rows, &none, &beams.clone().with_end_tokens(vec![end]), &mut ()).unwrap();
    assert_eq!(run(&beams, Some(end)).0, expected);
}

#[test]
fn what_cannot_be_continued_is_said() {
    let loaded = random_model(Family::Gpt2, Shape::default(), 1);
    let model = loaded.model.as_ref();
    let none = VirtualTokens::none();
    let run = |rows: &[&[u32]], config: &GenerateConfig| {
        generate(model, rows, &none, config, &mut ()).map_err(|error| error.to_string())
    };
    let config = GenerateConfig::new(4);
    assert!(run(&[&[1], &[]], &config).unwrap_err().contains("row 1 has no tokens"));
    assert!(run(&[&[1, 23]], &config).unwrap_err().contains("token id 23"));
    assert!(run(&[&[1; 62]], &config).unwrap_err().contains("64 positions"));
    // The last new token needs no position.
    assert_eq!(run(&[&[1; 61]], &config).unwrap()[0][0].ids.len(), 4);
    assert_eq!(run(&[], &config).unwrap(), Vec::<Vec<Generated>>::new());
    assert!(run(&[&[1]], &GenerateConfig::new(0)).unwrap()[0][0].ids.is_empty());
    let bert = random_model(Family::Bert, Shape::default(), 1);
    let error = generate(bert.model.as_ref(), &[&[1]], &none, &config, &mut ()).unwrap_err();
    assert!(matches!(error, Error::Mismatch(_)), "{error}");
}

#[test]
fn the_program_generates_as_asked() {
    let dir = tempfile::tempdir().unwrap();
    let input = dir.path().join("rows.jsonl");
    fs::write(&input, "{\"input_ids\": [5, 6, 7]}\n{\"input_ids\": [8]}\n").unwrap();
    let run = |flags: &[&str]| {
        let mut command = peft(&root());
        command.args(["generate", "--model", &tiny_model("gpt2"), "--max-new-tokens", "6"]);
        command.arg("--input").arg(&input).args(flags);
        command
    };
    let lines = |flags: &[&str]| -> Vec<Value> {
        let output = succeed(&mut run(flags));
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let greedy = lines(&[]);
    assert!(greedy[0]["output_ids"][0].is_u64(), "{greedy:?}");
    assert_eq!(lines(&["--num-beams", "1"]), greedy);
    assert_eq!(lines(&["--top-k", "1", "--seed", "9"]), greedy);
    let several = lines(&["--num-beams", "3", "--num-return-sequences", "2"]);
    assert_eq!(several[0]["output_ids"].as_array().unwrap().len(), 2);
    let sampled = ["--temperature", "3", "--seed", "4", "--num-return-sequences", "3"];
    assert_eq!(lines(&sampled), lines(&[&sampled[..], &["--batch-size", "1"]].concat()));
    for (flags, flag) in [
        (vec!["--temperature", "0"], "--temperature"),
        (vec!["--temperature", "-1"], "--temperature"),
        (vec!["--top-p", "1.5"], "--top-p"),
        (vec!["--top-k", "0"], "--top-k"),
        (vec!["--num-beams", "0"], "--num-beams"),
        (vec!["--num-beams", "2", "--top-k", "3"], "--num-beams"),
        (vec!["--num-beams", "2", "--num-return-sequences", "3"], "--num-return-sequences"),
        (vec!["--num-return-sequences", "2"], "--num-return-sequences"),
        (vec!["--length-penalty", "2"], "--length-penalty"),
        (vec!["--early-stopping"], "--early-stopping"),
        (vec!["--seed", "1"], "--seed"),
        (vec!["--stop", ""], "--stop"),
        (vec!["--repetition-penalty", "-2"], "--repetition-penalty"),
        (vec!["--min-new-tokens", "7"], "--min-new-tokens"),
    ] {
        let output = run(&flags).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{flags:?}: {error}");
        assert!(error.contains(flag), "{flags:?}: {error}");
    }
}

#[test]
fn text_ends_before_a_stop_text() {
    let Some(model) = shared("models/stories260k") else { return };
    let run = |flags: &[&str]| {
        let mut command = peft(&root());
        command.arg("generate").arg("--model").arg(&model);
        command.args(["--prompt", "Once upon a time", "--max-new-tokens", "60"]).args(flags);
        String::from_utf8(succeed(&mut command).stdout).unwrap()
    };
    let whole = run(&[]);
    let whole = whole.trim_end_matches('\n');
    assert!(whole.starts_with("Once upon a time"), "{whole}");
    let end = whole.find('.').unwrap();
    assert_eq!(run(&["--stop", "."]), format!("{}\n", &whole[..end]));
    // The streamed text is the whole text; that of a search is printed at its end.
    assert_eq!(run(&["--top-k", "1"]).trim_end_matches('\n'), whole);
    assert!(run(&["--num-beams", "2", "--stop", "."]).starts_with("Once upon a time"));
    let several = run(&["--temperature", "1", "--num-return-sequences", "2", "--stop", "."]);
    assert_eq!(several.matches("Once upon a time").count(), 2, "{several}");
}
