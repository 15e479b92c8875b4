//! Signals that end a command: the first one where its work can be left in order, a second one at once.

use std::{
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use crate::{output, screen::bar::Bars};

/// Lets a write beyond the largest size of a file that a shell or a queue allows (`ulimit -f`) fail, so that an error names
/// the file: the signal that comes with it would end the program without a word.
pub fn survive_file_size_limit() {
    // Where nobody can follow the signal, it ends the program as before. A handler in place of ignoring it: programs that
    // are started from here get the signal again.
    #[cfg(unix)]
    let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::default());
}

/// What a training run says when it is asked to stop.
pub const AFTER_STEP: &str = "stopping after this step";
/// What a loop over rows says then.
pub const AFTER_BATCH: &str = "stopping after this batch";
/// What generation says then, whose batches take long.
pub const AT_NEXT_TOKEN: &str = "stopping";

/// The number of Ctrl-C's signal, where it is not known which one came.
const INTERRUPT: usize = 2;

/// Follows the signals of the program.
#[derive(Clone, Debug, Default)]
pub struct Signals {
    came: Arc<AtomicBool>,
    /// The number of the last one; 0 if it is not known.
    number: Arc<AtomicUsize>,
    bars: Bars,
}

impl Signals {
    /// Follows Ctrl-C, and what asks a program to end. The first signal is answered with `stops`, which says when the
    /// command does; a second one ends the program at once.
    pub fn follow(stops: &'static str) -> Self {
        let own = Self::default();
        let follower = own.clone();
        // A second handler in one process (tests) is refused; such a run cannot be interrupted.
        let _ = ctrlc::set_handler(move || {
            if follower.came.swap(true, Ordering::SeqCst) {
                std::process::exit(exit_code(follower.number()).into());
            }
            follower.bars.above(|| {
                output::tell(format!("{stops}; a second signal ends it at once"));
            });
        });
        // What asks is told apart by signal-hook only, which goes on to the handler before it.
        #[cfg(unix)]
        for signal in
            [signal_hook::consts::SIGHUP, signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM]
        {
            let number = usize::try_from(signal).unwrap_or(INTERRUPT);
            // Without it, the signal is taken for Ctrl-C.
            let _ = signal_hook::flag::register_usize(signal, Arc::clone(&own.number), number);
        }
        own
    }

    /// Whether a signal came.
    pub fn came(&self) -> bool {
        self.came.load(Ordering::SeqCst)
    }

    /// The number of the signal that came.
    pub fn number(&self) -> usize {
        match self.number.load(Ordering::SeqCst) {
            0 => INTERRUPT,
            number => number,
        }
    }

    /// Whether a loop goes on: not once a signal came.
    pub fn flow(&self) -> ControlFlow<()> {
        match self.came() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }

    /// The lines above which a signal is told.
    pub fn bars(&self) -> Bars {
        self.bars.clone()
    }
}

/// The exit code of a program that a signal ended, as shells tell it: 130 for Ctrl-C, 143 for `kill`.
pub fn exit_code(signal: usize) -> u8 {
    u8::try_from(signal.saturating_add(128)).unwrap_or(1)
}
