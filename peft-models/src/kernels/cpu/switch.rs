//! The switch of the kernels: `PEFT_KERNELS`, or a test.

use std::{
    env,
    sync::{
        LazyLock,
        atomic::{AtomicBool, Ordering},
    },
};

/// The environment variable, and what it may say beside `on`.
const VARIABLE: &str = "PEFT_KERNELS";
const CHOICES: [(&str, Asked); 4] =
    [("on", Asked::All), ("avx2", Asked::Avx2), ("portable", Asked::Portable), ("off", Asked::Off)];

/// What kernels the environment asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    /// Those with the best vector instructions of the machine.
    All,
    /// None with more than AVX2.
    Avx2,
    /// Those without vector instructions beyond what every machine of the target has.
    Portable,
    /// None: Burn's own operations.
    Off,
}

/// What a value of the variable asks for; without one, for all.
fn asked(value: Option<&str>) -> Result<Asked, String> {
    let Some(value) = value.filter(|value| !value.is_empty()) else {
        return Ok(Asked::All);
    };
    let named = |(name, asked): &(&str, Asked)| (*name == value).then_some(*asked);
    CHOICES.iter().find_map(named).ok_or_else(|| {
        format!(
            "{VARIABLE} in the environment: found {value:?}, expected off, avx2, portable or on"
        )
    })
}

static ASKED: LazyLock<Result<Asked, String>> = LazyLock::new(|| {
    asked(env::var_os(VARIABLE).map(|value| value.to_string_lossy().into_owned()).as_deref())
});

static ENABLED: LazyLock<AtomicBool> = LazyLock::new(|| AtomicBool::new(*ASKED != Ok(Asked::Off)));

/// What is wrong with `PEFT_KERNELS` in the environment, if anything: a value without meaning counts as none.
pub fn wrong_environment() -> Option<&'static str> {
    ASKED.as_ref().err().map(String::as_str)
}

/// Turns the kernels on or off, for the whole process.
pub fn set_enabled(enabled: bool) {
    ENABLED.store(enabled, Ordering::Relaxed);
}

/// Whether kernels are turned on.
pub fn enabled() -> bool {
    ENABLED.load(Ordering::Relaxed)
}

/// How many levels of vector instructions, from AVX-512 down, the environment asks to leave out.
pub(super) fn levels_left_out() -> usize {
    match *ASKED {
        Ok(Asked::Avx2) => 1,
        Ok(Asked::Portable) => 2,
        Ok(Asked::All | Asked::Off) | Err(_) => 0,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_known_or_told() {
        assert_eq!(
            [asked(None), asked(Some("")), asked(Some("on"))],
            [const { Ok(Asked::All) }; 3]
        );
        assert_eq!(asked(Some("avx2")), Ok(Asked::Avx2));
        assert_eq!(asked(Some("portable")), Ok(Asked::Portable));
        assert_eq!(asked(Some("off")), Ok(Asked::Off));
        for value in ["0", "OFF", "avx512"] {
            let told = asked(Some(value)).unwrap_err();
            assert!(told.contains(value) && told.contains("expected off, avx2"), "{told}");
        }
    }
}
