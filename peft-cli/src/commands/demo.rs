//! `peft demo`: all three methods on the built-in model, without files or a network.

use std::{path::PathBuf, sync::Arc};

use clap::Args;
use peft_core::{Error, FrozenModel, VirtualTokens, data::Example};
use peft_models::generate::greedy;
use serde_json::json;

use crate::{
    demo::{
        builtin::{Builtin, export},
        recipe::recipe,
        world,
    },
    device::{self, DeviceArgs, DeviceName},
    error::{CliError, CliResult},
    flags::method_name::MethodName,
    output::{self, grouped, line},
    screen::{manners::is_watched, rows::INTERVAL},
    signals::{AFTER_STEP, Signals},
    training::{PreparedRun, progress::Progress},
};

/// Trains prompt tuning, prefix tuning and P-tuning v2 on the built-in model, and prints one table.
///
/// Needs no files and no network.
///
/// Example: peft demo --seed 1
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub struct DemoArgs {
    /// Seed of everything: rows, initial values, order.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Device to compute with.
    #[arg(long, value_name = "DEVICE", help = device::name::HELP)]
    device: Option<DeviceName>,
    #[command(flatten)]
    on_device: DeviceArgs,
    /// Print JSON: {"base": score, "methods": [{"method", "score", "parameters", "seconds"}]}.
    #[arg(long)]
    json: bool,
    /// Write the model's folder and the task's files to DIR instead, to try the other commands on.
    #[arg(long, value_name = "DIR", conflicts_with = "json")]
    export: Option<PathBuf>,
    /// Write the text that the model was pretrained on to DIR instead, for demo-model/pretrain.py.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["json", "export"])]
    write_world: Option<PathBuf>,
}

/// What one method reached.
struct Reached {
    method: MethodName,
    score: f64,
    trained: usize,
    stored: usize,
    seconds: f64,
}

/// Runs the command.
///
/// # Errors
///
/// Returns an error if a folder cannot be written, or the run is interrupted.
pub fn run(args: &DemoArgs) -> CliResult {
    for (flag, folder) in [("--write-world", &args.write_world), ("--export", &args.export)] {
        folder.as_deref().map_or(Ok(()), |folder| output::check_folder(flag, folder))?;
    }
    if let Some(folder) = &args.write_world {
        return Ok(world::write_pretraining_text(folder).map_err(Error::write(folder))?);
    }
    if let Some(folder) = &args.export {
        export(folder, args.seed)?;
        let folder = folder.display();
        line(format!("wrote {folder}/model, {folder}/train.jsonl and {folder}/test.jsonl"))?;
        return Ok(());
    }
    args.on_device.apply()?;
    let device = device::choose(args.device)?;
    let builtin = Builtin::load(args.seed, &device)?;
    let base = score(&builtin, &builtin.test, &VirtualTokens::none())?;
    if !args.json {
        introduce(&builtin, args.seed)?;
    }
    let signals = Signals::follow(AFTER_STEP);
    let mut reached = Vec::new();
    for method in MethodName::ALL {
        reached.push(train(&builtin, method, args.seed, &signals, &device)?);
        let found = reached.last().map_or(0.0, |reached| reached.score);
        if !args.json && is_watched() {
            output::note(format!(
                "{:>8}: {:.1} % of the answers correct",
                method.name(),
                100.0 * found
            ));
        }
    }
    if args.json {
        let methods: Vec<_> = reached
            .iter()
            .map(|reached| {
                json!({
                    "method": reached.method.name(),
                    "score": reached.score,
                    "parameters": reached.stored,
                    "seconds": (reached.seconds * 10.0).round() / 10.0,
                })
            })
            .collect();
        return Ok(line(json!({ "base": base, "methods": methods }).to_string())?);
    }
    print_table(&builtin, base, &reached)
}

