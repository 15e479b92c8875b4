//! All checks of all families, on two sides.

use std::time::Instant;

use burn::tensor::Device;
use peft_core::Result;
use peft_models::{Compute, LoadOptions, Loaded, WeightFormat, kernels, random_model::Family};

use super::{
    checks::{Check, How, On},
    difference::{self, Part, Worst},
    generation::{self, Texts},
    measures,
    rows::{self, Batches},
    tolerance,
};
use crate::device::panics;

/// A device, with kernels turned on or off where it has any.
#[derive(Clone, Debug)]
struct Side {
    device: Device,
    kernels: Option<bool>,
}

/// The device that is tested, and the CPU.
#[derive(Clone, Debug)]
pub struct Suite {
    on: On,
    reference: Side,
    tested: Side,
    /// The device that is tested, with Burn's own operations.
    general: Side,
    /// The types of 16 bits that it is tested in, too.
    dtypes: Vec<Compute>,
}

/// What a check found.
#[derive(Clone, Debug)]
pub struct Row {
    /// The family of the model.
    pub family: Family,
    /// The check.
    pub check: Check,
    /// How the model computed.
    pub how: How,
    /// The largest difference with the one that is allowed, or why there is none.
    pub found: std::result::Result<(Worst, f64), String>,
    /// How long both sides took.
    pub seconds: f64,
}

impl Row {
    /// Whether the device is right.
    pub fn is_right(&self) -> bool {
        self.found.as_ref().is_ok_and(|(worst, tolerance)| worst.difference <= *tolerance)
    }
}

/// What one side computed.
enum Measured {
    Numbers(Vec<Part>),
    Texts(Vec<Texts>),
}

/// Turns kernels on or off until it is dropped.
struct Switched(bool);

impl Switched {
    fn to(wanted: Option<bool>) -> Self {
        let before = kernels::enabled();
        kernels::set_enabled(wanted.unwrap_or(before));
        Self(before)
    }
}

impl Drop for Switched {
    fn drop(&mut self) {
        kernels::set_enabled(self.0);
    }
}

impl Suite {
    /// Tests `device` against `cpu`. On the CPU itself, kernels are tested against Burn's own operations, and turned on and
    /// off for the whole process.
    pub fn new(device: Device, cpu: Device) -> Self {
        let on = if device == cpu { On::Cpu } else { On::Gpu };
        let with = |kernels: bool| (on == On::Cpu).then_some(kernels);
        Self {
            on,
            reference: Side { device: cpu, kernels: with(false) },
            general: Side { device: device.clone(), kernels: with(false) },
            tested: Side { device, kernels: with(true) },
            dtypes: Vec::new(),
        }
    }

    /// The same, also with frozen matrices that are kept and multiplied in each of these types, by Burn's own operations.
    #[must_use]
    pub fn with_dtypes(mut self, dtypes: &[Compute]) -> Self {
        self.dtypes = Compute::ALL.into_iter().filter(|one| one.is_rounded()).collect();
        self.dtypes.retain(|one| dtypes.contains(one));
        self
    }

    /// What is tested.
    pub fn on(&self) -> On {
        self.on
    }

    /// How models compute on the device.
    pub fn hows(&self) -> Vec<How> {
        let bf16 = {
            let _switched = Switched::to(self.tested.kernels);
            kernels::why_no_bf16(&self.tested.device).is_none()
        };
        let cpu_only = [(How::Taped, true), (How::Bf16Products, bf16)];
        let cpu_only = cpu_only.into_iter().filter(|(_, works)| self.on == On::Cpu && *works);
        let reduced = self.dtypes.iter().copied().map(How::Reduced);
        let all = [How::F32, How::Recomputed, How::Int8].into_iter();
        all.chain(cpu_only.map(|(how, _)| how)).chain(reduced).collect()
    }

    /// Makes all checks of some families; tells of each family when it is done.
    pub fn run(&self, families: &[Family], mut told: impl FnMut(Family, &[Row])) -> Vec<Row> {
        let (hows, mut all) = (self.hows(), Vec::new());
        for family in families {
            let rows = self.of_family(*family, &hows);
            told(*family, &rows);
            all.extend(rows);
        }
        all
    }

