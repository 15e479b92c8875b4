//! Devices and the links between them, by name: those that come with the program, and those of a file.

use std::{collections::BTreeMap, ops::RangeInclusive, path::Path};

use peft_core::{Error, Result, formats::read};
use peft_models::{
    Compute,
    cost::{Cluster, Link},
};
use serde::{Deserialize, Serialize};

use crate::nearest::{did_you_mean, nearest};

/// What comes with the program.
const SHIPPED: &str = include_str!("hardware.toml");

/// The name of the machine that the program runs on.
pub const CPU: &str = "cpu";

/// What computes: it decides which operations there are, and what is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The kernels of this program.
    Cpu,
    /// Burn's general operations.
    Gpu,
}

/// The peak of products of each type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Peaks {
    /// Of 4 bytes.
    pub f32: Option<f64>,
    /// Of 2 bytes, with the exponents of f32.
    pub bf16: Option<f64>,
    /// Of 2 bytes, with three more digits.
    pub f16: Option<f64>,
}

impl Peaks {
    /// Those that are there.
    fn each(&self) -> impl Iterator<Item = (Compute, f64)> {
        let all = [(Compute::F32, self.f32), (Compute::Bf16, self.bf16), (Compute::F16, self.f16)];
        all.into_iter().filter_map(|(kind, peak)| Some((kind, peak?)))
    }

    /// That of a type.
    pub fn of(&self, wanted: Compute) -> Option<f64> {
        self.each().find(|(kind, _)| *kind == wanted).map(|(_, peak)| peak)
    }

    /// The names of the types that there is one of.
    pub fn names(&self) -> Vec<&'static str> {
        self.each().map(|(kind, _)| kind.name()).collect()
    }
}

/// A device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// What people call it.
    pub name: String,
    /// What computes.
    pub kind: Kind,
    /// Operations of products, in 10¹² a second, at the peak. A CPU without them is measured.
    #[serde(default)]
    pub tflops: Peaks,
    /// Its memory's bandwidth, in 10⁹ bytes a second.
    pub gb_per_s: Option<f64>,
    /// Its memory, in 10⁹ bytes: nominal, as it is sold. Cards report other numbers.
    pub memory_gb: Option<f64>,
    /// What part of the peak products reach.
    pub share: Option<f64>,
    /// Devices of a node.
    pub per_node: usize,
    /// The link between devices of a node.
    pub link: String,
    /// That between nodes, of each device.
    pub network: String,
    /// Where these figures come from.
    pub source: String,
}

impl Device {
    /// Whether it is the machine that the program runs on, which is measured.
    pub fn is_measured(&self) -> bool {
        self.kind == Kind::Cpu && self.tflops == Peaks::default()
    }
}

/// A link.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkFigures {
    /// In 10⁹ bytes a second, in each direction.
    pub gb_per_s: f64,
    /// In 10⁻⁶ seconds.
    pub latency_us: f64,
    /// Where these figures come from.
    pub source: String,
}

/// Figures of hardware, in the units of their keys: typing errors beyond.
const FIGURES: RangeInclusive<f64> = 1e-6..=1e9;

/// The most devices of a node.
const MOST_PER_NODE: usize = 1_000_000;

/// The smallest part of the peak: with less, seconds mean nothing.
pub const LEAST_SHARE: f64 = 1e-4;

/// Devices and links by name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Hardware {
    /// The devices.
    pub devices: BTreeMap<String, Device>,
    /// The links.
    pub links: BTreeMap<String, LinkFigures>,
}

impl Hardware {
    /// What comes with the program, and before that what a file has.
    ///
    /// # Errors
    ///
    /// [`Error::Read`], or [`Error::File`] naming the key that is wrong.
    pub fn read(file: Option<&Path>) -> Result<Self> {
        // The file is part of the program, and a test reads it.
        let mut all: Self = toml::from_str(SHIPPED).unwrap_or_default();
        let Some(path) = file else { return Ok(all) };
        let own: Self = toml::from_str(&read::text(path)?)
            .map_err(|error| Error::file(path, error.to_string().trim().to_string()))?;
        if own.devices.is_empty() && own.links.is_empty() {
            let message = "holds no hardware, expected tables [devices.NAME] or [links.NAME]";
            return Err(Error::file(path, message));
        }
        all.devices.extend(own.devices);
        all.links.extend(own.links);
        all.check().map_err(|message| Error::file(path, message))?;
        Ok(all)
    }

    /// The device of a name.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] naming the flag, with the name that was probably meant.
    pub fn device(&self, name: &str) -> Result<&Device> {
        self.devices.get(name).ok_or_else(|| {
            let names: Vec<&str> = self.devices.keys().map(String::as_str).collect();
            let meant = did_you_mean(nearest(name, names.iter().copied()));
            let names = names.join(", ");
            let message = format!(
                "found {name:?}, expected one of {names}, or one of a file that --hardware names{meant}"
            );
            Error::setting("--device", message)
        })
    }

    /// How a device is connected to others of its kind.
    pub fn cluster(&self, device: &Device) -> Cluster {
        // The names were checked when the file was read.
        let link = |name: &str| {
            self.links.get(name).map_or(Link { bytes_per_second: 1.0, latency: 0.0 }, |link| Link {
                bytes_per_second: 1e9 * link.gb_per_s,
                latency: 1e-6 * link.latency_us,
            })
        };
        Cluster {
            devices_per_node: device.per_node,
            inside: link(&device.link),
            between: link(&device.network),
        }
    }

