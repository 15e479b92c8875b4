//! The devices of the machine and the backends of this build, as a table and as JSON.

use std::path::Path;

use burn::tensor::{DType, Device};
use peft_models::kernels;
use serde_json::{Value, json};

use super::{
    backend::Backend,
    kernel_cache,
    listed::{self, Listed},
    name::DeviceName,
    open::open,
    opened::{About, Opened},
    panics,
};
use crate::{
    error::CliResult,
    output::{self, bytes, line},
    training::machine::Machine,
};

/// The types that a device may compute with.
const DTYPES: [(&str, DType); 4] =
    [("f32", DType::F32), ("f16", DType::F16), ("bf16", DType::BF16), ("f64", DType::F64)];

/// A device, and what is known of it, or why it cannot be opened.
struct Row {
    listed: Listed,
    found: Result<(About, Vec<&'static str>), String>,
}

/// The devices that this build can use. Each is opened.
fn rows() -> Vec<Row> {
    let of = |listed: Listed| {
        let found = open(listed.name).and_then(|Opened { device, about }| {
            panics::caught(|| dtypes(&device)).map(|dtypes| (about, dtypes))
        });
        Row { listed, found }
    };
    Backend::ALL.into_iter().rev().flat_map(listed::of).map(of).collect()
}

/// The types that a device computes with.
fn dtypes(device: &Device) -> Vec<&'static str> {
    let supported = DTYPES.into_iter().filter(|(_, dtype)| device.supports_dtype(*dtype));
    supported.map(|(name, _)| name).collect()
}

/// Prints the devices and the backends.
///
/// # Errors
///
/// Returns an error if stdout cannot be written to.
pub fn print(as_json: bool) -> CliResult {
    let rows = rows();
    match as_json {
        true => Ok(line(format!("{:#}", json_of(&rows)))?),
        false => print_table(&rows),
    }
}

fn print_table(rows: &[Row]) -> CliResult {
    let dash = || "-".to_string();
    let of_device = |row: &Row| {
        let (card, driver, memory, dtypes) = match &row.found {
            Ok((about, dtypes)) => {
                let memory = about.memory.map_or_else(dash, bytes);
                let driver = about.driver.clone().unwrap_or_else(dash);
                (about.card.clone(), driver, memory, dtypes.join(" "))
            }
            Err(reason) => (format!("cannot be opened: {reason}"), dash(), dash(), dash()),
        };
        let kind = row.listed.kind.name().to_string();
        vec![row.listed.name.to_string(), kind, card, driver, memory, dtypes]
    };
    let header = ["device", "kind", "name", "driver", "memory", "types"];
    line(output::table(&header, &rows.iter().map(of_device).collect::<Vec<_>>()))?;
    line("")?;
    for (name, value) in facts(rows) {
        output::fact(name, value)?;
    }
    Ok(())
}

/// What is to be known beside the table: backends, what the processor can do, the cache.
fn facts(rows: &[Row]) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    for backend in Backend::ALL.into_iter().rev() {
        let is_there = rows.iter().any(|row| listed::of_backend(&row.listed, backend));
        let what = backend.what();
        let told = match (backend.is_compiled(), is_there) {
            (false, _) => format!("{what}; not compiled in: {}", backend.build_command()),
            (true, true) => format!("{what}; compiled in"),
            (true, false) => {
                format!("{what}; compiled in, but none was found: it needs {}", backend.driver())
            }
        };
        facts.push((backend.name(), told));
    }
    if Backend::Cpu.is_compiled() {
        let here = Machine::here();
        facts.push(("cores", format!("{}, {} threads", here.cores, here.threads)));
        facts.push(("kernels", kernels_told()));
        facts.push(("products in bf16", bf16_told()));
    }
    if let Some(file) = kernel_cache::file() {
        facts.push(("kernel cache", cache_told(&file)));
    }
    facts
}

/// Which kernels compute on the processor.
fn kernels_told() -> String {
    match (kernels::instructions(), kernels::enabled()) {
        (Some(instructions), true) => instructions.to_string(),
        (Some(instructions), false) => format!("off (PEFT_KERNELS=off), otherwise {instructions}"),
        (None, _) => "none".to_string(),
    }
}

/// Whether the kernels multiply in bf16 on the processor.
fn bf16_told() -> String {
    match (kernels::bf16_instructions(), why_no_bf16()) {
        (Some(instructions), None) => format!("yes, {instructions} (--dtype bf16)"),
        (_, Some(reason)) => format!("no bf16, {reason}"),
        (None, None) => "no".to_string(),
    }
}

/// Why they do not.
fn why_no_bf16() -> Option<String> {
    let cpu = open(DeviceName::best(Backend::Cpu)).ok()?;
    kernels::why_no_bf16(&cpu.device)
}

fn cache_told(file: &Path) -> String {
    match kernel_cache::bytes(file) {
        0 => format!("{}, which is not there yet", file.display()),
        size => format!("{}, {}; it may be removed", file.display(), bytes(size)),
    }
}

fn json_of(rows: &[Row]) -> Value {
    let of_device = |row: &Row| {
        let (about, dtypes) = row
            .found
            .as_ref()
            .map_or_else(|_| (None, Vec::new()), |(about, dtypes)| (Some(about), dtypes.clone()));
        json!({
            "device": row.listed.name.to_string(),
            "kind": row.listed.kind.name(),
            "name": about.map(|about| &about.card),
            "driver": about.and_then(|about| about.driver.as_ref()),
            "memory_bytes": about.and_then(|about| about.memory),
            "dtypes": dtypes,
            "error": row.found.as_ref().err(),
        })
    };
    let of_backend = |backend: Backend| {
        json!({
            "backend": backend.name(),
            "compiled": backend.is_compiled(),
            "build": backend.build_command(),
        })
    };
    let here = Machine::here();
    let cpu = Backend::Cpu.is_compiled().then(|| {
        json!({
            "cores": here.cores,
            "threads": here.threads,
            "kernels": kernels::instructions().filter(|_| kernels::enabled()),
            "bf16": { "supported": why_no_bf16().is_none(), "reason": why_no_bf16() },
        })
    });
    let cache = kernel_cache::file().map(
        |file| json!({ "path": file.display().to_string(), "bytes": kernel_cache::bytes(&file) }),
    );
    json!({
        "devices": rows.iter().map(of_device).collect::<Vec<_>>(),
        "backends": Backend::ALL.into_iter().rev().map(of_backend).collect::<Vec<_>>(),
        "cpu": cpu,
        "kernel_cache": cache,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(feature = "cpu")]
    fn the_processor_is_told() {
        let rows = rows();
        let found = json_of(&rows);
        assert_eq!(found["devices"][0]["device"], "cpu");
        assert!(
            found["devices"][0]["dtypes"].as_array().is_some_and(|all| all.contains(&json!("f32")))
        );
        assert!(found["cpu"]["cores"].as_u64().is_some_and(|cores| cores > 0));
        let named: Vec<&str> = facts(&rows).into_iter().map(|(name, _)| name).collect();
        assert_eq!(named[..6], ["cpu", "wgpu", "cuda", "cores", "kernels", "products in bf16"]);
    }

    #[test]
    fn what_is_not_compiled_in_is_told_with_its_command() {
        for (name, told) in facts(&[]) {
            let lacks =
                Backend::ALL.into_iter().find(|one| one.name() == name && !one.is_compiled());
            if let Some(backend) = lacks {
                assert!(told.ends_with(&backend.build_command()), "{told}");
            }
        }
    }
}
