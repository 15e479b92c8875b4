//! What became of a run, by the names that `result.json` has for it.

use std::path::Path;

use peft_core::formats::read;
use serde::{Deserialize, Serialize};

use super::file_names::RESULT;

/// What became of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// It has begun, and not ended: it goes on, or was killed.
    #[default]
    Begun,
    /// It has an adapter.
    Finished,
    /// Its loss was no number any more.
    Diverged,
    /// A sweep gave it up, since others were better after as many steps.
    Halted,
}

impl Ending {
    /// What the result in the folder of a run says; `None` where there is none, or it does not say.
    pub fn of_run(folder: &Path) -> Option<Self> {
        Self::deserialize(&read::json(&folder.join(RESULT)).ok()?["ending"]).ok()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_result_says_what_became_of_its_run() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Ending::of_run(dir.path()), None);
        for (text, expected) in [
            ("{\"ending\": \"begun\", \"step\": 4}", Some(Ending::Begun)),
            ("{\"ending\": \"finished\"}", Some(Ending::Finished)),
            ("{\"ending\": \"diverged\"}", Some(Ending::Diverged)),
            ("{\"ending\": \"halted\"}", Some(Ending::Halted)),
            ("{\"ending\": \"lost\"}", None),
            ("{\"ending\": 3}", None),
            ("{}", None),
            ("[]", None),
            ("{\"ending\": \"beg", None),
        ] {
            std::fs::write(dir.path().join(RESULT), text).unwrap();
            assert_eq!(Ending::of_run(dir.path()), expected, "{text}");
        }
    }
}