    fn of_family(&self, family: Family, hows: &[How]) -> Vec<Row> {
        let mut rows = Vec::new();
        for check in Check::ALL.into_iter().filter(|check| check.concerns(family)) {
            let begin = Instant::now();
            let (in_f32, usual) = (How::F32.options(), How::F32.batches(check, self.on));
            let expected = measured(&self.reference, family, check, usual, in_f32);
            let mut seconds = begin.elapsed().as_secs_f64();
            for how in hows.iter().filter(|how| how.checks().contains(&check)) {
                let begin = Instant::now();
                let batches = how.batches(check, self.on);
                let own = how.reference().or((batches != usual).then_some(in_f32));
                let own =
                    own.map(|options| measured(&self.reference, family, check, batches, options));
                let found = match own.as_ref().unwrap_or(&expected) {
                    Ok(expected) => self.compared(family, check, *how, expected).transpose(),
                    Err(reason) => Some(Err(format!("on the CPU: {reason}"))),
                };
                seconds += begin.elapsed().as_secs_f64();
                let Some(found) = found else { continue };
                rows.push(Row { family, check, how: *how, found, seconds });
                seconds = 0.0;
            }
        }
        rows
    }

    /// Computes on the device, and compares; `None` if rounding may be too far off for the check to fail.
    fn compared(
        &self,
        family: Family,
        check: Check,
        how: How,
        expected: &Measured,
    ) -> std::result::Result<Option<(Worst, f64)>, String> {
        let side = if how.is_general() { &self.general } else { &self.tested };
        let batches = how.batches(check, self.on);
        let found = measured(side, family, check, batches, how.options())?;
        let worst = self.worst(family, &found, expected)?;
        let tolerance = match how.rounding() {
            Some(rounding) => {
                let rounded = LoadOptions { weights: WeightFormat::Bf16, ..LoadOptions::default() };
                let [of_matrices, most] = match expected {
                    Measured::Texts(texts) => self.likelihoods_moved(family, rounded, texts)?,
                    Measured::Numbers(_) => {
                        let rounded = measured(&self.reference, family, check, batches, rounded)?;
                        [self.worst(family, &rounded, expected)?.difference, 1.0]
                    }
                };
                let tolerance = tolerance::TIMES_ROUNDED * rounding * of_matrices;
                if tolerance > tolerance::MOST * most {
                    return Ok(None);
                }
                tolerance
            }
            None => tolerance::of(check, self.on),
        };
        Ok(Some((worst, tolerance)))
    }

    /// How much likelier or less likely the texts of the CPU are with other options, and how far texts of one token are
    /// from them.
    fn likelihoods_moved(
        &self,
        family: Family,
        options: LoadOptions,
        texts: &[Texts],
    ) -> std::result::Result<[f64; 2], String> {
        let side = &self.reference;
        side.with_model(family, LoadOptions::default(), |exact| {
            let exact = exact.model.as_ref();
            let moved =
                |other: &Loaded| generation::moved([exact, other.model.as_ref()], family, texts);
            let moved = side.with_model(family, options, moved);
            let far = generation::of_one_token(exact, family, texts)?.difference;
            Ok([moved.map_err(peft_core::Error::Mismatch)?, far])
        })
    }

    fn worst(
        &self,
        family: Family,
        found: &Measured,
        expected: &Measured,
    ) -> std::result::Result<Worst, String> {
        match (found, expected) {
            (Measured::Numbers(found), Measured::Numbers(expected)) => {
                Ok(difference::worst(found, expected))
            }
            (Measured::Texts(found), Measured::Texts(expected)) => {
                self.reference.with_model(family, LoadOptions::default(), |loaded| {
                    generation::worst(loaded.model.as_ref(), family, found, expected)
                })
            }
            _ => Err("numbers cannot be compared with texts".to_string()),
        }
    }
}

impl Side {
    /// Does something with a model on this side. A panic becomes an error.
    fn with_model<T>(
        &self,
        family: Family,
        options: LoadOptions,
        work: impl FnOnce(&Loaded) -> Result<T>,
    ) -> std::result::Result<T, String> {
        let _switched = Switched::to(self.kernels);
        let run = || work(&rows::model(family, &self.device, options)?);
        panics::caught(run)?.map_err(|error| error.to_string())
    }
}

