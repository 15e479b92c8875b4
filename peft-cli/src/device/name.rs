//! What `--device` takes.

use std::{fmt, str::FromStr};

use super::backend::Backend;
use crate::nearest::{did_you_mean, nearest};

/// The help of `--device`.
pub const HELP: &str = "Device to compute with: cpu; wgpu or cuda, the best of their devices; wgpu:N or cuda:N, one of \
     them, as `peft info --devices` counts them; auto, the first there is of CUDA, a GPU by wgpu, and the CPU \
     [default: cpu, if it is compiled in]";

/// The value of `--device`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceName {
    /// The first there is of CUDA, a GPU by wgpu, and the CPU.
    Auto,
    /// A device of a backend.
    Of {
        /// The backend.
        backend: Backend,
        /// The place of the device, counted from 0; otherwise the backend chooses.
        index: Option<usize>,
    },
}

impl DeviceName {
    /// The device that a backend chooses.
    pub fn best(backend: Backend) -> Self {
        Self::Of { backend, index: None }
    }

    /// The `index`-th device of a backend; the processor has no number.
    pub fn numbered(backend: Backend, index: usize) -> Self {
        Self::Of { backend, index: (backend != Backend::Cpu).then_some(index) }
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Of { backend, index: None } => f.write_str(backend.name()),
            Self::Of { backend, index: Some(index) } => write!(f, "{}:{index}", backend.name()),
        }
    }
}

impl FromStr for DeviceName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const EXPECTED: &str = "expected cpu, wgpu, wgpu:N, cuda, cuda:N or auto";
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let (name, number) = match text.split_once(':') {
            Some((name, number)) => (name, Some(number)),
            None => (text, None),
        };
        let Some(backend) = Backend::ALL.into_iter().find(|backend| backend.name() == name) else {
            let known = Backend::ALL.into_iter().map(Backend::name).chain(["auto"]);
            let meant = did_you_mean(nearest(name, known));
            return Err(format!("found `{text}`, {EXPECTED}{meant}"));
        };
        let Some(number) = number else { return Ok(Self::best(backend)) };
        if backend == Backend::Cpu {
            return Err(format!("found `{text}`, expected cpu: all cores are one device"));
        }
        // Not what `parse` also takes, such as `+1`.
        let digits = Some(number).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        match digits.and_then(|digits| digits.parse().ok()) {
            Some(index) => Ok(Self::numbered(backend, index)),
            None => Err(format!(
                "found `{text}`, expected a whole number after the colon, counted from 0, as in {name}:0"
            )),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_told() {
        for text in ["cpu", "wgpu", "wgpu:0", "wgpu:12", "cuda", "cuda:3", "auto"] {
            assert_eq!(text.parse::<DeviceName>().unwrap().to_string(), text);
        }
        assert_eq!("wgpu:2".parse(), Ok(DeviceName::numbered(Backend::Wgpu, 2)));
        assert_eq!(DeviceName::numbered(Backend::Cpu, 0).to_string(), "cpu");
    }

    #[test]
    fn other_names_are_refused_with_what_is_expected() {
        let refused = |text: &str| text.parse::<DeviceName>().unwrap_err();
        for text in ["", "gpu", "CPU", "cuda0", ":1", "cuda-1"] {
            assert!(refused(text).contains("expected cpu, wgpu, wgpu:N"), "{text}");
        }
        assert!(refused("cudda").ends_with(&did_you_mean(Some("cuda"))));
        for text in
            ["cuda:", "cuda:x", "wgpu:-1", "wgpu:+1", "wgpu:1:2", "cuda:99999999999999999999"]
        {
            assert!(refused(text).contains("whole number after the colon"), "{text}");
        }
        assert!(refused("cpu:0").contains("one device"));
    }
}