/// Prints what each method reached beside the untrained model.
fn print_table(builtin: &Builtin, base: f64, reached: &[Reached]) -> CliResult {
    let percent = |score: f64| format!("{:.1} %", 100.0 * score);
    let told = score(builtin, &builtin.told, &VirtualTokens::none())?;
    let untrained = |name: &str, score: f64| {
        vec![name.to_string(), percent(score), "-".into(), "-".into(), "-".into()]
    };
    let mut rows = vec![untrained("frozen base", base), untrained("frozen base, told *", told)];
    rows.extend(reached.iter().map(|reached| {
        vec![
            title(reached.method).to_string(),
            percent(reached.score),
            grouped(reached.trained),
            grouped(reached.stored),
            format!("{:.1}", reached.seconds),
        ]
    }));
    line(output::table(&["method", "exact answers", "trained", "stored", "seconds"], &rows))?;
    line("")?;
    line(format!("* in front of each row: {}", world::CLOSEST_INSTRUCTION))?;
    let all = grouped(builtin.base.report.num_parameters);
    line(format!("The model's own {all} parameters never changed. Next: peft demo --export demo"))?;
    Ok(())
}

fn title(method: MethodName) -> &'static str {
    match method {
        MethodName::Prompt => "prompt tuning",
        MethodName::Prefix => "prefix tuning",
        MethodName::Ptv2 => "P-tuning v2",
        MethodName::Head => "head",
    }
}

/// Introduces the model and the task.
fn introduce(builtin: &Builtin, seed: u64) -> CliResult {
    let spec = builtin.base.model.spec();
    let site = spec.self_site()?;
    line(format!(
        "A frozen {} model of {} parameters ({} layers, H {}), pretrained on a little world of its own.",
        spec.model_type,
        grouped(builtin.base.report.num_parameters),
        site.num_layers,
        spec.hidden_size
    ))?;
    line("The task, which it never saw: give the colour in French, then the place in German.")?;
    let split = world::task_split(seed);
    if let Some((source, target)) = split.test.first() {
        line(format!("  {source}  ->  {target}"))?;
    }
    line(format!(
        "{} rows to train on, {} others to score on.",
        builtin.train.len(),
        builtin.test.len()
    ))?;
    Ok(line("")?)
}

/// The share of test rows that greedy generation answers exactly.
fn score(
    builtin: &Builtin,
    rows: &[Example],
    virtual_tokens: &VirtualTokens,
) -> peft_core::Result<f64> {
    let ends = builtin.base.config.token_ids("eos_token_id");
    let longest = builtin.answers.iter().map(Vec::len).max().unwrap_or(0);
    let mut right = 0;
    for (rows, answers) in rows.chunks(100).zip(builtin.answers.chunks(100)) {
        let inputs: Vec<&[u32]> = rows.iter().map(|row| row.input_ids.as_slice()).collect();
        let model = builtin.base.model.as_ref();
        let made = greedy(model, &inputs, virtual_tokens, longest + 1, &ends)?;
        right += made
            .iter()
            .zip(answers)
            .filter(|(made, answer)| {
                made.split_last().is_some_and(|(end, rest)| ends.contains(end) && rest == *answer)
            })
            .count();
    }
    Ok(right as f64 / rows.len() as f64)
}

fn train(
    builtin: &Builtin,
    method: MethodName,
    seed: u64,
    signals: &Signals,
    device: &burn::tensor::Device,
) -> CliResult<Reached> {
    let run = PreparedRun::on_rows(
        recipe(method, seed),
        Arc::clone(&builtin.base),
        builtin.train.clone(),
        device,
    )?;
    let mut progress = Progress::new(method.name(), INTERVAL, None, signals.clone());
    let trained = run.train(None, false, &mut progress);
    progress.finish();
    let trained = trained?;
    if trained.interrupted {
        let signal = signals.number();
        return Err(CliError::Interrupted { signal, message: "interrupted".into() });
    }
    let model: &dyn FrozenModel = builtin.base.model.as_ref();
    let virtual_tokens = model.prefill(&trained.adapter.virtual_tokens(model.spec(), device)?)?;
    Ok(Reached {
        method,
        score: score(builtin, &builtin.test, &virtual_tokens)?,
        trained: trained.trained_parameters,
        stored: trained.adapter.tensors.values().map(|data| data.num_elements()).sum(),
        seconds: trained.seconds,
    })
}
