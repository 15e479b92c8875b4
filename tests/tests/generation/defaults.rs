//! What a model's `generation_config.json` asks for, where no flag says otherwise.
//!
//! Vectors: `python/make_generation_defaults.py`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use peft_cli::{
    decoding::{Purpose, settle},
    flags::decoding::DecodingArgs,
};
use peft_models::generate::{EndTokens, Strategy, generate};
use peft_tests::vectors;
use serde_json::{Map, Value, json};

use crate::{
    comparison::Report,
    support::{parse_lines, peft, read_lines, session, succeed, token_ids},
};

/// A copy of a tiny model whose `file` has these settings beside its own; `config.json` stands alone.
fn folder(dir: &Path, model: &str, file: &str, settings: &Value) -> PathBuf {
    let (from, to) = (vectors(&format!("logits/{model}")), dir.join("model"));
    fs::create_dir_all(&to).unwrap();
    let read = |name: &str| -> Map<String, Value> {
        serde_json::from_slice(&fs::read(from.join(name)).unwrap()).unwrap()
    };
    for name in ["config.json", "generation_config.json"] {
        let mut fields = read(name);
        if name == file {
            fields.extend(settings.as_object().unwrap().clone());
        }
        fs::write(to.join(name), Value::from(fields).to_string()).unwrap();
    }
    if file == "config.json" {
        fs::remove_file(to.join("generation_config.json")).unwrap();
    }
    fs::copy(from.join("model.safetensors"), to.join("model.safetensors")).unwrap();
    to
}

/// Greedily and with beams: lengths, penalties, what comes once, what never comes, what is forced.
#[test]
fn models_continue_as_their_files_say() {
    let (mut report, mut checked) = (Report::default(), 0);
    let files = fs::read_dir(vectors("generation/defaults")).unwrap();
    let mut files: Vec<PathBuf> = files.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for file in files {
        let name = file.file_stem().unwrap().to_str().unwrap();
        let (model, adapter) =
            name.split_once('-').map_or((name, None), |(model, adapter)| (model, Some(adapter)));
        let mut wrong = Vec::new();
        let rows = read_lines(&file);
        for row in &rows {
            let dir = tempfile::tempdir().unwrap();
            let own = folder(dir.path(), model, row["file"].as_str().unwrap(), &row["settings"]);
            let adapter = adapter.map(|adapter| vectors(&format!("logits/{model}/{adapter}")));
            let session = session(&own, adapter.as_deref());
            let end = EndTokens::of(&session.base.config).unwrap();
            let flags = DecodingArgs::default();
            let input = token_ids(&row["input_ids"]);
            // Alone, and beside longer and shorter rows, whose totals differ.
            let rows = [&input[..], &[5, 6], &[7, 8, 9, 10, 11, 12, 13], &input[..1]];
            for purpose in [Purpose::Reading, Purpose::Scoring] {
                let config = settle(&flags, &session.base, &end, purpose).unwrap();
                for company in [&rows[..1], &rows] {
                    let (model, virtual_tokens) = (session.model(), &session.virtual_tokens);
                    let made = generate(model, company, virtual_tokens, &config, &mut ()).unwrap();
                    if made[0][0].ids != token_ids(&row["output_ids"]) {
                        wrong.push(format!("{:?}, expected {row}", made[0][0].ids));
                    }
                }
            }
        }
        checked += rows.len();
        let found = if wrong.is_empty() { Ok(rows.len()) } else { Err(wrong.join("; ")) };
        report.note(model, adapter.unwrap_or("base"), found);
    }
    report.finish();
    assert!(checked >= 205, "{checked} rows");
}

/// Rows of three tokens and of two.
const ROWS: &str = r#"{"input_ids": [5, 6, 7], "labels": [-100, -100, 7]}
{"input_ids": [8, 9], "labels": [-100, 9]}
"#;

