//! The table of a self-test, and what to do about what is wrong.

use peft_models::Compute;
use serde_json::{Value, json};

use super::{
    checks::{How, On},
    suite::Row,
};
use crate::{device::Backend, output};

/// The table.
pub fn table(rows: &[Row]) -> String {
    let of = |row: &Row| {
        let (difference, tolerance, at) = match &row.found {
            Ok((worst, tolerance)) => {
                let at = if worst.at.is_empty() { "-" } else { worst.at };
                (format!("{:.1e}", worst.difference), format!("{tolerance:.1e}"), at)
            }
            Err(_) => ("-".to_string(), "-".to_string(), "failed"),
        };
        let verdict = if row.is_right() { "right" } else { "WRONG" };
        let text = |text: &str| text.to_string();
        vec![
            text(row.family.name()),
            text(row.check.name()),
            text(row.how.name()),
            difference,
            tolerance,
            text(at),
            text(verdict),
        ]
    };
    let header =
        ["family", "check", "computed in", "worst difference", "tolerance", "worst at", "verdict"];
    output::table(&header, &rows.iter().map(of).collect::<Vec<_>>())
}

/// Why checks failed, a line each.
pub fn failures(rows: &[Row]) -> Vec<String> {
    let of = |row: &Row| {
        let reason = row.found.as_ref().err()?;
        Some(format!("{}, {}: {reason}", row.family.name(), row.check.name()))
    };
    rows.iter().filter_map(of).collect()
}

/// The rows as JSON.
pub fn json_of(rows: &[Row]) -> Value {
    let of = |row: &Row| {
        let worst = row.found.as_ref().ok();
        // What is infinitely far is no number in JSON.
        json!({
            "family": row.family.name(),
            "check": row.check.name(),
            "computed_in": row.how.name(),
            "difference": worst.map(|(worst, _)| worst.difference).filter(|one| one.is_finite()),
            "tolerance": worst.map(|(_, tolerance)| tolerance),
            "worst_at": worst.map(|(worst, _)| worst.at),
            "error": row.found.as_ref().err(),
            "right": row.is_right(),
            "seconds": row.seconds,
        })
    };
    Value::Array(rows.iter().map(of).collect())
}

/// What to do, if something is wrong.
pub fn advice(rows: &[Row], on: On, backend: Backend) -> Option<String> {
    let wrong: Vec<&Row> = rows.iter().filter(|row| !row.is_right()).collect();
    if wrong.is_empty() {
        return None;
    }
    let is_wrong = |how: How| wrong.iter().any(|row| row.how == how);
    let mut ways = Vec::new();
    for compute in Compute::ALL.into_iter().filter(|compute| is_wrong(How::Reduced(*compute))) {
        ways.push(format!("do without --dtype {compute} there"));
    }
    if is_wrong(How::Recomputed) {
        ways.push("do without --recompute".to_string());
    }
    if is_wrong(How::Int8) {
        ways.push("do without --base-weights int8 there".to_string());
    }
    // What else is wrong.
    let has_own = |how: How| matches!(how, How::Reduced(_) | How::Recomputed | How::Int8);
    let is_other = wrong.iter().any(|row| !has_own(row.how));
    match on {
        On::Cpu => {
            if is_wrong(How::F32) {
                ways.push(
                    "PEFT_KERNELS=off in the environment computes with Burn's own operations"
                        .to_string(),
                );
            }
            if is_wrong(How::Taped) {
                ways.push("do without --recompute where PEFT_KERNELS is off".to_string());
            }
            if is_wrong(How::Bf16Products) {
                ways.push("do without --dtype bf16".to_string());
            }
        }
        On::Gpu if is_other => {
            ways.push("use --device cpu, which this was compared with".to_string());
            ways.extend(without_a_part(backend, &built_parts()));
        }
        On::Gpu => {}
    }
    let count = format!("{} of {} checks are wrong", wrong.len(), rows.len());
    Some(format!("{count}: {}. A report with this table helps others", ways.join("; ")))
}

/// The parts of this build that may be at fault.
fn built_parts() -> Vec<&'static str> {
    let built = [("fusion", cfg!(feature = "fusion")), ("autotune", cfg!(feature = "autotune"))];
    built.into_iter().filter(|(_, has)| *has).map(|(name, _)| name).collect()
}

