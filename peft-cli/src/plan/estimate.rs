//! Memory, seconds and bytes of a step on a device, and on many of them.

use peft_core::{Error, Result};
use peft_models::{
    Compute,
    cost::{Cluster, Exchange, Machine, Part, StepMemory, Work, parts_of},
};

use super::{hardware::Device, measure::Measured, planned::Planned};

/// Bytes of a gradient that is exchanged, and of all numbers but those of matrices.
const F32: f64 = 4.0;

/// What a step is planned on.
#[derive(Clone, Copy, Debug)]
pub struct On<'a> {
    /// The device.
    pub device: &'a Device,
    /// How it is connected to others.
    pub cluster: Cluster,
    /// The type that its products multiply in.
    pub products: Compute,
    /// What it does in a second, where that was measured.
    pub measured: Option<Measured>,
    /// Its threads, if it is a CPU.
    pub threads: usize,
    /// What part of the peak its products reach.
    pub share: f64,
    /// Memory of the program itself.
    pub program: u64,
    /// The most memory that there can be, where that is known.
    pub limit: Option<u64>,
    /// Whether the rows of one batch are dealt out, or each device has a batch.
    pub one_batch: bool,
}

/// A part of a step with its time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TimedPart {
    /// Which it is.
    pub part: Part,
    /// What it does.
    pub work: Work,
    /// How long that takes.
    pub seconds: f64,
}

/// A step on one device.
#[derive(Clone, Debug, PartialEq)]
pub struct OneDevice {
    /// Its parts.
    pub parts: Vec<TimedPart>,
    /// Bytes of the frozen weights.
    pub weights: u64,
    /// The memory of the step.
    pub memory: StepMemory,
    /// All memory, with the program's.
    pub total: u64,
}

impl OneDevice {
    /// How long it takes.
    pub fn seconds(&self) -> f64 {
        self.parts.iter().map(|part| part.seconds).sum()
    }

    /// The operations of its products.
    pub fn operations(&self) -> f64 {
        self.parts.iter().map(|part| part.work.operations).sum()
    }
}

/// A step on several devices.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OnDevices {
    /// How many there are.
    pub devices: usize,
    /// Rows of each batch on each of them.
    pub rows: u64,
    /// How long the step takes, with the exchange.
    pub seconds: f64,
    /// What they exchange.
    pub exchange: Exchange,
    /// What part of the work of as many devices that need not wait for each other is done in that time.
    pub efficiency: f64,
    /// Tokens of all rows in a second, virtual ones left out.
    pub tokens_per_second: f64,
    /// The memory of each device.
    pub memory: u64,
}

impl On<'_> {
    /// What it does in a second with a model.
    fn machine(&self, planned: &Planned) -> Result<Machine> {
        let number = F32;
        // Products in 16 bits read matrices in that type, others what is kept, as all weights are on average.
        let weight = match self.products {
            Compute::F32 => {
                let parameters = planned.outline.parameters.total().max(1);
                let kept = planned.weights(self.device) as f64 / parameters as f64;
                kept + if planned.is_widened(self.device) { 2.0 * F32 } else { 0.0 }
            }
            other => other.bytes() as f64,
        };
        if let Some(measured) = self.measured {
            let Measured { operations, bytes, .. } = measured;
            let operations = operations * self.share;
            return Ok(Machine { operations, bytes, weight, number });
        }
        let peak = self.device.tflops.of(self.products);
        match (peak, self.device.gb_per_s) {
            (Some(peak), Some(bytes)) => Ok(Machine {
                operations: 1e12 * peak * self.share,
                bytes: 1e9 * bytes,
                weight,
                number,
            }),
            _ => {
                let known = self.device.tflops.names().join(", ");
                let message = format!(
                    "found {}, of which {} has no peak: expected one of {known}",
                    self.products, self.device.name
                );
                Err(Error::setting("--dtype", message))
            }
        }
    }

    /// The step with `rows` rows in each batch on one of these devices.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] if the device has no peak for this type.
    pub fn one_device(&self, planned: &Planned, rows: u64) -> Result<OneDevice> {
        let machine = self.machine(planned)?;
        let step = planned.step(self.device, self.threads, rows);
        let parts = parts_of(&step).into_iter().map(|(part, work)| TimedPart {
            part,
            work,
            seconds: machine.seconds(&work),
        });
        let weights = planned.weights(self.device);
        let memory = planned.size(self.device, self.threads, rows).memory();
        let total = weights.saturating_add(memory.total()).saturating_add(self.program);
        Ok(OneDevice { parts: parts.collect(), weights, memory, total })
    }

    /// The step on so many of these devices.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] if there are more devices than rows to deal out, or none.
    pub fn devices(&self, planned: &Planned, devices: usize) -> Result<OnDevices> {
        let all = planned.batch.rows;
        let refuse = |message: String| Err(Error::setting("--devices", message));
        if devices == 0 {
            return refuse("found 0, expected at least 1".into());
        }
        if self.one_batch && devices as u64 > all {
            return refuse(format!(
                "found {devices}, but one batch has {all} rows to deal out: give a larger --batch-size, or leave out \
                 --one-batch"
            ));
        }
        let rows = if self.one_batch { all.div_ceil(devices as u64) } else { all };
        let one = self.one_device(planned, rows)?;
        let exchange = self.cluster.all_reduce(F32 * planned.exchanged() as f64, devices);
        let seconds = one.seconds() + exchange.seconds;
        // One device would make all of these rows alone.
        let rows_of_all = if self.one_batch { all } else { all * devices as u64 };
        let alone = match self.one_batch {
            true => self.one_device(planned, all)?.seconds() / devices as f64,
            false => one.seconds(),
        };
        let batch = planned.batch;
        let tokens = rows_of_all as f64 * (batch.tokens + batch.decoder_tokens) as f64;
        let tokens = tokens * planned.config.accumulation as f64;
        Ok(OnDevices {
            devices,
            rows,
            seconds,
            exchange,
            efficiency: alone / seconds,
            tokens_per_second: tokens / seconds,
            memory: one.total,
        })
    }
}
