//! Runs that go on from a checkpoint, and what keeps them from it.

use std::fs;

use super::*;

#[test]
fn a_resumed_run_equals_one_never_stopped() {
    for case in CASES {
        let case = Case::new(case);
        let config = TrainConfig {
            eval_every: Some(2),
            checkpoint_every: Some(3),
            accumulation: 2,
            schedule: crate::optim::Schedule::Linear,
            clip_norm: Some(0.5),
            ..config(case.task, 11)
        };
        let mut watch = Watch::default();
        let whole = case.run(&config, &anywhere(), 0.2, &mut watch).unwrap();
        for stop in [1, 4, 6, 10] {
            let dir = tempfile::tempdir().unwrap();
            let mut first = Watch { stop_at: Some(stop), ..Watch::default() };
            let run = in_folder(dir.path(), false);
            let stopped = case.run(&config, &run, 0.2, &mut first).unwrap();
            assert!(stopped.interrupted && stopped.last_step == stop);
            let mut second = Watch::default();
            let run = in_folder(dir.path(), true);
            let resumed = case.run(&config, &run, 0.2, &mut second).unwrap();
            assert_eq!(second.started, Some((stop, 11)));
            assert_eq!(
                bytes(&case.model, &resumed.trainable),
                bytes(&case.model, &whole.trainable)
            );
            assert_eq!((resumed.step, &resumed.history), (whole.step, &whole.history));
            assert!(!resumed.interrupted);
            let losses =
                |reports: &[StepReport]| reports.iter().map(|r| r.loss).collect::<Vec<_>>();
            let joined = [losses(&first.reports), losses(&second.reports)].concat();
            assert_eq!(joined, losses(&watch.reports));
            // Once more: there is nothing left to do.
            let again = case.run(&config, &run, 0.2, &mut Watch::default()).unwrap();
            assert_eq!(bytes(&case.model, &again.trainable), bytes(&case.model, &whole.trainable));
        }
    }
}

#[test]
fn a_damaged_checkpoint_is_passed_over() {
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 6] = [
        ("SHA-256", |folder| {
            let path = folder.join("state.safetensors");
            let mut bytes = fs::read(&path).unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            fs::write(path, bytes).unwrap();
        }),
        ("state.json", |folder| {
            let path = folder.join("state.json");
            let bytes = fs::read(&path).unwrap();
            fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
        }),
        ("state.json: has the SHA-256", |folder| {
            let path = folder.join("state.json");
            let text = fs::read_to_string(&path).unwrap();
            fs::write(path, text.replace("\"step\": ", "\"step\": 1")).unwrap();
        }),
        ("SHA256SUMS: has no line for adapter_config.json", |folder| {
            let path = folder.join("SHA256SUMS");
            let text = fs::read_to_string(&path).unwrap();
            fs::write(path, text.replace("config", "Config")).unwrap();
        }),
        ("adapter_model.safetensors", |folder| {
            fs::write(folder.join("adapter_model.safetensors"), b"").unwrap();
        }),
        ("state.safetensors", |folder| {
            fs::remove_file(folder.join("state.safetensors")).unwrap();
        }),
    ];
    let case = Case::new(CASES[0]);
    let config = TrainConfig { checkpoint_every: Some(2), ..config(case.task, 8) };
    let whole = case.run(&config, &anywhere(), 0.1, &mut Watch::default()).unwrap();
    for (named, damage) in damages {
        let dir = tempfile::tempdir().unwrap();
        let mut watch = Watch { stop_at: Some(5), ..Watch::default() };
        case.run(&config, &in_folder(dir.path(), false), 0.1, &mut watch).unwrap();
        let checkpoints = Checkpoints::new(dir.path(), 2);
        let found = checkpoints.list().unwrap();
        assert_eq!(found.iter().map(|(step, _)| *step).collect::<Vec<_>>(), [5, 4]);
        damage(&found[0].1);
        let mut watch = Watch::default();
        let run = in_folder(dir.path(), true);
        let resumed = case.run(&config, &run, 0.1, &mut watch).unwrap();
        assert_eq!(watch.started, Some((4, 8)));
        let note = &watch.notes[0];
        assert!(note.contains("step-000005") && note.contains(named), "{note}");
        assert_eq!(bytes(&case.model, &resumed.trainable), bytes(&case.model, &whole.trainable));
        for (_, folder) in checkpoints.list().unwrap() {
            damage(&folder);
        }
        let mut watch = Watch::default();
        case.run(&config, &run, 0.1, &mut watch).unwrap();
        assert_eq!((watch.started, watch.notes.len()), (Some((0, 8)), 3));
        let steps: Vec<usize> = checkpoints.list().unwrap().iter().map(|(step, _)| *step).collect();
        assert_eq!(steps, [8, 6]);
        let again = in_folder(dir.path(), false);
        let error = case.run(&config, &again, 0.1, &mut Watch::default()).unwrap_err().to_string();
        assert!(error.contains("step-000008") && error.contains("resume"), "{error}");
    }
}

