//! The machine that a run was made on.

use std::{env::consts, fs, thread};

use burn::tensor::Device;
use peft_models::{Compute, kernels};
use serde::{Deserialize, Serialize};

/// What is known of a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Machine {
    /// The name of its processor; its architecture where the system does not say.
    pub processor: String,
    /// The cores that the program may use, as the system counts them.
    pub cores: usize,
    /// The threads that the program computes with.
    pub threads: usize,
    /// The operating system.
    pub system: String,
}

impl Machine {
    /// This one.
    pub fn here() -> Self {
        let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        Self {
            processor: processor(&text).unwrap_or(consts::ARCH).to_string(),
            cores: thread::available_parallelism().map_or(1, usize::from),
            threads: rayon::current_num_threads(),
            system: consts::OS.to_string(),
        }
    }

    /// In words.
    pub fn shown(&self) -> String {
        let Self { processor, cores, threads, system } = self;
        let cores_of = if *cores == 1 { "core" } else { "cores" };
        let threads_of = if *threads == 1 { "thread" } else { "threads" };
        format!("{processor}, {cores} {cores_of}, {threads} {threads_of}, {system}")
    }
}

/// What computes in `dtype` on a device, as far as it decides the last bits of results.
pub fn computes_by(device: &Device, dtype: Compute) -> String {
    let products = kernels::bf16_instructions().filter(|_| dtype == Compute::Bf16);
    match (kernels::instructions().filter(|_| kernels::compute_on(device)), products) {
        (Some(instructions), Some(products)) => {
            format!("the kernels for {instructions} and {products}")
        }
        (Some(instructions), None) => format!("the kernels for {instructions}"),
        (None, _) if is_cpu(device) => "Burn's operations on the CPU".to_string(),
        (None, _) => "Burn's operations on a GPU".to_string(),
    }
}

#[cfg(feature = "cpu")]
fn is_cpu(device: &Device) -> bool {
    *device == Device::flex()
}

#[cfg(not(feature = "cpu"))]
fn is_cpu(_: &Device) -> bool {
    false
}

/// The name of the processor in `/proc/cpuinfo`.
fn processor(text: &str) -> Option<&str> {
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    line.split_once(':').map(|(_, name)| name.trim()).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(feature = "cpu")]
    fn products_in_bf16_are_named_where_a_run_has_them() {
        let by = |dtype| computes_by(&Device::flex(), dtype);
        let (f32, bf16) = (by(Compute::F32), by(Compute::Bf16));
        assert!(!f32.contains("BF16"), "{f32}");
        match kernels::bf16_instructions().filter(|_| f32.starts_with("the kernels for ")) {
            Some(products) => assert_eq!(bf16, format!("{f32} and {products}")),
            None => assert_eq!(bf16, f32),
        }
    }

    #[test]
    fn a_machine_is_told_in_words() {
        let text = "processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\nflags\t: a b\n";
        assert_eq!(
            (processor(text), processor("model name\t:\n"), processor("")),
            (Some("Some CPU @ 2 GHz"), None, None)
        );
        let here = Machine::here();
        assert!(here.cores > 0 && here.threads > 0 && !here.processor.is_empty());
        let one = Machine { processor: "x".into(), cores: 1, threads: 2, system: "linux".into() };
        assert_eq!(one.shown(), "x, 1 core, 2 threads, linux");
    }
}