/// How to build the program without what may be at fault.
fn without_a_part(backend: Backend, parts: &[&str]) -> Option<String> {
    let plain = format!("{}-plain", backend.name());
    let which = match parts {
        [] => return None,
        [_] => "which lacks it".to_string(),
        several => {
            let with: Vec<String> =
                several.iter().map(|part| format!("`--features {plain},{part}`")).collect();
            format!("which has neither, or with {}", with.join(" or "))
        }
    };
    Some(format!(
        "or find out whether it is {}: build with `--features {plain}`, {which}, and repeat this",
        parts.join(" or ")
    ))
}

#[cfg(test)]
mod tests {
    use peft_models::random_model::Family;

    use super::*;
    use crate::selftest::{checks::Check, difference::Worst};

    fn row(how: How, found: Result<(Worst, f64), String>) -> Row {
        Row { family: Family::Bart, check: Check::Gradients, how, found, seconds: 0.5 }
    }

    #[test]
    fn builds_without_a_part_are_other_builds() {
        let of = |parts: &[&str]| without_a_part(Backend::Wgpu, parts);
        assert_eq!(of(&[]), None);
        let one = of(&["fusion"]).unwrap_or_default();
        assert!(one.contains("--features wgpu-plain`, which lacks it,"), "{one}");
        assert!(!one.contains("wgpu-plain,fusion"), "{one}");
        let both = of(&["fusion", "autotune"]).unwrap_or_default();
        for says in
            ["neither", "`--features wgpu-plain,fusion`", "`--features wgpu-plain,autotune`"]
        {
            assert!(both.contains(says), "{both}");
        }
    }

    #[test]
    fn right_and_wrong_stand_in_the_table_with_the_way_out() {
        let worst = |difference| Worst { difference, at: "prefix" };
        let right = row(How::F32, Ok((worst(2e-6), 1e-3)));
        assert_eq!(advice(std::slice::from_ref(&right), On::Cpu, Backend::Cpu), None);
        let rows = [
            right,
            row(How::Bf16Products, Ok((worst(f64::INFINITY), 0.1))),
            row(How::Recomputed, Err("lost the device".into())),
        ];
        let text = table(&rows);
        let verdicts: Vec<&str> =
            text.lines().skip(1).filter_map(|line| line.split_whitespace().last()).collect();
        assert_eq!(verdicts, ["right", "WRONG", "WRONG"]);
        assert!(text.contains("2.0e-6") && text.contains("inf"), "{text}");
        assert_eq!(failures(&rows), ["bart, gradients: lost the device"]);
        let told = advice(&rows, On::Cpu, Backend::Cpu).unwrap_or_default();
        assert!(told.starts_with("2 of 3 checks") && told.contains("--dtype bf16"), "{told}");
        assert!(told.contains("--recompute") && !told.contains("PEFT_KERNELS"), "{told}");
        let told = advice(&rows, On::Gpu, Backend::Wgpu).unwrap_or_default();
        assert!(told.contains("--device cpu"), "{told}");
        let reduced = [row(How::Reduced(Compute::F16), Ok((worst(0.5), 0.1)))];
        let told = advice(&reduced, On::Gpu, Backend::Wgpu).unwrap_or_default();
        assert!(told.contains("--dtype f16") && !told.contains("--device cpu"), "{told}");
        let recomputed = [row(How::Recomputed, Ok((worst(0.5), 0.1)))];
        let told = advice(&recomputed, On::Gpu, Backend::Wgpu).unwrap_or_default();
        assert!(told.contains("--recompute") && !told.contains("--device cpu"), "{told}");
        let int8 = [row(How::Int8, Ok((worst(0.5), 0.1)))];
        let told = advice(&int8, On::Gpu, Backend::Wgpu).unwrap_or_default();
        assert!(told.contains("--base-weights int8") && !told.contains("--device cpu"), "{told}");
        let taped = [row(How::Taped, Ok((worst(0.5), 0.1)))];
        let told = advice(&taped, On::Cpu, Backend::Cpu).unwrap_or_default();
        assert!(told.contains("--recompute where PEFT_KERNELS is off"), "{told}");
        let json = json_of(&rows);
        assert_eq!([&json[0]["right"], &json[1]["difference"]], [&json!(true), &Value::Null]);
        assert_eq!(json[2]["error"], "lost the device");
    }
}
