//! A plan as text or JSON.

use peft_core::Result;
use peft_models::{cost::Part, kernels};
use serde_json::{Value, json};

use super::{
    estimate::{On, OnDevices, OneDevice},
    hardware::Kind,
    planned::Planned,
};
use crate::output::{bytes, grouped, table};

/// What is exact, and what an estimate.
const EXACT: &str = "exact";
const ESTIMATE: &str = "estimate";

/// A plan: a step on one device, and on several.
#[derive(Debug)]
pub struct Plan<'a> {
    /// The step.
    pub planned: &'a Planned,
    /// What it is planned on.
    pub on: On<'a>,
    /// What it costs on one device.
    pub one: OneDevice,
    /// What it costs on several.
    pub several: Vec<OnDevices>,
}

impl<'a> Plan<'a> {
    /// The plan of a step on so many devices.
    ///
    /// # Errors
    ///
    /// Those of [`On::devices`].
    pub fn new(planned: &'a Planned, on: On<'a>, devices: &[usize]) -> Result<Self> {
        let one = on.one_device(planned, planned.batch.rows)?;
        let several =
            devices.iter().map(|count| on.devices(planned, *count)).collect::<Result<_>>()?;
        Ok(Self { planned, on, one, several })
    }

    /// As lines of text.
    pub fn text(&self) -> String {
        let mut parts =
            vec![self.facts(), String::new(), self.memory(), String::new(), self.time()];
        if self.several.iter().any(|several| several.devices > 1) {
            parts.extend([String::new(), self.on_several()]);
        }
        parts.extend([String::new(), self.remarks().join("\n")]);
        parts.join("\n")
    }

