//! What is said where a device has no memory left.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::{memory_texts::is_told_by, panics};
use crate::{
    error::{CliError, CliResult},
    output,
};

/// Runs the program: a panic about the memory of a device becomes an error with the way out. Any other goes on.
///
/// # Errors
///
/// Those of the program, and [`CliError::DeviceMemory`].
pub fn guarded(run: impl FnOnce() -> CliResult) -> CliResult {
    let result = catch_unwind(AssertUnwindSafe(run));
    match (result, panics::first(is_told_by)) {
        (Ok(Ok(())), Some(said)) => {
            // Autotune tries kernels, and does without those that do not fit.
            output::note(format!("note: the device had too little memory for a moment: {said}"));
            Ok(())
        }
        (Ok(result), _) => result,
        (Err(_), Some(said)) => Err(CliError::DeviceMemory(way_out(&said))),
        (Err(payload), None) => resume_unwind(payload),
    }
}

/// What is said of it. `--recompute` and matrices in fewer bits would help, but a GPU has neither.
fn way_out(said: &str) -> String {
    format!(
        "the device has no memory left ({said}); smaller batches take less: in training --batch-tokens, or a smaller \
         --batch-size with a larger --accumulation, and shorter rows (--max-length); elsewhere a smaller --batch-size. \
         What a run had saved is still there, and --resume goes on from it. --device cpu has the memory of the machine, \
         and --recompute and --base-weights, which take less of it"
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn errors_go_through_and_the_way_out_names_flags() {
        let usage = guarded(|| Err(CliError::Usage("x".into()))).unwrap_err();
        assert_eq!(usage.exit_code(), 2);
        let text = way_out("y");
        assert!(text.contains("--batch-tokens") && text.contains("(y)"), "{text}");
        assert_eq!(CliError::DeviceMemory(text).exit_code(), 1);
    }
}
