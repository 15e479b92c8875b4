//! What a device is.

/// What a device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A GPU with memory of its own.
    Discrete,
    /// A GPU that shares the memory of the processor.
    Integrated,
    /// A GPU of a virtual machine.
    Virtual,
    /// What its driver does not tell.
    Other,
    /// A driver that computes on the processor, such as llvmpipe.
    Software,
    /// The processor.
    Processor,
}

impl Kind {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Discrete => "discrete GPU",
            Self::Integrated => "integrated GPU",
            Self::Virtual => "virtual GPU",
            Self::Other => "other",
            Self::Software => "software driver",
            Self::Processor => "processor",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gpus_come_before_software() {
        let mut kinds = [Kind::Software, Kind::Integrated, Kind::Discrete, Kind::Other];
        kinds.sort();
        assert_eq!(kinds, [Kind::Discrete, Kind::Integrated, Kind::Other, Kind::Software]);
    }
}