/// Lines of `peft generate`, or the scores of `peft eval`, and what was said.
fn run(model: &Path, line: &str) -> (Vec<Value>, String) {
    let dir = model.parent().unwrap();
    fs::write(dir.join("rows.jsonl"), ROWS).unwrap();
    let mut command = peft(dir);
    let output = succeed(command.args(line.split_whitespace()).args(["--model", "model"]));
    let lines = parse_lines(&String::from_utf8(output.stdout).unwrap());
    (lines, String::from_utf8(output.stderr).unwrap())
}

const GENERATE: &str = "generate --input rows.jsonl";

#[test]
fn flags_go_before_the_file_and_what_it_sets_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let settings = json!({"max_new_tokens": 5, "do_sample": true, "temperature": 0.7, "top_p": 0.9,
        "repetition_penalty": 1.1, "no_repeat_ngram_size": 2, "bad_words_ids": [[9]]});
    let model = folder(dir.path(), "gpt2", "generation_config.json", &settings);
    let always = "repetition_penalty 1.1, no_repeat_ngram_size 2, bad_words_ids (1)";
    let drawn = "do_sample true, temperature 0.7, top_k 50, top_p 0.9";
    let (by_file, said) = run(&model, GENERATE);
    let sets = "note: generation_config.json: sets";
    assert_eq!(said, format!("{sets} max_new_tokens 5, {always}, {drawn}\n"));
    assert_eq!(by_file[0]["output_ids"].as_array().unwrap().len(), 5);
    // The same by flags, in a file that says nothing of them.
    let bad_words = json!({"bad_words_ids": [[9]]});
    let bare = tempfile::tempdir().unwrap();
    let bare = folder(bare.path(), "gpt2", "generation_config.json", &bad_words);
    let flags = "--max-new-tokens 5 --temperature 0.7 --top-k 50 --top-p 0.9 --repetition-penalty 1.1 \
                 --no-repeat-ngram-size 2";
    let line = format!("{GENERATE} {flags}");
    assert_eq!(run(&bare, &line), (by_file.clone(), format!("{sets} bad_words_ids (1)\n")));
    assert_ne!(run(&model, &format!("{GENERATE} --seed 7")).0, by_file);
    // Flags over the file.
    let quiet = "--max-new-tokens 4 --repetition-penalty 1 --no-repeat-ngram-size 0";
    let (greedy, said) = run(&model, &format!("{GENERATE} {quiet} --greedy"));
    assert_eq!(said, format!("{sets} bad_words_ids (1)\n"));
    assert_eq!(greedy, run(&bare, &format!("{GENERATE} --max-new-tokens 4")).0);
    let (warmer, said) = run(&model, &format!("{GENERATE} --temperature 5 --top-k 3"));
    assert_eq!(said, format!("{sets} max_new_tokens 5, {always}, top_p 0.9\n"));
    assert_ne!(warmer, by_file);
    let (_, said) = run(&model, &format!("{GENERATE} {quiet} --num-beams 2"));
    let left_out = "do_sample is left out, beams and sampling exclude each other";
    assert_eq!(said, format!("{sets} bad_words_ids (1); {left_out}\n"));
    // Scores do not depend on a draw.
    let eval = "eval --data rows.jsonl --json --max-new-tokens 4";
    let (scores, said) = run(&model, eval);
    assert_eq!(
        said,
        format!("{sets} {always}; do_sample is left out, scores are of the likeliest text\n")
    );
    assert_eq!(scores, run(&model, eval).0);
}

