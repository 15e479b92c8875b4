//! Messages of an event file, written in protobuf: of TensorFlow's `event.proto` and `summary.proto` the fields that
//! TensorBoard needs for curves.

/// The version that TensorBoard expects in the first event of a file.
const VERSION: &str = "brain.Event:2";

/// An event.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Begins a file.
    Version,
    /// The run goes on with this step: what earlier files say of it and of later ones does not count any more.
    Start,
    /// Values after a step, by their tags.
    Scalars(Vec<(String, f32)>),
}

impl Event {
    /// The message: `wall_time` (field 1), `step` (2), and `file_version` (3), `summary` (5) or `session_log` (7).
    /// `seconds` are those since 1970.
    pub fn encoded(&self, seconds: f64, step: usize) -> Vec<u8> {
        let mut message = Message::default();
        message.double(1, seconds);
        // What is 0 is left out, as every writer of protobuf does.
        if step > 0 {
            message.number(2, step as u64);
        }
        match self {
            Self::Version => message.bytes(3, VERSION.as_bytes()),
            Self::Scalars(values) => {
                let mut summary = Message::default();
                for (tag, value) in values {
                    // Summary.Value: `tag` (1) and `simple_value` (2).
                    let mut one = Message::default();
                    one.bytes(1, tag.as_bytes());
                    one.float(2, *value);
                    summary.bytes(1, &one.0);
                }
                message.bytes(5, &summary.0);
            }
            Self::Start => {
                // SessionLog: `status` (1), of which START is 1.
                let mut log = Message::default();
                log.number(1, 1);
                message.bytes(7, &log.0);
            }
        }
        message.0
    }
}

/// A message of protobuf that grows field by field: a key (the number of the field and how it is written), and its value.
#[derive(Default)]
struct Message(Vec<u8>);

/// How a field is written.
#[derive(Clone, Copy)]
enum Wire {
    Varint = 0,
    Fixed64 = 1,
    Bytes = 2,
    Fixed32 = 5,
}

impl Message {
    fn key(&mut self, field: u64, wire: Wire) {
        self.varint(field << 3 | wire as u64);
    }

    /// Seven bits a byte, the lowest first; the eighth says that more follow.
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn number(&mut self, field: u64, value: u64) {
        self.key(field, Wire::Varint);
        self.varint(value);
    }

    fn double(&mut self, field: u64, value: f64) {
        self.key(field, Wire::Fixed64);
        self.0.extend(value.to_le_bytes());
    }

    fn float(&mut self, field: u64, value: f32) {
        self.key(field, Wire::Fixed32);
        self.0.extend(value.to_le_bytes());
    }

    fn bytes(&mut self, field: u64, value: &[u8]) {
        self.key(field, Wire::Bytes);
        self.varint(value.len() as u64);
        self.0.extend(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by `tensorboard.compat.proto.event_pb2` (tensorboard 2.20.0), as `tests/python/check_tensorboard.py` prints it.
    #[test]
    fn events_are_those_of_tensorboard() {
        let hex =
            |bytes: Vec<u8>| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let loss = Event::Scalars(vec![("train/loss".into(), 0.5), ("lr".into(), 2.0)]);
        assert_eq!(
            [
                hex(Event::Version.encoded(1.5, 0)),
                hex(loss.encoded(1.5, 300)),
                hex(Event::Start.encoded(1.5, 7))
            ],
            VECTORS.map(str::to_string)
        );
    }

    const VECTORS: [&str; 3] = [
        "09000000000000f83f1a0d627261696e2e4576656e743a32",
        "09000000000000f83f10ac022a1e0a110a0a747261696e2f6c6f7373150000003f0a090a026c721500000040",
        "09000000000000f83f10073a020801",
    ];
}
