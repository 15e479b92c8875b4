//! What is said where a device has no memory left.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use peft_core::Error;

use super::{
    memory_texts::{ends_a_thread, is_told_by},
    panics::{self, in_one_line, text_of},
};
use crate::{
    error::{CliError, CliResult},
    output,
};

/// Runs the program: where it ends since a device has no memory left, by a panic or an error, that becomes an error with the
/// way out. Any other end stays as it is.
///
/// # Errors
///
/// Those of the program, and [`CliError::DeviceMemory`].
pub fn guarded(run: impl FnOnce() -> CliResult) -> CliResult {
    let result = catch_unwind(AssertUnwindSafe(run));
    let before = panics::last(is_told_by);
    if let Some(said) = lack(&result, before.as_deref()) {
        return Err(CliError::DeviceMemory(way_out(&said)));
    }
    if let Some(said) = before {
        // Autotune tries kernels, and does without those that do not fit. What came later is told by itself.
        output::note(format!("note: the device had too little memory for a moment: {said}"));
    }
    match result {
        Ok(result) => result,
        Err(payload) => resume_unwind(payload),
    }
}

/// What was said of memory by that which ended the program; `None` if something else ended it. CubeCL raises a panic of its
/// thread again in the one that waits, so that it tells by itself, unless that thread is gone; then `before` tells, what a
/// panic said of memory before.
fn lack(result: &std::thread::Result<CliResult>, before: Option<&str>) -> Option<String> {
    let (place, said) = match result {
        Ok(Err(CliError::Failed(Error::Mismatch(said)))) => (String::new(), said.clone()),
        Ok(Err(CliError::Failed(Error::Replica { number, of, device, message }))) => {
            (format!("replica {number} of {of}, on {device}: "), message.clone())
        }
        Ok(Err(CliError::Failed(Error::Peer { name, message }))) => {
            (format!("{name}: "), message.clone())
        }
        Ok(_) => return None,
        Err(payload) => (String::new(), text_of(payload.as_ref())),
    };
    let said = match before {
        Some(before) if ends_a_thread(&said) => before.to_string(),
        _ => said,
    };
    is_told_by(&said).then(|| in_one_line(&format!("{place}{said}")))
}

/// What is said of it.
fn way_out(said: &str) -> String {
    format!(
        "the device has no memory left ({said}); smaller batches take less: in training --batch-tokens, or a smaller \
         --batch-size with a larger --accumulation, shorter rows (--max-length), and --recompute; elsewhere a smaller --batch-size. \
         --dtype bf16 keeps the frozen matrices in half the memory, --base-weights int8 in a quarter. What a run had saved is still \
         there, and --resume goes on from it, with the same --dtype and --base-weights. --device cpu has the memory of the machine"
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const LACKS: &str = "DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")";

    fn panicked(text: &str) -> std::thread::Result<CliResult> {
        Err(Box::new(text.to_string()))
    }

    #[test]
    fn errors_go_through_and_the_way_out_names_flags() {
        let usage = guarded(|| Err(CliError::Usage("x".into()))).unwrap_err();
        assert_eq!(usage.exit_code(), 2);
        let text = way_out("y");
        assert!(text.contains("--batch-tokens") && text.contains("(y)"), "{text}");
        assert_eq!(CliError::DeviceMemory(text).exit_code(), 1);
    }

    #[test]
    fn errors_that_a_device_without_memory_leads_to_have_the_way_out() {
        let read = Error::Mismatch(format!("cannot read the device: x\nCaused by:\n  {LACKS}"));
        let replica = |message: &str| Error::Replica {
            number: 2,
            of: 4,
            device: "cuda:1".into(),
            message: message.into(),
        };
        for (error, says) in
            [(read, "cannot read the device: x Caused by:"), (replica(LACKS), "replica 2 of 4")]
        {
            let told = guarded(|| Err(error.into())).unwrap_err();
            assert!(matches!(told, CliError::DeviceMemory(_)), "{told}");
            let told = told.to_string();
            let all = [says, "CUDA_ERROR_OUT_OF_MEMORY", "--batch-tokens"];
            assert!(all.iter().all(|part| told.contains(part)), "{told}");
        }
        for error in [Error::Mismatch("other sizes".into()), replica("index out of bounds")] {
            let told = guarded(|| Err(error.into())).unwrap_err();
            assert!(matches!(told, CliError::Failed(_)), "{told}");
        }
    }

    #[test]
    fn the_panic_that_ended_the_program_tells() {
        let tried = Some("wgpu error: Out of Memory");
        assert_eq!(lack(&panicked(LACKS), None).as_deref(), Some(LACKS));
        // Memory that autotune did without is not why something else panics.
        assert_eq!(lack(&panicked("index out of bounds"), tried), None);
        assert_eq!(lack(&Ok(Ok(())), tried), None);
        let gone = "device runner channel disconnected before producing a result";
        assert_eq!(lack(&panicked(gone), tried).as_deref(), tried);
        assert_eq!(lack(&panicked(gone), None), None);
        let replica = |message: &str| {
            let (device, message) = ("cuda:1".to_string(), message.to_string());
            Ok(Err(CliError::Failed(Error::Replica { number: 2, of: 2, device, message })))
        };
        assert!(lack(&replica(gone), tried).is_some_and(|said| said.ends_with("Out of Memory")));
        assert_eq!(lack(&replica("index out of bounds"), tried), None);
    }
}