    /// Refuses figures that no hardware has, and links without a name.
    fn check(&self) -> std::result::Result<(), String> {
        let positive = |place: String, key: &str, value: f64| match FIGURES.contains(&value) {
            true => Ok(()),
            false => Err(format!(
                "[{place}]: `{key}`: found {value}, expected a number from {} to {}",
                FIGURES.start(),
                FIGURES.end()
            )),
        };
        for (name, link) in &self.links {
            let place = || format!("links.{name}");
            positive(place(), "gb_per_s", link.gb_per_s)?;
            if !(0.0..=*FIGURES.end()).contains(&link.latency_us) {
                let found = link.latency_us;
                return Err(format!(
                    "[{}]: `latency_us`: found {found}, expected a number from 0 to {}",
                    place(),
                    FIGURES.end()
                ));
            }
        }
        for (name, device) in &self.devices {
            let place = || format!("devices.{name}");
            for (kind, value) in device.tflops.each() {
                positive(place(), &format!("tflops.{kind}"), value)?;
            }
            let figures = [("gb_per_s", device.gb_per_s), ("memory_gb", device.memory_gb)];
            for (key, value) in figures {
                value.map_or(Ok(()), |value| positive(place(), key, value))?;
            }
            if let Some(share) = device.share.filter(|share| !(LEAST_SHARE..=1.0).contains(share)) {
                return Err(format!(
                    "[{}]: `share`: found {share}, expected a part of the peak from {LEAST_SHARE} to 1",
                    place()
                ));
            }
            if !(1..=MOST_PER_NODE).contains(&device.per_node) {
                return Err(format!(
                    "[{}]: `per_node`: found {}, expected 1 to {MOST_PER_NODE}",
                    place(),
                    device.per_node
                ));
            }
            let has_figures = !device.tflops.names().is_empty() && device.gb_per_s.is_some();
            if !has_figures && !device.is_measured() {
                let message = "expected `tflops` and `gb_per_s`, without which there is no time; a cpu without `tflops` is measured";
                return Err(format!("[{}]: {message}", place()));
            }
            for (key, link) in [("link", &device.link), ("network", &device.network)] {
                if !self.links.contains_key(link) {
                    let known: Vec<&str> = self.links.keys().map(String::as_str).collect();
                    let known = known.join(", ");
                    return Err(format!(
                        "[{}]: `{key}`: found {link:?}, expected one of {known}, or a table [links.{link}]",
                        place()
                    ));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_comes_with_the_program_is_sound() {
        let shipped: Hardware = toml::from_str(SHIPPED).unwrap();
        assert_eq!(shipped, Hardware::read(None).unwrap());
        shipped.check().unwrap();
        let names: Vec<&str> = shipped.devices.keys().map(String::as_str).collect();
        assert_eq!(names, ["a100-40", "a100-80", "cpu", "h100", "h200", "l4", "rtx-4090"]);
        let cluster = shipped.cluster(shipped.device("h100").unwrap());
        assert_eq!((cluster.devices_per_node, cluster.inside.bytes_per_second), (8, 450e9));
        let error = shipped.device("h-100").unwrap_err().to_string();
        assert!(error.contains("--device") && error.ends_with("did you mean h100?"), "{error}");
    }

    #[test]
    fn a_file_adds_devices_and_wrong_figures_are_told_by_their_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mine.toml");
        let read = |text: &str| {
            fs::write(&path, text).unwrap();
            Hardware::read(Some(&path)).map_err(|error| error.to_string())
        };
        let device = "[devices.mine]\nname = \"mine\"\nkind = \"gpu\"\ntflops = { f32 = 2 }\n\
            gb_per_s = 100\nper_node = 4\nlink = \"pcie-5\"\nnetwork = \"mine\"\nsource = \"me\"\n";
        let link = "[links.mine]\ngb_per_s = 1\nlatency_us = 0\nsource = \"me\"\n";
        let found = read(&format!("{device}{link}")).unwrap();
        assert_eq!(found.device("mine").unwrap().tflops.of(Compute::F32), Some(2.0));
        assert!(found.device("l4").is_ok());
        for (text, says) in [
            (String::new(), "holds no hardware"),
            (device.to_string(), "[devices.mine]: `network`: found \"mine\""),
            (format!("{device}{link}").replace("per_node = 4", "per_node = 0"), "`per_node`"),
            (format!("{device}{link}").replace("f32 = 2", "f32 = -2"), "`tflops.f32`: found -2"),
            (format!("{device}{link}").replace("f32 = 2", ""), "expected `tflops`"),
            (format!("{device}share = 2\n{link}"), "`share`: found 2"),
            (format!("{device}share = 1e-9\n{link}"), "from 0.0001 to 1"),
            (format!("{device}memory_gb = nan\n{link}"), "`memory_gb`: found NaN"),
            (format!("{device}memory_gb = inf\n{link}"), "`memory_gb`: found inf"),
            (format!("{device}{link}").replace("gb_per_s = 100", "gb_per_s = 0"), "`gb_per_s`"),
            (format!("{device}{link}").replace("f32 = 2", "f32 = 1e-300"), "`tflops.f32`"),
            (
                format!("{device}{link}").replace("per_node = 4", "per_node = 9000000"),
                "1 to 1000000",
            ),
            (link.replace("latency_us = 0", "latency_us = 1e300"), "`latency_us`"),
            (format!("{device}speed = 2\n{link}"), "unknown field `speed`"),
            (link.replace("latency_us = 0", "latency_us = -1"), "`latency_us`"),
        ] {
            let error = read(&text).unwrap_err();
            assert!(error.contains("mine.toml") && error.contains(says), "{says}: {error}");
        }
    }
}