/// Versions before this one wrote no sums of all files.
#[test]
fn a_checkpoint_without_sums_is_read() {
    let case = Case::new(CASES[0]);
    let config = TrainConfig { checkpoint_every: Some(2), ..config(case.task, 8) };
    let whole = case.run(&config, &anywhere(), 0.1, &mut Watch::default()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut watch = Watch { stop_at: Some(5), ..Watch::default() };
    case.run(&config, &in_folder(dir.path(), false), 0.1, &mut watch).unwrap();
    for (_, folder) in Checkpoints::new(dir.path(), 2).list().unwrap() {
        fs::remove_file(folder.join("SHA256SUMS")).unwrap();
    }
    let mut watch = Watch::default();
    let resumed = case.run(&config, &in_folder(dir.path(), true), 0.1, &mut watch).unwrap();
    assert_eq!((watch.started, watch.notes.len()), (Some((5, 8)), 0));
    assert_eq!(bytes(&case.model, &resumed.trainable), bytes(&case.model, &whole.trainable));
}

#[test]
fn a_run_with_other_settings_or_data_is_not_resumed() {
    let case = Case::new(CASES[2]);
    let dir = tempfile::tempdir().unwrap();
    let config = config(case.task, 8);
    let mut watch = Watch { stop_at: Some(3), ..Watch::default() };
    case.run(&config, &in_folder(dir.path(), false), 0.0, &mut watch).unwrap();
    let run = in_folder(dir.path(), true);
    let refused = |case: &Case, config: &TrainConfig, run: &RunContext| {
        case.run(config, run, 0.0, &mut Watch::default()).unwrap_err().to_string()
    };
    let error = refused(&case, &TrainConfig { lr: 0.2, seed: 9, ..config.clone() }, &run);
    assert!(error.contains("lr (then 0.05, now 0.2)"), "{error}");
    assert!(error.contains("seed (then 0, now 9)") && !error.contains("steps"), "{error}");
    let other_format = RunContext { base_weights: Some("int8".into()), ..run.clone() };
    let other_type = RunContext { compute: Some("bf16".into()), ..run.clone() };
    let other_base = RunContext { base_fingerprint: Some("x".into()), ..run.clone() };
    assert!(refused(&case, &config, &other_base).contains("base model"));
    let error = refused(&case, &config, &other_format);
    assert!(error.contains("base weights (then null, now \"int8\")"), "{error}");
    let error = refused(&case, &config, &other_type);
    assert!(error.contains("dtype (then \"f32\", now \"bf16\")"), "{error}");
    assert!(!refused(&case, &TrainConfig { seed: 9, ..config.clone() }, &run).contains("put "));
    let mut other = Case::new(CASES[2]);
    other.train[0].input_ids[0] += 1;
    assert!(refused(&other, &config, &run).contains("training rows (other content)"));
    let storing = TrainConfig { checkpoint_every: Some(4), keep_checkpoints: 1, ..config };
    case.run(&storing, &run, 0.0, &mut Watch::default()).unwrap();
    assert_eq!(Checkpoints::new(dir.path(), 1).list().unwrap().len(), 1);
}

/// With the same weights, another config is another model; another tokenizer is where it gives other tokens.
#[test]
fn a_run_with_another_config_of_the_base_is_not_resumed() {
    let case = Case::new(CASES[2]);
    let dir = tempfile::tempdir().unwrap();
    let config = config(case.task, 8);
    let files = |theta: f64, tokenizer: &str| BaseFiles {
        config_file: "config.json".into(),
        config: serde_json::Map::from_iter([("rope_theta".to_string(), theta.into())]),
        tokenizer: [("tokenizer.json".to_string(), tokenizer.to_string())].into(),
    };
    let on =
        |base_files: BaseFiles, resume| RunContext { base_files, ..in_folder(dir.path(), resume) };
    let mut watch = Watch { stop_at: Some(3), ..Watch::default() };
    case.run(&config, &on(files(1e4, "a"), false), 0.0, &mut watch).unwrap();
    let refused = |case: &Case, files: BaseFiles| {
        case.run(&config, &on(files, true), 0.0, &mut Watch::default()).unwrap_err().to_string()
    };
    let error = refused(&case, files(5e5, "b"));
    let differs = "config.json of the base model: rope_theta (then 10000.0, now 500000.0); put config.json back";
    assert!(error.contains(differs) && !error.contains("tokenizer.json"), "{error}");
    let mut other = Case::new(CASES[2]);
    other.train[0].input_ids[0] += 1;
    let error = refused(&other, files(1e4, "b"));
    let differs = "training rows (other content), tokenizer.json of the base model (other content); put tokenizer.json";
    assert!(error.contains(differs), "{error}");
    let mut watch = Watch { stop_at: Some(4), ..Watch::default() };
    case.run(&config, &on(files(1e4, "b"), true), 0.0, &mut watch).unwrap();
    assert!(
        watch.notes.len() == 1 && watch.notes[0].starts_with("tokenizer.json"),
        "{:?}",
        watch.notes
    );
    // It is the tokenizer of the newest checkpoint that counts.
    let mut watch = Watch { stop_at: Some(5), ..Watch::default() };
    case.run(&config, &on(files(1e4, "b"), true), 0.0, &mut watch).unwrap();
    assert_eq!(watch.notes, [""; 0]);
}
