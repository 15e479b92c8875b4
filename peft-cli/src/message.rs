//! What the program says of an error: the libraries name fields, the program its flags.

use peft_core::Error;

use crate::{error::CliError, program::Program};

/// The message of an error, in the words of the command line.
pub fn of(error: &CliError) -> String {
    let CliError::Failed(error) = error else { return error.to_string() };
    match error {
        Error::Setting { setting, message } => format!("{}: {message}", flag(setting)),
        Error::OldCheckpoint { path } => format!(
            "{} is a checkpoint of an earlier run: continue that run with --resume, remove the checkpoint, \
             or give another --out",
            path.display()
        ),
        Error::NotFinite { step, loss } => format!(
            "the loss became {loss} at step {step}: lower the learning rate (--lr), or clip the gradients \
             (--clip-norm)"
        ),
        other => other.to_string(),
    }
}

/// A setting as users write it: a flag if there is one of that name.
fn flag(setting: &str) -> String {
    let name = setting.replace('_', "-");
    if Program::has_flag(&name) { format!("--{name}") } else { setting.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(setting: &str) -> String {
        of(&CliError::Failed(Error::setting(setting, "found 0")))
    }

    #[test]
    fn fields_become_flags_where_there_are_flags() {
        assert_eq!(message("num_virtual_tokens"), "--num-virtual-tokens: found 0");
        assert_eq!(message("--num-virtual-tokens"), "--num-virtual-tokens: found 0");
        assert_eq!(message("lr"), "--lr: found 0");
        assert_eq!(message("keep_checkpoints"), "keep_checkpoints: found 0");
        assert_eq!(message("optimizer.betas"), "optimizer.betas: found 0");
    }

    #[test]
    fn a_way_out_is_a_flag() {
        let lost = of(&CliError::Failed(Error::NotFinite { step: 3, loss: f64::NAN }));
        assert!(lost.contains("step 3") && lost.contains("--clip-norm"), "{lost}");
        let old = of(&CliError::Failed(Error::OldCheckpoint { path: "out/step-1".into() }));
        assert!(old.starts_with("out/step-1 is a checkpoint") && old.contains("--resume"), "{old}");
    }
}