#[test]
fn the_length_of_a_file_counts_the_input_and_ends_where_positions_do() {
    let dir = tempfile::tempdir().unwrap();
    let settings = json!({"max_length": 1000, "eos_token_id": 70, "suppress_tokens": [70]});
    let model = folder(dir.path(), "gpt2", "generation_config.json", &settings);
    let len = |line: &Value| line["output_ids"].as_array().unwrap().len();
    // 64 positions, and the last token needs none.
    let lens: Vec<usize> = run(&model, GENERATE).0.iter().map(len).collect();
    assert_eq!(lens, [62, 63]);
    let prompt = vectors("logits/gpt2/prompt");
    let line = format!("{GENERATE} --adapter {}", prompt.display());
    let lens: Vec<usize> = run(&model, &line).0.iter().map(len).collect();
    assert_eq!(lens, [57, 58]);
    let lens: Vec<usize> =
        run(&model, &format!("{GENERATE} --max-new-tokens 3")).0.iter().map(len).collect();
    assert_eq!(lens, [3, 3]);
    // The same of max_new_tokens, which is told; as a flag it is refused with the number that fits.
    let new = json!({"max_new_tokens": 500, "max_length": 1e30, "eos_token_id": [70, -1], "suppress_tokens": [70, -1]});
    let own = tempfile::tempdir().unwrap();
    let model = folder(own.path(), "gpt2", "generation_config.json", &new);
    let (made, said) = run(&model, GENERATE);
    assert_eq!(made.iter().map(len).collect::<Vec<_>>(), [62, 63]);
    let left_out = "is left out, no token has such an id";
    let left_out = format!("-1 in eos_token_id {left_out}; -1 in suppress_tokens {left_out}");
    let file = "note: generation_config.json:";
    let way = "gives way to the model's positions, which leave 62 behind the longest input";
    let sets = format!("{file} sets max_new_tokens 500, suppress_tokens (1); {left_out}\n");
    assert_eq!(said, format!("{sets}{file} max_new_tokens 500 {way}\n"));
    let mut command = peft(own.path());
    let line = format!("{GENERATE} --model model --max-new-tokens 500");
    let output = command.args(line.split_whitespace()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("; --max-new-tokens 62 is the most that fits here"), "{said}");
    // Without any length, as many as fit of the usual 64.
    let none = json!({"eos_token_id": 70, "suppress_tokens": [70]});
    let dir = tempfile::tempdir().unwrap();
    let model = folder(dir.path(), "gpt2", "generation_config.json", &none);
    let lens: Vec<usize> = run(&model, GENERATE).0.iter().map(len).collect();
    assert_eq!(lens, [62, 63]);
}

/// T5 has no positions that would end a text.
#[test]
fn a_length_without_a_limit_ends_at_the_end_token() {
    let tokens = |line: &Value| line["output_ids"].as_array().unwrap().clone();
    let dir = tempfile::tempdir().unwrap();
    let model = folder(dir.path(), "t5", "generation_config.json", &json!({"max_new_tokens": 4}));
    let short = run(&model, GENERATE).0;
    let ends: Vec<Value> = short.iter().map(|line| tokens(line).last().unwrap().clone()).collect();
    for length in ["max_new_tokens", "max_length"] {
        let dir = tempfile::tempdir().unwrap();
        let settings = json!({length: 1e30, "eos_token_id": ends});
        let model = folder(dir.path(), "t5", "generation_config.json", &settings);
        let (made, said) = run(&model, GENERATE);
        assert!(made.iter().all(|line| tokens(line).len() <= 4), "{made:?}");
        assert!(said.contains(&format!("sets {length} 1048576")), "{said}");
    }
}

#[test]
fn a_file_that_leaves_nothing_to_write_is_refused() {
    for (settings, code, says) in [
        (json!({"max_length": 3}), 2, "--max-new-tokens: is needed: row 0 has 3 tokens before"),
        (
            json!({"suppress_tokens": (0..200).collect::<Vec<u32>>()}),
            1,
            "no token can follow, all scores of the model are NaN",
        ),
        (
            json!({"max_new_tokens": 0}),
            1,
            "key `max_new_tokens`: expected a whole number of at least 1, found 0; --max-new-tokens overrides it",
        ),
        (json!({"do_sample": true, "top_k": -1}), 1, "found -1; --top-k overrides it"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        folder(dir.path(), "gpt2", "generation_config.json", &settings);
        fs::write(dir.path().join("rows.jsonl"), ROWS).unwrap();
        let mut command = peft(dir.path());
        let output = command.args(GENERATE.split_whitespace()).args(["--model", "model"]).output();
        let output = output.unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(says), "{said}");
    }
}

