//! The backends that Burn can be built with.

/// What computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// NVIDIA GPUs (Cargo feature `cuda`).
    Cuda,
    /// Any GPU that wgpu reaches (Cargo feature `wgpu`).
    Wgpu,
    /// Burn's flex backend (Cargo feature `cpu`).
    Cpu,
}

impl Backend {
    /// All, in the order in which one is looked for.
    pub const ALL: [Self; 3] = [Self::Cuda, Self::Wgpu, Self::Cpu];

    /// Its name, which is also that of its Cargo feature.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cuda => "cuda",
            Self::Wgpu => "wgpu",
            Self::Cpu => "cpu",
        }
    }

    /// What it computes on.
    pub fn what(self) -> &'static str {
        match self {
            Self::Cuda => "NVIDIA GPUs",
            Self::Wgpu => "any GPU that Vulkan, Metal, DirectX 12 or OpenGL reaches",
            Self::Cpu => "the processor",
        }
    }

    /// The driver that the machine needs, as the end of a sentence about what is missing.
    pub fn driver(self) -> &'static str {
        match self {
            Self::Cuda => "NVIDIA's driver (libcuda)",
            Self::Wgpu => "a driver for Vulkan, Metal, DirectX 12 or OpenGL",
            Self::Cpu => "nothing",
        }
    }

    /// Whether this build has it.
    pub fn is_compiled(self) -> bool {
        match self {
            Self::Cuda => cfg!(feature = "cuda-plain"),
            Self::Wgpu => cfg!(feature = "wgpu-plain"),
            Self::Cpu => cfg!(feature = "cpu"),
        }
    }

    /// Those that this build has.
    pub fn compiled() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|backend| backend.is_compiled())
    }

    /// The command that builds the program with it.
    pub fn build_command(self) -> String {
        format!("cargo build --release -p peft-cli --features {}", self.name())
    }
}
