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
//! for b bytes on n devices. A ring would take the same bytes, and `2 (n - 1)` latencies. It is a reduce-scatter, after which
//! each device has the sum of one part of n, and an all-gather of these parts, with half of it each.
//!
//! On k nodes of m devices the reduce-scatter is made within each node, then each device and those that have the same part
//! in other nodes add up their part, `b / m`, over the network, and the all-gather is made within each node:
//!
//! ```text
//! sent by each     2 (m - 1) / m  b  within its node  +  2 (k - 1) / k  b / m  between nodes
//! ```
//!
//! All devices of a node use the network at the same time, each with a connection of its own. A last node that is not full is
//! counted as if it were.

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
    /// Between nodes, of each device.
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
        let in_node = devices.min(per_node);
        // Half of it before what is sent between nodes, half after it.
        let inside = self.inside.all_reduce(bytes, in_node);
        let part = bytes / in_node.max(1) as f64;
        let between = self.between.all_reduce(part, devices.div_ceil(per_node));
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
        // Two nodes: between them each device sends its eighth, and four nodes come nearer to twice that.
        assert_eq!(sent(16), 140.0 + 10.0);
        assert_eq!(sent(32), 140.0 + 15.0);
    }

    #[test]
    fn rounds_double_the_devices_that_are_reached() {
        let seconds = |devices| NODE.all_reduce(0.0, devices).seconds;
        assert_eq!([1, 2, 3, 4, 5, 8].map(seconds), [0.0, 2.0, 4.0, 4.0, 6.0, 6.0]);
        // 9 devices are two nodes, 512 are 64.
        assert_eq!([9, 512].map(seconds), [6.0 + 10.0, 6.0 + 60.0]);
        assert_eq!(NODE.all_reduce(80.0, 8).seconds, 1.4 + 6.0);
        assert_eq!(NODE.all_reduce(80.0, 16).seconds, (1.4 + 6.0) + (1.0 + 10.0));
        // One device a node: the network alone.
        let apart = Cluster { devices_per_node: 1, ..NODE };
        assert_eq!(apart.all_reduce(80.0, 2), Exchange { sent: 80.0, seconds: 8.0 + 10.0 });
    }
}
