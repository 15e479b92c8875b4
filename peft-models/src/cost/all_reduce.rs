//! What devices exchange in a step, and how long that takes.
//!
//! Each device has a replica of the frozen model and computes batches of its own. Only gradients are added up, of all devices on
//! all devices: an all-reduce, by halving and doubling (Thakur et al. 2005, "Optimization of Collective Communication
//! Operations in MPICH"):
//!
//! ```text
//! sent by each     2 (n - 1) / n  b
//! seconds          2 (n - 1) / n  b / bandwidth  +  2 ⌈log₂ n⌉ latency
//! ```
//!
//! for b bytes on n devices. Within a node that is over its own link, and then between the nodes, one of which sends as one
//! device does, over the network. A ring would take the same bytes, and `2 (n - 1)` latencies.

/// A connection of a device to others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Link {
    /// Bytes a second, in each direction.
    pub bytes_per_second: f64,
    /// Seconds until the first byte of a message is there.
    pub latency: f64,
}

/// Devices in nodes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cluster {
    /// Devices of a node.
    pub devices_per_node: usize,
    /// Between devices of a node.
    pub inside: Link,
    /// Between nodes.
    pub between: Link,
}

/// An exchange of gradients.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Exchange {
    /// Bytes that each device sends.
    pub sent: f64,
    /// Seconds that it takes.
    pub seconds: f64,
}

impl Link {
    /// The sum of `bytes` bytes of each of `devices` devices, on all of them.
    fn all_reduce(&self, bytes: f64, devices: usize) -> Exchange {
        if devices < 2 {
            return Exchange::default();
        }
        let n = devices as f64;
        let sent = 2.0 * (n - 1.0) / n * bytes;
        let rounds = 2.0 * f64::from((devices - 1).ilog2() + 1);
        Exchange { sent, seconds: sent / self.bytes_per_second + rounds * self.latency }
    }
}

impl Cluster {
    /// The sum of the gradients, `bytes` bytes, of all devices on all of them.
    pub fn all_reduce(&self, bytes: f64, devices: usize) -> Exchange {
        let per_node = self.devices_per_node.max(1);
        let inside = self.inside.all_reduce(bytes, devices.min(per_node));
        let between = self.between.all_reduce(bytes, devices.div_ceil(per_node));
        Exchange { sent: inside.sent + between.sent, seconds: inside.seconds + between.seconds }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: Cluster = Cluster {
        devices_per_node: 8,
        inside: Link { bytes_per_second: 100.0, latency: 1.0 },
        between: Link { bytes_per_second: 10.0, latency: 5.0 },
    };

    #[test]
    fn what_is_sent_grows_to_twice_the_gradients() {
        let sent = |devices| NODE.all_reduce(80.0, devices).sent;
        assert_eq!([0, 1, 2, 8].map(sent), [0.0, 0.0, 80.0, 140.0]);
        // Two nodes: once more between them.
        assert_eq!(sent(16), 140.0 + 80.0);
    }

    #[test]
    fn rounds_double_the_devices_that_are_reached() {
        let seconds = |devices| NODE.all_reduce(0.0, devices).seconds;
        assert_eq!([1, 2, 3, 4, 5, 8].map(seconds), [0.0, 2.0, 4.0, 4.0, 6.0, 6.0]);
        // 9 devices are two nodes, 512 are 64.
        assert_eq!([9, 512].map(seconds), [6.0 + 10.0, 6.0 + 60.0]);
        assert_eq!(NODE.all_reduce(80.0, 8).seconds, 1.4 + 6.0);
    }
}
