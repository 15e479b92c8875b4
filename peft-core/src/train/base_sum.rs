//! The sum of a base model's weights, which a thread computes while training begins.

use std::{
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
};

use crate::error::{Error, Result};

/// SHA-256 of all weights of a base model, in hexadecimal, or that they have none. Reading all of a large model takes
/// seconds: a thread does it, and who needs the sum waits for it.
#[derive(Clone, Debug)]
pub struct BaseSum(Arc<Mutex<State>>);

#[derive(Debug)]
enum State {
    Running(JoinHandle<Result<Option<String>>>),
    /// Nobody has asked for it yet.
    Made(Result<Option<String>>),
    Known(Option<String>),
    /// The message of an error that was returned already.
    Failed(String),
}

impl BaseSum {
    /// Starts a thread that computes it; computes it at once where no thread can be started.
    pub fn start(sum: impl FnOnce() -> Result<Option<String>> + Send + 'static) -> Self {
        // What a thread was to do is lost where it cannot be started.
        let sum = Arc::new(Mutex::new(Some(sum)));
        let work = Arc::clone(&sum);
        let take = move || {
            let sum = sum.lock().unwrap_or_else(PoisonError::into_inner).take();
            sum.map_or(Ok(None), |sum| sum())
        };
        let state = match thread::Builder::new().spawn(take) {
            Ok(thread) => State::Running(thread),
            Err(_) => {
                let sum = work.lock().unwrap_or_else(PoisonError::into_inner).take();
                State::Made(sum.map_or(Ok(None), |sum| sum()))
            }
        };
        Self(Arc::new(Mutex::new(state)))
    }

    /// Waits for it.
    ///
    /// # Errors
    ///
    /// The error of the computation; for all but the first to ask, [`Error::Mismatch`] with its message.
    pub fn wait(&self) -> Result<Option<String>> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *state, State::Known(None));
        let (after, found) = match before {
            State::Known(sum) => (State::Known(sum.clone()), Ok(sum)),
            State::Failed(message) => {
                (State::Failed(message.clone()), Err(Error::Mismatch(message)))
            }
            State::Made(found) => after_first(found),
            State::Running(thread) => match thread.join() {
                Ok(found) => after_first(found),
                Err(_) => {
                    let message = "the weights of the base model could not be summed".to_owned();
                    (State::Failed(message.clone()), Err(Error::Mismatch(message)))
                }
            },
        };
        *state = after;
        found
    }
}

/// What is known once the first one asks, and what that one is told.
fn after_first(found: Result<Option<String>>) -> (State, Result<Option<String>>) {
    match found {
        Ok(sum) => (State::Known(sum.clone()), Ok(sum)),
        Err(error) => (State::Failed(error.to_string()), Err(error)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn everybody_who_waits_gets_the_sum() {
        let sum = BaseSum::start(|| Ok(Some("ab".into())));
        let other = sum.clone();
        assert_eq!(other.wait().unwrap().as_deref(), Some("ab"));
        assert_eq!(sum.wait().unwrap().as_deref(), Some("ab"));
    }

    #[test]
    fn an_error_is_told_again() {
        let sum = BaseSum::start(|| Err(Error::file(Path::new("model"), "is gone")));
        let first = sum.wait().unwrap_err().to_string();
        assert!(first.contains("is gone"), "{first}");
        assert_eq!(sum.wait().unwrap_err().to_string(), first);
    }
}