#[test]
fn what_is_not_known_is_warned_of() {
    let dir = tempfile::tempdir().unwrap();
    let settings = json!({"max_new_tokens": 2, "guidance_scale": 1.5, "num_beams": 2, "early_stopping": "never",
        "num_return_sequences": 2, "min_p": 0.1, "stop_strings": ["xyz"]});
    let model = folder(dir.path(), "gpt2", "generation_config.json", &settings);
    let warning = |names: &str, flags: &str| {
        format!(
            "warning: generation_config.json sets {names}, which has no effect here: transformers' generate may write \
             something else{flags}\n"
        )
    };
    let stop = "; --stop TEXT does what stop_strings asks for";
    let beams = "num_beams 2, early_stopping never";
    let sets = "note: generation_config.json: sets max_new_tokens 2";
    let (_, said) = run(&model, GENERATE);
    let flags = format!("{stop}; --num-return-sequences N does what num_return_sequences asks for");
    let expected = warning("guidance_scale, stop_strings, num_return_sequences", &flags);
    assert_eq!(said, format!("{sets}, {beams}\n{expected}"));
    let (_, said) = run(&model, &format!("{GENERATE} --num-return-sequences 1 --top-k 2"));
    let left_out = "num_beams is left out, beams and sampling exclude each other";
    let expected = warning("guidance_scale, stop_strings, min_p", stop);
    assert_eq!(said, format!("{sets}; {left_out}\n{expected}"));
    // It is said before there is no tokenizer for the flag's text.
    let line = format!("{GENERATE} --model model --num-return-sequences 1 --stop xyz");
    let output = peft(dir.path()).args(line.split_whitespace()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let expected = format!("{sets}, {beams}\n{}", warning("guidance_scale", ""));
    assert!(said.starts_with(&expected), "{said}");
    let (_, said) = run(&model, "eval --data rows.jsonl --json --max-new-tokens 2");
    let sets = "note: generation_config.json: sets";
    // What is scored has no such flags.
    let expected = warning("guidance_scale, stop_strings", "");
    assert_eq!(said, format!("{sets} {beams}\n{expected}"));
}

/// transformers draws from 50 tokens where the file asks for sampling and does not say.
#[test]
fn a_file_that_asks_for_sampling_draws_from_fifty() {
    let none = (None, None);
    let warm = (Some(0.5), None);
    for (settings, (temperature, top_k), expected) in [
        (json!({"do_sample": true}), none, Some((1.0, Some(50)))),
        (json!({"do_sample": true}), warm, Some((0.5, Some(50)))),
        (json!({"do_sample": true, "top_k": 0}), none, Some((1.0, None))),
        (json!({"do_sample": true, "top_k": 7, "temperature": 0.2}), none, Some((0.2, Some(7)))),
        (json!({"do_sample": true, "top_k": 7}), (None, Some(9)), Some((1.0, Some(9)))),
        (json!({"top_k": 7, "temperature": 0.2}), none, None),
        (json!({"top_k": 7, "temperature": 0.2}), warm, Some((0.5, Some(7)))),
        (json!({}), warm, Some((0.5, None))),
    ] {
        let flags = DecodingArgs { temperature, top_k, ..DecodingArgs::default() };
        let dir = tempfile::tempdir().unwrap();
        let own = folder(dir.path(), "gpt2", "generation_config.json", &settings);
        let session = session(&own, None);
        let end = EndTokens::of(&session.base.config).unwrap();
        let config = settle(&flags, &session.base, &end, Purpose::Reading).unwrap();
        let found = match config.strategy {
            Strategy::Sampling(sampling) => Some((sampling.temperature, sampling.top_k)),
            _ => None,
        };
        assert_eq!(found, expected, "{settings}, {flags:?}");
    }
}
