//! A device that is open, and what is known of it.

use burn::tensor::Device;

/// What is known of a device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// The name of the card or the processor.
    pub card: String,
    /// Its driver with its version, where it tells.
    pub driver: Option<String>,
    /// Bytes of memory, where they are known.
    pub memory: Option<u64>,
}

/// A device that is open.
#[derive(Debug)]
pub struct Opened {
    /// The device.
    pub device: Device,
    /// What is known of it.
    pub about: About,
}