fn measured(
    side: &Side,
    family: Family,
    check: Check,
    batches: Batches,
    options: LoadOptions,
) -> std::result::Result<Measured, String> {
    side.with_model(family, options, |loaded| {
        let model = loaded.model.as_ref();
        Ok(match check {
            Check::Forward => Measured::Numbers(measures::forward(model, family, batches)?),
            Check::Gradients => Measured::Numbers(measures::gradients(model, family, batches)?),
            Check::Training => Measured::Numbers(measures::training(model, family, batches)?),
            Check::Mixed => Measured::Numbers(measures::mixed(model, family)?),
            Check::Generation => Measured::Texts(generation::texts(model, family)?),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side() -> Side {
        Side { device: Device::default(), kernels: None }
    }

    #[test]
    fn what_fails_is_a_row_and_not_the_end() {
        let options = LoadOptions::default();
        let panicked =
            side().with_model(Family::Gpt2, options, |_| -> Result<u8> { panic!("lost") });
        assert_eq!(panicked, Err("lost".to_string()));
        let refused = side().with_model(Family::Gpt2, options, |_| -> Result<u8> {
            Err(peft_core::Error::Mismatch("refused".into()))
        });
        assert_eq!(refused, Err("refused".to_string()));
        let row = |found| Row {
            family: Family::Gpt2,
            check: Check::Forward,
            how: How::F32,
            found,
            seconds: 0.0,
        };
        let worst = |difference| Worst { difference, at: "x" };
        assert!(row(Ok((worst(1e-4), 1e-4))).is_right());
        assert!(!row(Ok((worst(1.1e-4), 1e-4))).is_right());
        assert!(!row(Ok((worst(f64::INFINITY), 1e-4))).is_right());
        assert!(!row(Err("lost".into())).is_right());
    }

    #[test]
    fn a_number_that_is_off_is_found() {
        let suite = Suite::new(Device::default(), Device::default());
        let numbers =
            |value: f64| Measured::Numbers(vec![Part { at: "x", values: vec![1.0, value] }]);
        let worst = |value| suite.worst(Family::Gpt2, &numbers(value), &numbers(0.5));
        assert_eq!(worst(0.5), Ok(Worst::default()));
        assert_eq!(worst(0.75), Ok(Worst { difference: 0.25, at: "x" }));
        assert!(suite.worst(Family::Gpt2, &numbers(0.5), &Measured::Texts(Vec::new())).is_err());
    }

    #[test]
    fn types_that_are_asked_for_are_added() {
        let suite = Suite::new(Device::default(), Device::default());
        let all = suite.clone().with_dtypes(&[Compute::F16, Compute::F32, Compute::Bf16]);
        let reduced = [How::Reduced(Compute::Bf16), How::Reduced(Compute::F16)];
        assert!(all.dtypes.iter().copied().map(How::Reduced).eq(reduced));
        assert!(suite.dtypes.is_empty());
    }

    #[test]
    fn matrices_in_eight_bits_are_compared_with_such() {
        // Kernels stay as they are: other tests run in this process.
        let suite = Suite {
            on: On::Cpu,
            reference: side(),
            general: side(),
            tested: side(),
            dtypes: Vec::new(),
        };
        let rows = suite.of_family(Family::Gpt2, &[How::Int8]);
        assert_eq!(rows.iter().map(|row| row.check).collect::<Vec<_>>(), How::Int8.checks());
        assert!(rows.iter().all(Row::is_right), "{rows:?}");
        // In f32 they are others.
        let (family, check) = (Family::Gpt2, Check::Forward);
        let of =
            |how: How| measured(&suite.reference, family, check, Batches::Varied, how.options());
        let [exact, rounded] = [How::F32, How::Int8].map(of);
        let (Ok(exact), Ok(rounded)) = (exact, rounded) else { panic!("not computed") };
        let off = suite.worst(Family::Gpt2, &rounded, &exact).map(|worst| worst.difference);
        assert!(off.is_ok_and(|off| off > tolerance::of(Check::Forward, On::Cpu)));
    }

    #[test]
    fn kernels_are_as_before() {
        let before = kernels::enabled();
        drop(Switched::to(None));
        assert_eq!(kernels::enabled(), before);
    }
}