    /// What is planned, line by line.
    fn facts(&self) -> String {
        let Planned { name, task, outline, method, batch, config, .. } = self.planned;
        let spec = &outline.spec;
        let trained = grouped(self.planned.trained());
        let mut rows = format!("{} rows of {} tokens", grouped(batch.rows as usize), batch.tokens);
        if batch.decoder_tokens > 0 {
            rows += &format!(" and targets of {}", batch.decoder_tokens);
        }
        let targets = grouped(batch.targets as usize);
        let batches = match config.accumulation {
            1 => String::new(),
            count => format!(", {} such batches", grouped(count)),
        };
        let recompute = match self.planned.settings.recompute.unwrap_or_default() {
            true => ", layers computed again",
            false => "",
        };
        let kept = self.planned.kept_as(self.on.device);
        let lines = [
            (
                "model",
                format!(
                    "{}, {} parameters, frozen, {kept}",
                    spec.model_type,
                    grouped(outline.parameters.total())
                ),
            ),
            (
                "method",
                format!(
                    "{} with P {}: {trained} parameters trained",
                    name.name(),
                    method.virtual_tokens
                ),
            ),
            ("step", format!("{task}, {rows}, {targets} to predict{batches}{recompute}")),
            ("device", self.device()),
        ];
        let line = |(name, text): &(&str, String)| format!("{name:<8} {text}");
        lines.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    /// The device with its figures and where they come from.
    fn device(&self) -> String {
        let On { device, measured, products, share, .. } = &self.on;
        let percent = 100.0 * share;
        let places = match percent {
            little if little < 1.0 => 2,
            edge if edge < 10.0 || (99.0..100.0).contains(&edge) => 1,
            _ => 0,
        };
        let part = match device.share.is_some() || *share < 1.0 {
            true => format!(" at {percent:.places$} % of the peak"),
            false => String::new(),
        };
        match measured {
            Some(measured) => format!(
                "{}, {} thread{}, measured: {} GFLOP/s in products{part}, {} GB/s",
                device.name,
                measured.threads,
                if measured.threads == 1 { "" } else { "s" },
                digits(measured.operations / 1e9),
                digits(measured.bytes / 1e9)
            ),
            None => format!(
                "{}: {} TFLOP/s in {products}{part}, {} GB/s ({})",
                device.name,
                digits(device.tflops.of(*products).unwrap_or_default()),
                digits(device.gb_per_s.unwrap_or_default()),
                device.source
            ),
        }
    }

    /// The memory of one device, part by part.
    fn memory(&self) -> String {
        let row =
            |name: &str, size: u64, how: &str| vec![name.to_string(), bytes(size), how.into()];
        let how = if self.weights_are_exact() { EXACT } else { ESTIMATE };
        let mut rows = vec![row("frozen weights", self.one.weights, how)];
        for (name, size) in self.one.memory.parts() {
            let how = if EXACT_MEMORY.contains(&name) { EXACT } else { ESTIMATE };
            rows.push(row(name, size, how));
        }
        if self.on.program > 0 {
            rows.push(row("the program", self.on.program, ESTIMATE));
        }
        rows.push(row("together", self.one.total, ESTIMATE));
        table(&["memory of a device", "bytes", ""], &rows)
    }

    fn weights_are_exact(&self) -> bool {
        self.planned.weights_are_exact(self.on.device)
    }

    /// Operations and seconds of a step on one device, part by part.
    fn time(&self) -> String {
        let mut rows = Vec::new();
        for part in &self.one.parts {
            let (operations, how) = match part.part.is_exact() {
                true => (digits(part.work.operations / 1e9), EXACT),
                false => ("-".to_string(), ESTIMATE),
            };
            let seconds = digits(part.seconds);
            rows.push(vec![described(part.part, self.planned), operations, how.into(), seconds]);
        }
        let (operations, seconds) = (self.one.operations() / 1e9, self.one.seconds());
        rows.push(vec!["together".into(), digits(operations), EXACT.into(), digits(seconds)]);
        table(&["a step on one device", "GFLOP", "", "s, estimate"], &rows)
    }

    /// Steps on several devices.
    fn on_several(&self) -> String {
        let row = |several: &OnDevices| {
            vec![
                grouped(several.devices),
                grouped(several.rows as usize),
                digits(several.seconds),
                format!("{:.1} %", 100.0 * several.efficiency),
                grouped(several.tokens_per_second.round() as usize),
                sent(several.exchange.sent),
                digits(1e6 * several.exchange.seconds),
                bytes(several.memory),
            ]
        };
        let rows: Vec<Vec<String>> = self.several.iter().map(row).collect();
        let header = [
            "devices",
            "rows each",
            "s a step",
            "efficiency",
            "tokens/s",
            "sent by each",
            "us for it",
            "memory each",
        ];
        table(&header, &rows)
    }

    /// What to know of these numbers.
    fn remarks(&self) -> Vec<String> {
        let mut said = Vec::new();
        if let Some(limit) = self.on.limit.filter(|limit| self.one.total > *limit) {
            let way_on = match self.one.weights > limit {
                true => "The frozen weights alone are more than that.",
                false => {
                    "A smaller --batch-size or --batch-tokens takes less, and so does --recompute."
                }
            };
            let has = match self.on.device.memory_gb {
                // Cards report a little more than that, or less.
                Some(_) => format!("the device nominally has {}", bytes(limit)),
                None => format!("the device has {}", bytes(limit)),
            };
            said.push(format!("It does not fit: {has}. {way_on}"));
        }
        if let Some(head) = self.planned.head.filter(|_| self.planned.assumes_classes) {
            said.push(format!(
                "A head of {} classes is assumed: --classes says how many there are, or --labels.",
                head.classes
            ));
        }
        if self.on.measured.is_none() && self.on.share >= 1.0 {
            said.push(
                "Seconds are at the peak of products, without TF32 and without overlap of computing and exchange: nobody \
                 measured what part of it this device reaches here. --peak-share says what to expect."
                    .into(),
            );
        }
        if self.on.device.kind == Kind::Gpu {
            said.push(
                "On a GPU nothing was compared with a run: neither memory nor seconds.".into(),
            );
            if self.on.products.is_rounded() {
                said.push(format!(
                    "{} halves the frozen matrices; all other numbers stay in f32.",
                    self.on.products
                ));
            }
        }
        let format = self.planned.settings.base_weights.unwrap_or_default();
        let is_narrow = format.is_rounded() || !self.weights_are_exact();
        if self.on.measured.is_some() && is_narrow && !self.planned.compute().is_rounded() {
            said.push("Products were measured with matrices in f32: upcasting those of fewer bits takes time that is not counted.".into());
        }
        // Only without kernels: with them products were measured in their type.
        if self.on.measured.is_some() && self.on.products.is_rounded() && !kernels::enabled() {
            said.push(format!(
                "Products were measured in f32: PEFT_KERNELS is off, and how long Burn's own operations take in {} was \
                 not measured.",
                self.on.products
            ));
        }
        if self.planned.config.packing {
            said.push(
                "Packed rows are counted as if each were one example: attention takes less.".into(),
            );
        }
        let has = |part: Part| self.one.parts.iter().any(|own| own.part == part);
        if has(Part::Frozen) {
            said.push("Frozen layers are computed in the first epoch alone where their states are kept (--cache-frozen).".into());
        }
        if self.several.iter().any(|several| several.devices > 1) {
            let links = format!(
                "{} devices a node by {}, nodes by {}",
                self.on.device.per_node, self.on.device.link, self.on.device.network
            );
            said.push(format!(
                "Counted are replicas that each compute alone and all-reduce the gradients of {} numbers; `peft train \
                 --devices` does otherwise (docs/DEVICES.md). Assumed: {links}.",
                grouped(self.planned.exchanged())
            ));
        }
        said.push("docs/PLAN.md has the equations.".into());
        said
    }

    /// As JSON.
    pub fn json(&self) -> Value {
        let Planned { name, task, outline, method, batch, config, .. } = self.planned;
        let On { device, measured, products, share, threads, .. } = &self.on;
        let parts: Vec<Value> = self
            .one
            .parts
            .iter()
            .map(|part| {
                json!({
                    "part": part.part.name(), "flop": part.work.operations, "exact": part.part.is_exact(),
                    "weights_read": part.work.weights, "numbers_moved": part.work.moved, "seconds": part.seconds,
                })
            })
            .collect();
        let mut memory = vec![json!({
            "part": "frozen weights", "bytes": self.one.weights, "exact": self.weights_are_exact(),
        })];
        memory.extend(self.one.memory.parts().into_iter().map(
            |(name, size)| json!({"part": name, "bytes": size, "exact": EXACT_MEMORY.contains(&name)}),
        ));
        memory.push(json!({"part": "the program", "bytes": self.on.program, "exact": false}));
        let several: Vec<Value> = self
            .several
            .iter()
            .map(|several| {
                json!({
                    "devices": several.devices, "rows_each": several.rows, "seconds": several.seconds,
                    "efficiency": several.efficiency, "tokens_per_second": several.tokens_per_second,
                    "bytes_sent_by_each": several.exchange.sent, "exchange_seconds": several.exchange.seconds,
                    "memory_bytes_each": several.memory,
                })
            })
            .collect();
        json!({
            "model_type": outline.spec.model_type,
            "parameters": outline.parameters.total(),
            "method": name.name(),
            "task": task.name(),
            "num_virtual_tokens": method.virtual_tokens,
            "classes": self.planned.head.map(|head| head.classes),
            "classes_assumed": self.planned.assumes_classes,
            "trained_parameters": self.planned.trained(),
            "exchanged_numbers": self.planned.exchanged(),
            "batch": {
                "rows": batch.rows, "tokens_per_row": batch.tokens,
                "target_tokens_per_row": batch.decoder_tokens, "targets": batch.targets,
                "batches": config.accumulation,
            },
            "device": {
                "name": device.name, "figures": device, "dtype": products.name(), "share": share,
                "threads": (device.kind == Kind::Cpu).then_some(threads),
                "measured": measured.map(|measured| json!({
                    "flop_per_second": measured.operations, "bytes_per_second": measured.bytes,
                })),
            },
            "step": {
                "flop": self.one.operations(), "seconds": self.one.seconds(), "parts": parts,
                "memory_bytes": self.one.total, "memory": memory,
            },
            "devices": several,
        })
    }
}

/// Parts of the memory that are counted, not estimated.
const EXACT_MEMORY: [&str; 2] = ["trained parameters", "optimizer"];

/// A part in words.
fn described(part: Part, planned: &Planned) -> String {
    match part {
        Part::Frozen => "frozen layers, forward".into(),
        Part::Forward => "layers, forward".into(),
        Part::Backward => "layers, backward".into(),
        Part::Again => "layers, forward again".into(),
        Part::Attention => "attention, both ways".into(),
        Part::Prompt => "prompt, once for all rows".into(),
        Part::Head => format!("head at {} positions", grouped(planned.batch.targets as usize)),
        Part::Network => "what makes the virtual tokens".into(),
        Part::Elements => "norms, activations, logits".into(),
        Part::Update => "update".into(),
    }
}

/// A number in three digits, as people read it.
fn digits(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return "0".into();
    }
    let places = 2 - value.abs().log10().floor() as i32;
    match places {
        ..=0 => grouped(value.round().max(0.0) as usize),
        1..=6 => format!("{value:.*}", places as usize),
        _ => format!("{value:.2e}"),
    }
}

/// Bytes that are sent, also few of them.
fn sent(count: f64) -> String {
    match count {
        ..1e3 => format!("{count:.0} B"),
        ..1e6 => format!("{} kB", digits(count / 1e3)),
        _ => format!("{} MB", digits(count / 1e6)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits() {
        let of = [86.97, 0.6293, 12_345.6, 0.0123, 0.0, 2.5e-9, 100.0].map(digits);
        assert_eq!(of, ["87.0", "0.629", "12 346", "0.0123", "0", "2.50e-9", "100"]);
        assert_eq!(
            [0.0, 12.0, 81_920.0, 5_242_880.0].map(sent),
            ["0 B", "12 B", "81.9 kB", "5.24 MB"]
        );
    }
}
